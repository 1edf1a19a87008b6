"""Readers pin what they read: however long one takes, nothing that it may still ask for goes away."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.store import publish
from curate.store.manifest import MANIFEST_FILE, PUBLISHED_FOLDER, read_manifest
from curate.store.pins import READERS_FOLDER, files_in_use, keep_replaced, pin_manifest, pinned_manifests
from curate.store.store import Store

Add = Callable[..., int]
Spawn = Callable[..., subprocess.Popen[str]]
READ_SLOWLY = """
    import sys
    from pathlib import Path
    from curate.store.reader import Reader
    with Reader(Path(sys.argv[1])) as reader:
        print("reading", flush=True)
        sys.stdin.readline()
        print(reader.query("SELECT count(*) AS n FROM items")["n"][0], flush=True)
"""


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merge often, and keep nothing for the sake of time alone."""
    monkeypatch.setattr(publish, "MERGE_COUNT", 2)
    monkeypatch.setattr(publish, "RETIRED_SECONDS", 0.0)


def retired_segments(store: Store) -> set[str]:
    return {path.name for path in (store.folder / PUBLISHED_FOLDER).glob("*.parquet")} - {
        segment.file for segments in read_manifest(store.folder).tables.values() for segment in segments
    }


def add_more(add: Add, make: Any, first: int, count: int) -> None:
    for number in range(first, first + count):
        add(items=make.items(make.ids(number)))


def test_a_slow_reader_of_another_process_keeps_its_segments(store: Store, add: Add, make: Any, spawn: Spawn) -> None:
    add_more(add, make, 0, 1)
    child = spawn(READ_SLOWLY, store.folder)
    assert child.stdout is not None
    assert child.stdout.readline() == "reading\n"
    add_more(add, make, 1, 6)
    assert len(pinned_manifests(store.folder)) == 1
    assert "items-000000001-000000001.parquet" in retired_segments(store)
    output, _ = child.communicate("go on\n")
    assert output == "1\n"
    add_more(add, make, 7, 1)
    assert "items-000000001-000000001.parquet" not in retired_segments(store)


def test_a_killed_reader_holds_nothing(store: Store, add: Add, make: Any, spawn: Spawn) -> None:
    add_more(add, make, 0, 1)
    child = spawn(READ_SLOWLY, store.folder)
    assert child.stdout is not None
    child.stdout.readline()
    add_more(add, make, 1, 2)
    child.kill()
    child.wait()
    assert pinned_manifests(store.folder) == []


def test_several_readers_of_several_commits(store: Store, add: Add, make: Any) -> None:
    readers = []
    for number in range(6):
        add_more(add, make, number, 1)
        readers.append(store.reader())
    for number, reader in enumerate(readers):
        assert len(reader.query("FROM items")) == number + 1
        reader.close()
    assert pinned_manifests(store.folder) == []


def test_readers_leave_no_files_behind(store: Store, add: Add, make: Any) -> None:
    for number in range(6):
        add_more(add, make, number, 1)
        store.reader().close()
    assert len(list((store.folder / READERS_FOLDER).iterdir())) == 1


def test_a_manifest_taken_away_before_it_is_held_is_read_anew(
    store: Store, add: Add, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer swaps and forgets the manifest between a reader's opening and holding it."""
    add_more(add, make, 0, 1)
    open_file = Path.open

    def open_and_lose(path: Path, *arguments: Any) -> Any:
        stream = open_file(path, *arguments)
        if path.name == MANIFEST_FILE:
            monkeypatch.setattr(Path, "open", open_file)
            add_more(add, make, 1, 2)
        return stream

    monkeypatch.setattr(Path, "open", open_and_lose)
    pin = pin_manifest(store.folder)
    assert pin.manifest.commit_number == 3
    pin.close()


def test_a_reader_needs_no_right_to_write(store: Store, add: Add, make: Any) -> None:
    add_more(add, make, 0, 1)
    before = {path: path.stat().st_mtime_ns for path in [store.folder, *store.folder.rglob("*")]}
    with store.reader() as reader:
        assert len(reader.query("FROM items")) == 1
        assert {path: path.stat().st_mtime_ns for path in [store.folder, *store.folder.rglob("*")]} == before


def test_a_forked_child_does_not_keep_the_pin(store: Store, add: Add, make: Any) -> None:
    add_more(add, make, 0, 1)
    pin = pin_manifest(store.folder)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        os.read(reading, 1)  # until the parent is done
        os._exit(0)
    try:
        add_more(add, make, 1, 1)
        assert len(pinned_manifests(store.folder)) == 1
        pin.close()
        pin.close()
        assert pinned_manifests(store.folder) == []
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_a_kill_before_the_swap_leaves_a_name_that_is_forgotten(store: Store, add: Add, make: Any) -> None:
    add_more(add, make, 0, 1)
    keep_replaced(store.folder)
    with store.reader() as reader:
        assert pinned_manifests(store.folder) == []
        assert len(reader.query("FROM items")) == 1
    assert files_in_use(store.folder) >= {"items-000000001-000000001.parquet"}


def test_an_empty_store_has_nothing_to_hold(store: Store) -> None:
    pin = pin_manifest(store.folder)
    assert pin.manifest.commit_number == 0
    pin.close()
