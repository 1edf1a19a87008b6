"""Faults with real processes: after each, nothing committed is lost or there twice, and the next run completes."""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.errors import StoreError
from curate.store.care.garbage import collect_garbage
from curate.store.care.integrity import check_integrity
from curate.store.comparison import differences
from curate.store.manifest import MANIFEST_FILE, PUBLISHED_FOLDER, read_manifest
from curate.store.reader import Reader
from curate.store.store import Store

Spawn = Callable[..., subprocess.Popen[str]]
BATCHES = 12
# Commits the batches that are missing; prints each that is committed, and how it ended.
WORK = """
    import os, random, resource, sys, time
    from pathlib import Path
    from curate.errors import CurateError
    from curate.store.store import Store
    from curate.store.work import cursor
    from curate.store.write import CursorMove, Write, rows
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    {before}

    def batch(number):
        noise = random.Random(number)
        ids = [f"{{number}}-{{row}}" for row in range(40)]
        text = [noise.randbytes(1_000).hex() for _ in ids]
        items = {{"item_id": ids, "modality": "text", "text": text, "image": None, "events": None, "time_unit": None,
                 "size": 2_000}}
        scores = {{"item_id": ids, "selector": "s", "selector_version": "1", "target": "", "score": float(number)}}
        return {{"items": rows("items", items), "scores": rows("scores", scores)}}

    try:
        store = Store.open(folder, create=True, lease_timeout=20.0, command="worker")
        with store.reader() as reader:
            done = int(cursor(reader, "work") or 0)
        for number in range(done + 1, count + 1):
            move = CursorMove("work", "", str(number - 1 or ""), str(number))
            store.commit(Write("work", batch(number), [move]))
            print(number, flush=True)
        print("finished", flush=True)
    except CurateError as error:
        print(f"{{type(error).__name__}}: {{error.message}} | {{error.unchanged}} | {{error.hint}}", flush=True)
"""


def work(spawn: Spawn, folder: Path, before: str = "", count: int = BATCHES) -> list[str]:
    """Let a process of its own commit what is missing; return what it said."""
    output, _ = spawn(WORK.format(before=before), folder, count).communicate(timeout=60)
    return output.splitlines()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that an undisturbed process leaves."""
    import sys
    from textwrap import dedent

    folder = tmp_path_factory.mktemp("undisturbed") / "store"
    script = dedent(WORK.format(before=""))
    subprocess.run([sys.executable, "-c", script, folder, str(BATCHES)], check=True, stdout=subprocess.DEVNULL)
    return folder


def check(folder: Path, undisturbed: Path) -> None:
    """The rows are those of an undisturbed run, in the ledger as well as in what is published."""
    with Reader(folder) as one, Reader(undisturbed) as other:
        assert differences(one, other) == []
    # The items of these tests are named by hand and not by their content.
    broken = [found for found in check_integrity(folder, sample=None) if not found.sound and found.what != "items"]
    assert broken == []


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
        self, disk: Path, spawn: Spawn, undisturbed: Path, free: int
    ) -> None:
        room = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(bytes(room - free))
        said = work(spawn, disk / "store")
        assert "No space left" in said[-1] or "could not be written" in said[-1], said
        assert said[-1].count("|") == 2
        if (disk / "store" / PUBLISHED_FOLDER / MANIFEST_FILE).exists():
            assert read_manifest(disk / "store").commit_number in (committed(said), committed(said) + 1)
        (disk / "filler").unlink()
        assert work(spawn, disk / "store")[-1] == "finished"
        check(disk / "store", undisturbed)

    def test_a_limit_on_the_size_of_files_is_met_alike(self, folder: Path, spawn: Spawn, undisturbed: Path) -> None:
        limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, resource.RLIM_INFINITY))"
        said = work(spawn, folder, limit)
        assert said[-1] != "finished"
        assert "Error" in said[-1]
        assert work(spawn, folder)[-1] == "finished"
        check(folder, undisturbed)


@pytest.mark.parametrize("seconds", [-40_000_000, 40_000_000])
def test_a_clock_that_jumps(folder: Path, spawn: Spawn, undisturbed: Path, seconds: int) -> None:
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
    assert work(spawn, folder, "from curate.store import publish; publish.MERGE_COUNT = 2", 4)[-1] == "finished"
    with Reader(folder) as reader:
        assert work(spawn, folder, jump, 8)[-1] == "finished"
        assert len(reader.query("FROM items")) == 4 * 40
    assert work(spawn, folder)[-1] == "finished"
    collect_garbage(Store.open(folder, create=True))
    check(folder, undisturbed)


def _read_all(folder: Path) -> None:
    with Reader(folder) as reader:
        for table in ("items", "commits"):
            reader.query(f"SELECT * FROM {table}")


@pytest.mark.parametrize("name", [MANIFEST_FILE, "items-*.parquet", "commits-*.parquet"])
def test_a_truncated_published_snapshot(folder: Path, spawn: Spawn, undisturbed: Path, name: str) -> None:
    assert work(spawn, folder, count=6)[-1] == "finished"
    path = sorted((folder / PUBLISHED_FOLDER).glob(name))[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError) as caught:
        _read_all(folder)
    assert "delete published/" in caught.value.hint
    shutil.rmtree(folder / PUBLISHED_FOLDER)
    assert work(spawn, folder)[-1] == "finished"
    check(folder, undisturbed)


def read_all(folder: Path) -> None:
    with Reader(folder) as reader:
        for name in reader.manifest.tables:
            reader.query(f'SELECT * FROM "{name}"')


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
        ("publish", "swap_manifest", 1),
        ("publish", "swap_manifest", 3),
        ("garbage", "_remove", 1),
        ("publish", "discard_retired", 1),
    ],
)
def test_gc_is_killed(
    folder: Path, spawn: Spawn, undisturbed: Path, module: str, name: str, calls: int, tmp_path: Path
) -> None:
    assert work(spawn, folder, count=6)[-1] == "finished"
    (folder / PUBLISHED_FOLDER / "items-000000001-000000009.parquet").write_bytes(b"left by a kill")
    assert spawn(CLEAN, folder, module, name, calls).wait() == -signal.SIGKILL
    assert work(spawn, folder)[-1] == "finished"
    collect_garbage(Store.open(folder, create=True))
    check(folder, undisturbed)


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


@pytest.mark.parametrize("place", ["_copy", "write_ledger", "_describe", "_exchange"])
def test_a_backup_is_killed(
    folder: Path, spawn: Spawn, undisturbed: Path, place: str, tmp_path: Path, make: Any
) -> None:
    from curate.store.care.backup import back_up, check_backup, restore

    assert work(spawn, folder)[-1] == "finished"
    saved = tmp_path / "saved"
    if place == "_exchange":
        back_up(Store.open(folder, create=True), saved)
    assert spawn(BACK_UP, folder, saved, place).wait() == -signal.SIGKILL
    assert saved.exists() == (place == "_exchange")
    check(folder, undisturbed)
    if not saved.exists():
        back_up(Store.open(folder, create=True), saved)
    check_backup(saved)
    restore(saved, folder, lease_timeout=5.0, command="restore")
    check(folder, undisturbed)
