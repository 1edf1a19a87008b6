"""One writer at a time; whoever waits knows for whom, and a dead holder holds nothing."""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from curate.errors import ConfigurationError, StoreBusyError
from curate.store.lease import LEASE_FILE, hold_lease, holder
from curate.store.store import Store

Spawn = Callable[..., subprocess.Popen[str]]
HOLD = """
    import sys
    from pathlib import Path
    from curate.store.lease import hold_lease
    with hold_lease(Path(sys.argv[1]), timeout=0, command="curate annotate"):
        print("held", flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def other(spawn: Spawn, place: Path) -> subprocess.Popen[str]:
    """A process that holds the lease until a line is written to it."""
    child = spawn(HOLD, place)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_free_lease_has_no_holder(place: Path) -> None:
    assert holder(place) is None
    with hold_lease(place, timeout=0, command="c"):
        pass
    assert (place / LEASE_FILE).exists()
    assert holder(place) is None


def test_the_holder_is_known_while_it_holds(place: Path, other: subprocess.Popen[str]) -> None:
    found = holder(place)
    assert found is not None
    assert (found.pid, found.command) == (other.pid, "curate annotate")
    other.communicate("go on\n")
    assert holder(place) is None


def test_whoever_waits_too_long_hears_who_holds_it(place: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(StoreBusyError, match=rf"process {other.pid} on .* \(curate annotate\)") as caught:
        take(place, 0.05)
    assert caught.value.exit_code == 5
    assert caught.value.unchanged
    assert caught.value.hint


def test_a_waiting_writer_goes_on_when_the_holder_is_done(place: Path, other: subprocess.Popen[str]) -> None:
    assert other.stdin is not None
    other.stdin.write("go on\n")
    other.stdin.flush()
    take(place, 30.0)


def test_a_killed_holder_holds_nothing(place: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    assert holder(place) is None
    take(place, 0.0)


def test_a_stopped_holder_is_named(place: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGSTOP)
    os.waitpid(other.pid, os.WUNTRACED)
    with pytest.raises(StoreBusyError, match=f"process {other.pid} "):
        Store.open(place, create=True, lease_timeout=0.05, command="c")
    found = holder(place)
    assert found is not None
    assert found.pid == other.pid


def test_two_objects_of_one_process_exclude_each_other(place: Path) -> None:
    with hold_lease(place, timeout=0, command="first"), pytest.raises(StoreBusyError, match=r"\(first\)"):
        take(place, 0.0)


def test_a_forked_child_does_not_keep_the_lease(place: Path) -> None:
    reading, writing = os.pipe()
    with hold_lease(place, timeout=0, command="c"):
        child = os.fork()
        if not child:
            os.close(writing)
            os.read(reading, 1)  # until the parent is done
            os._exit(0)
    try:
        take(place, 0.0)
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_a_folder_that_is_exchanged_meanwhile_has_another_lease(tmp_path: Path, spawn: Spawn) -> None:
    """Whoever waits for a lease that moves away with its folder takes the one that lies there now."""
    place = tmp_path / "store"
    place.mkdir()
    with hold_lease(place, timeout=0, command="curate backup --restore"):
        child = spawn(HOLD.replace("timeout=0", "timeout=30"), place)
        wait_until_open(child, place / LEASE_FILE)
        place.rename(tmp_path / "aside")
        place.mkdir()
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    found = holder(place)
    assert found is not None
    assert found.pid == child.pid
    assert holder(tmp_path / "aside") is None


def test_unreadable_words_about_the_holder_do_no_harm(place: Path, other: subprocess.Popen[str]) -> None:
    (place / LEASE_FILE).write_text("{half a rec")
    with pytest.raises(StoreBusyError, match="held by another process"):
        take(place, 0.0)


def test_a_folder_that_is_gone_is_an_error_with_a_hint(place: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written") as caught:
        take(place / "gone", 0.0)
    assert caught.value.hint


def wait_until_open(child: subprocess.Popen[str], path: Path) -> None:
    """Return once the child has opened the file."""
    while path.resolve() not in opened_by(child):
        assert child.poll() is None


def opened_by(child: subprocess.Popen[str]) -> set[Path]:
    """Return what the child's descriptors point at; one that it closes meanwhile points at nothing."""
    found = set()
    for entry in Path(f"/proc/{child.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(entry.readlink())
    return found


def take(place: Path, timeout: float) -> None:
    with hold_lease(place, timeout=timeout, command="waiter"):
        pass
