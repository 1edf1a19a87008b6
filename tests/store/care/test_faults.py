"""Faults with real processes: after each, nothing committed is lost or there twice, and the next run completes."""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from curate.errors import StoreError
from curate.store import publish
from curate.store.care.garbage import collect_garbage
from curate.store.database import LEDGER_FILE
from curate.store.manifest import MANIFEST_FILE, PUBLISHED_FOLDER, read_manifest
from curate.store.reader import Reader
from curate.store.store import Store

Spawn = Callable[..., subprocess.Popen[str]]
Work = Callable[..., list[str]]
Check = Callable[[Path], None]


def committed(said: list[str]) -> int:
    return sum(line.isdigit() for line in said)


class TestFullDisk:
    """A small disk of its own that a filler occupies to a greater or lesser part."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        place = tmp_path / "disk"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("a small disk cannot be mounted here: that needs the rights of root")
        yield place
        subprocess.run(["umount", "--lazy", str(place)], check=True)

    @pytest.mark.parametrize("free", [600_000, 2_000_000, 2_900_000])
    def test_it_ends_clearly_and_goes_on_when_there_is_room(
        self, disk: Path, work: Work, check: Check, free: int
    ) -> None:
        room = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(bytes(room - free))
        said = work(disk / "store")
        assert "No space left" in said[-1] or "could not be written" in said[-1], said
        assert said[-1].count("|") == 2
        if (disk / "store" / PUBLISHED_FOLDER / MANIFEST_FILE).exists():
            assert read_manifest(disk / "store").commit_number in (committed(said), committed(said) + 1)
        (disk / "filler").unlink()
        assert work(disk / "store")[-1] == "finished"
        check(disk / "store")

    @pytest.mark.parametrize("share", [pytest.param(1, marks=pytest.mark.slow), 10])
    def test_a_limit_on_the_size_of_files_is_met_alike(
        self, folder: Path, work: Work, check: Check, share: int
    ) -> None:
        """No file may grow beyond a share of the ledger: at 1 the write-ahead log has room for the rest, at 10 not."""
        assert work(folder, count=3)[-1] == "finished"
        size = (folder / LEDGER_FILE).stat().st_size // share
        said = work(folder, f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))")
        assert said[-1] == "finished" if share == 1 else "Error: the store 'store' could not be written" in said[-1]
        assert work(folder)[-1] == "finished"
        check(folder)


@pytest.mark.parametrize("seconds", [-40_000_000, pytest.param(40_000_000, marks=pytest.mark.slow)])
def test_a_clock_that_jumps(
    folder: Path, work: Work, check: Check, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every time that Python tells jumps for one process in the middle; DuckDB's own only dates commits."""
    jump = f"""
    import datetime as dates
    from curate.store import publish, segments, store as store_module
    real = time.time
    time.time = lambda: real() + {seconds}

    class Jumped(dates.datetime):
        @classmethod
        def now(cls, zone=None):
            return dates.datetime.now(zone) + dates.timedelta(seconds={seconds})

    store_module.datetime = Jumped
    publish.MERGE_COUNT = 2
    """
    with monkeypatch.context() as patch:
        patch.setattr(publish, "MERGE_COUNT", 2)
        assert work(folder, count=4)[-1] == "finished"
    with Reader(folder) as reader:
        assert work(folder, jump, 8)[-1] == "finished"
        assert len(reader.query("FROM items")) == 4 * 40
    assert work(folder)[-1] == "finished"
    collect_garbage(Store.open(folder, create=True))
    check(folder)


def _read_all(folder: Path) -> None:
    with Reader(folder) as reader:
        for table in ("items", "commits"):
            reader.query(f"SELECT * FROM {table}")


@pytest.mark.parametrize("name", [MANIFEST_FILE, "items-*.parquet", "commits-*.parquet"])
def test_a_truncated_published_snapshot(half: Path, work: Work, check: Check, name: str) -> None:
    folder = half
    path = sorted((folder / PUBLISHED_FOLDER).glob(name))[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError) as caught:
        _read_all(folder)
    assert "delete published/" in caught.value.hint
    shutil.rmtree(folder / PUBLISHED_FOLDER)
    assert work(folder)[-1] == "finished"
    check(folder)


CLEAN = """
    import os, signal, sys
    from pathlib import Path
    from curate.store import publish, segments
    from curate.store.care import garbage
    from curate.store.store import Store
    store = Store.open(Path(sys.argv[1]), create=True)
    publish.RETIRED_SECONDS = 0.0
    module, name, calls = {"publish": publish, "garbage": garbage}[sys.argv[2]], sys.argv[3], int(sys.argv[4])
    real = getattr(module, name)

    def die_at_last(*arguments, **options):
        global calls
        calls -= 1
        if not calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    setattr(module, name, die_at_last)
    garbage.collect_garbage(store)
"""


@pytest.mark.parametrize(
    ("module", "name", "calls"),
    [
        ("garbage", "merge_tail", 2),
        pytest.param("publish", "swap_manifest", 1, marks=pytest.mark.slow),
        ("publish", "swap_manifest", 3),
        ("garbage", "_remove", 1),
        pytest.param("publish", "discard_retired", 1, marks=pytest.mark.slow),
    ],
)
def test_gc_is_killed(half: Path, work: Work, check: Check, spawn: Spawn, module: str, name: str, calls: int) -> None:
    folder = half
    (folder / PUBLISHED_FOLDER / "items-000000001-000000009.parquet").write_bytes(b"left by a kill")
    assert spawn(CLEAN, folder, module, name, calls).wait() == -signal.SIGKILL
    assert work(folder)[-1] == "finished"
    collect_garbage(Store.open(folder, create=True))
    check(folder)


BACK_UP = """
    import os, signal, sys
    from pathlib import Path
    from curate.store.care import backup
    from curate.store.store import Store
    store = Store.open(Path(sys.argv[1]), create=True)
    setattr(backup, sys.argv[3], lambda *arguments, **options: os.kill(os.getpid(), signal.SIGKILL))
    if sys.argv[3] == "_exchange":
        backup.restore(Path(sys.argv[2]), Path(sys.argv[1]), lease_timeout=5.0, command="restore")
    backup.back_up(store, Path(sys.argv[2]))
"""


@pytest.mark.parametrize(
    "place",
    ["write_ledger", "_exchange", *(pytest.param(name, marks=pytest.mark.slow) for name in ("_copy", "_describe"))],
)
def test_a_backup_is_killed(
    folder: Path, undisturbed: Path, check: Check, spawn: Spawn, place: str, tmp_path: Path
) -> None:
    from curate.store.care.backup import back_up, check_backup, restore

    shutil.copytree(undisturbed, folder)
    saved = tmp_path / "saved"
    if place == "_exchange":
        back_up(Store.open(folder, create=True), saved)
    assert spawn(BACK_UP, folder, saved, place).wait() == -signal.SIGKILL
    assert saved.exists() == (place == "_exchange")
    check(folder)
    if not saved.exists():
        back_up(Store.open(folder, create=True), saved)
    check_backup(saved)
    restore(saved, folder, lease_timeout=5.0, command="restore")
    check(folder)
