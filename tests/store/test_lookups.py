"""Lookups: what they find is what a scan finds, whatever became of their files, and they go with their segments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import StoreError
from curate.store import lookups, publish, segment_rows, segments
from curate.store.care.erasure import ErasurePlan, erase
from curate.store.care.garbage import collect_garbage, find_garbage
from curate.store.care.traces import Traces
from curate.store.lookups import LOOKUP_FOLDER, Lookup, keys_of
from curate.store.manifest import PUBLISHED_FOLDER, read_manifest
from curate.store.store import Store
from curate.store.write import rows

Add = Callable[..., int]
SHARED = "the same sixteen "
"""More than a key takes in: texts that begin with it share their key."""


@pytest.fixture
def filled(store: Store, add: Add, make: Any, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Three segments of items and of keys, all with lookups on disk, with row groups of four items."""
    monkeypatch.setattr(lookups, "_WORTH_A_FILE", 0)
    monkeypatch.setattr(segments, "_SOUGHT_ROWS", 4)
    for first in (0, 40, 80):
        ids = make.ids(*range(first, first + 40))
        owners = [name for name in ids for _ in range(3)]
        keys = [number % 50 - 20 for number in range(first, first + 120)]
        add(items=make.items(ids), bands=rows("bands", {"band": keys, "item_id": owners}))
    return store


def folder(store: Store) -> Path:
    return store.folder / PUBLISHED_FOLDER / LOOKUP_FOLDER


def kept(store: Store) -> set[str]:
    return {path.name for path in folder(store).iterdir()}


def texts(store: Store, ids: list[str]) -> dict[str, str]:
    with store.reader() as reader:
        found = reader.find("items", "item_id", ids, ("item_id", "text"))
    return dict(zip(found["item_id"].to_pylist(), found["text"].to_pylist(), strict=True))


def owners(store: Store, keys: list[int]) -> set[tuple[int, str]]:
    with store.reader() as reader:
        found = reader.find("bands", "band", keys, ("band", "item_id"))
    return set(zip(found["band"].to_pylist(), found["item_id"].to_pylist(), strict=True))


def scanned(store: Store, keys: list[int]) -> set[tuple[int, str]]:
    with store.reader() as reader:
        found = reader.query("SELECT band, item_id FROM bands WHERE list_contains(?, band)", [keys])
    return set(zip(found["band"].to_pylist(), found["item_id"].to_pylist(), strict=True))


WANTED = [-20, -1, 0, 7, 29, 30]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.lists(st.integers(0, 2**64 - 1), max_size=8))
def test_a_bisection_finds_what_a_comparison_with_all_finds(stored: list[int], others: list[int]) -> None:
    keys = np.array([*stored, *stored[::2]], np.uint64)
    order = np.argsort(keys, kind="stable")
    wanted = np.unique(np.array([*others, *stored[::3]], np.uint64))
    places, found = Lookup(keys[order], order.astype(np.uint32)).find(wanted)
    assert places.tolist() == np.flatnonzero(np.isin(keys, wanted)).tolist()
    assert found.tolist() == keys[places].tolist()


def test_keys_do_not_depend_on_how_an_array_is_cut() -> None:
    values = pa.array(["", "a", "é", SHARED + "one", SHARED + "two", "a" * 64])
    keys = keys_of(values).tolist()
    assert keys[1:4] == keys_of(values[1:4]).tolist()
    assert len(set(keys)) == 5
    assert keys[3] == keys[4]


def test_what_is_found_is_what_a_scan_finds(filled: Store, make: Any) -> None:
    wanted = make.ids(3, 41, 42, 119, 500)
    for _ in ("made", "mapped"):
        assert texts(filled, wanted) == {item: f"text of {item}" for item in wanted[:4]}
        assert owners(filled, WANTED) == scanned(filled, WANTED)
    names = [segment.file for name in ("bands", "items") for segment in read_manifest(filled.folder).tables[name]]
    columns = {"bands": "band", "items": "item_id"}
    assert kept(filled) == {f"{name}.{columns[name.partition('-')[0]]}.lookup" for name in names}


def test_small_segments_have_no_file(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(make.ids(1, 2)))
    assert texts(store, make.ids(2)).keys() == set(make.ids(2))
    assert not folder(store).exists()


def test_texts_that_share_a_key_are_told_apart(store: Store, add: Add, make: Any) -> None:
    add(items=make.items([SHARED + "one", SHARED + "two"]))
    assert texts(store, [SHARED + "two", SHARED + "three"]) == {SHARED + "two": f"text of {SHARED}two"}


