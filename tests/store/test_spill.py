"""Bounded memory: what a question cannot hold goes to disk, and nothing of it stays."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.store.care.garbage import collect_garbage
from curate.store.care.integrity import check_integrity
from curate.store.reader import Reader
from curate.store.spill import bound_memory, is_abandoned, is_alive, is_in_use, spill_folder
from curate.store.store import Store

Spawn = Callable[..., subprocess.Popen[str]]
# Several times what fits: without a place to go the sort fails.
_SORT = "SELECT count(*) AS rows FROM (SELECT hash(range) AS h, range FROM range(3000000) ORDER BY h LIMIT 2500000)"
_WHERE = """
    import sys
    from pathlib import Path
    from curate.store.spill import spill_folder
    print(spill_folder(Path(sys.argv[1])).name, flush=True)
    sys.stdin.read()
"""


def spilled(store: Store) -> list[Path]:
    return sorted(store.folder.glob("spill-*"))


def fill(folder: Path, seconds: float | None = None) -> Path:
    """Leave something there, untouched since a time of long ago if one is given."""
    folder.mkdir()
    (folder / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(bytes(3 * 2**20))
    if seconds is not None:
        for path in (folder / "duckdb_temp_storage_DEFAULT-0.tmp", folder):
            os.utime(path, (seconds, seconds))
    return folder


def test_what_does_not_fit_goes_to_disk_and_vanishes(store: Store) -> None:
    with store.reader() as reader:
        bound_memory(reader, 64)
        bound_memory(reader, 48)
        assert reader.query(_SORT)["rows"].to_pylist() == [2_500_000]
        [folder] = spilled(store)
        assert is_in_use(folder)
    assert not spilled(store)


def test_two_readers_of_a_process_do_not_read_each_others(store: Store) -> None:
    """DuckDB names its files alike in every database: in one folder they would be overwritten, and it crashes."""
    make = "CREATE TEMP TABLE kept AS SELECT hash(range + $from) AS h, repeat('x', 30) AS x FROM range(1000000)"
    with store.reader() as one, store.reader() as other:
        for place, reader in enumerate((one, other)):
            bound_memory(reader, 32)
            reader.query(make, {"from": place * 10**9})
        folders = spilled(store)
        assert len(folders) == 2
        assert all(list(folder.iterdir()) for folder in folders)


@pytest.fixture
def left(store: Store, spawn: Spawn) -> dict[str, Path]:
    """Folders of a process that lives, of one that was killed, of a number that was given again, of elsewhere."""
    living, killed = (spawn(_WHERE, store.folder) for _ in range(2))
    names = []
    for process in (living, killed):
        assert process.stdout is not None
        names.append(process.stdout.readline().strip())
    killed.kill()
    killed.wait()
    system, process_number, start, count = names[0].removeprefix("spill-").split("-")
    return {
        "living": fill(store.folder / names[0]),
        "killed": fill(store.folder / names[1]),
        "number given again": fill(store.folder / f"spill-{system}-{process_number}-{int(start) - 1}-{count}"),
        "elsewhere": fill(store.folder / f"spill-0123456789ab-{process_number}-{start}-1"),
        "elsewhere, long ago": fill(store.folder / f"spill-0123456789ab-{process_number}-{start}-2", 1e9),
        "an older version, long ago": fill(store.folder / f"spill-{os.getpid()}", 1e9),
    }


def remaining(left: dict[str, Path]) -> list[str]:
    return [name for name, path in left.items() if path.exists()]


def test_what_the_dead_left_is_taken_away_and_nobody_elses(store: Store, left: dict[str, Path]) -> None:
    with store.reader() as reader:
        bound_memory(reader, 64)
    assert remaining(left) == ["living", "elsewhere", "elsewhere, long ago", "an older version, long ago"]
    assert is_in_use(left["living"])
    assert not is_abandoned(left["elsewhere"])


def test_gc_frees_what_nobody_has_touched_for_long(store: Store, left: dict[str, Path]) -> None:
    [told] = [found for found in check_integrity(store.folder) if found.what == "spill"]
    assert told.sound
    assert told.detail.startswith("5 folders with 15 MiB")
    freed = {entry.name: entry.bytes for entry in collect_garbage(store) if entry.name.startswith("spill-")}
    assert remaining(left) == ["living", "elsewhere"]
    assert set(freed) == {path.name for path in left.values() if not path.exists()}
    assert min(freed.values()) >= 3 * 2**20


def test_is_alive() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not is_alive(gone.pid)
    assert is_alive(os.getpid())


def test_every_reader_has_a_place_of_its_own(tmp_path: Path) -> None:
    assert len({spill_folder(tmp_path) for _ in range(3)}) == 3


def limits(reader: Reader) -> list[Any]:
    query = "SELECT current_setting('memory_limit') AS bytes, current_setting('threads') AS threads"
    return list(reader.query(query).to_pylist()[0].values())


def test_a_lakes_next_reader_is_not_bound(make_lake: Callable[..., Any]) -> None:
    """The readers of a lake share a connection, and with it what bounds its memory."""
    store = Store.open(make_lake(), create=False)
    with store.reader() as reader:
        unbound = limits(reader)
    with store.reader() as one:
        with store.reader() as other:
            bound_memory(one, 64)
            bound_memory(other, 128)
            assert limits(one) == limits(other) != unbound
        assert limits(one) != unbound
    with store.reader() as reader:
        assert limits(reader) == unbound