@pytest.mark.parametrize("harm", ["gone", "cut short", "empty", "of another segment", "no place"])
def test_a_lookup_that_is_no_good_is_made_again(filled: Store, make: Any, harm: str) -> None:
    owners(filled, WANTED)
    first, *others = sorted(folder(filled).glob("bands-*"))
    whole = first.read_bytes()
    if harm == "no place":
        for path in folder(filled).iterdir():
            path.unlink()
        folder(filled).rmdir()
        folder(filled).write_text("not a folder")
    elif harm == "gone":
        first.unlink()
    else:
        first.write_bytes({"cut short": whole[:-9], "empty": b""}.get(harm) or others[0].read_bytes())
    assert owners(filled, WANTED) == scanned(filled, WANTED)
    if harm != "no place":
        assert first.read_bytes() == whole


def test_names_of_several_lengths_are_found_without_a_file(store: Store, add: Add, monkeypatch: Any) -> None:
    monkeypatch.setattr(lookups, "_WORTH_A_FILE", 0)
    add(bands=rows("bands", {"band": [1, 2, 1, 3], "item_id": ["a", "a", "bc", "a"]}))
    assert owners(store, [1, 3]) == {(1, "a"), (1, "bc"), (3, "a")}
    assert kept(store) == set()


def test_only_the_row_groups_of_what_is_found_are_read(filled: Store, make: Any, monkeypatch: Any) -> None:
    read: list[list[int]] = []
    read_row_groups = pq.ParquetFile.read_row_groups

    def counted(file: pq.ParquetFile, groups: list[int], **options: Any) -> pa.Table:
        read.append(groups)
        return read_row_groups(file, groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counted)
    texts(filled, make.ids(3, 41, 42, 119))
    assert read == [[0], [0], [9]]
    owners(filled, WANTED)
    assert read == [[0], [0], [9]]


@pytest.mark.parametrize("at_once", [1, 1_500, 2**20])
def test_rows_that_threads_read_are_those_that_were_asked_for(
    filled: Store, make: Any, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(segment_rows, "_AT_ONCE_BYTES", at_once)
    for numbers in (range(120), range(1, 120, 7), [39, 40, 79, 80], [5, 4, 4]):
        wanted = make.ids(*numbers)
        assert texts(filled, wanted) == {item: f"text of {item}" for item in wanted}


def test_they_go_when_their_segments_go(filled: Store, add: Add, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "RETIRED_SECONDS", 0.0)
    owners(filled, WANTED)
    texts(filled, make.ids(1))
    before = kept(filled)
    collect_garbage(filled)
    collect_garbage(filled)
    assert kept(filled) == set()
    assert owners(filled, WANTED) == scanned(filled, WANTED)
    assert len(kept(filled)) == 1
    assert not kept(filled) & before


def test_one_that_a_killed_process_left_is_garbage(filled: Store, make: Any) -> None:
    owners(filled, WANTED)
    (folder(filled) / "bands-000000001-000000009.parquet.band.lookup").write_bytes(b"left")
    found = [(entry.name, entry.reason) for entry in find_garbage(filled) if entry.kind == "lookup"]
    assert found == [("bands-000000001-000000009.parquet.band.lookup", "its segment is gone")]
    collect_garbage(filled)
    assert not any("000000009" in name for name in kept(filled))


def test_erasure_leaves_no_trace_in_them(filled: Store, make: Any) -> None:
    [victim] = make.ids(5)
    texts(filled, [victim])
    assert victim in {item for _, item in owners(filled, list(range(-20, 30)))}
    (folder(filled) / ".bands.band.lookup.1-1.partial").write_bytes(victim.encode())
    erase(filled, ErasurePlan.of([victim], Traces(), "asked"))
    assert not any(victim.encode() in path.read_bytes() for path in folder(filled).iterdir())
    assert texts(filled, [victim]) == {}
    assert owners(filled, list(range(-20, 30))) == scanned(filled, list(range(-20, 30)))
    assert victim not in {item for _, item in owners(filled, list(range(-20, 30)))}


def test_one_that_is_made_while_its_segment_goes_does_not_stay(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    end = lookups._end

    def end_while_the_segment_goes(segment: Path, width: int) -> bytes:
        made = end(segment, width)
        lookups.remove_segment(segment)
        return made

    with filled.reader() as reader:
        monkeypatch.setattr(lookups, "_end", end_while_the_segment_goes)
        with pytest.raises(StoreError):
            reader.find("bands", "band", WANTED, ("item_id",))
    assert not any(name.startswith("bands-000000001") for name in kept(filled))


def test_a_damaged_segment_is_named(filled: Store, make: Any) -> None:
    [first, *_] = sorted((filled.folder / PUBLISHED_FOLDER).glob("items-*"))
    content = bytearray(first.read_bytes())
    content[4:200] = bytes(196)
    with filled.reader() as reader:
        first.write_bytes(content)
        with pytest.raises(StoreError, match="segment cannot be read"):
            reader.find("items", "item_id", make.ids(*range(4)), ("text",))
