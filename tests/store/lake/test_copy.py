"""A store copied from its folder to a lake and back: the same rows under the same commits, answers and checkpoints."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import StoreError, UsageError
from curate.store import copy as copying
from curate.store.address import LakeAddress
from curate.store.checkpoints import load_checkpoint, save_checkpoint
from curate.store.comparison import differences
from curate.store.copy import copy_store, plan_copy
from curate.store.journal import Journal
from curate.store.reader import Reader
from curate.store.schema import table
from curate.store.store import Store
from curate.store.write import CursorMove, Write, rows
from curate.types import Request, Response

Lakes = Callable[..., LakeAddress]


@pytest.fixture
def embedded(tmp_path: Path, empty_store: Path, make: Any) -> Path:
    """An embedded store of several commits: texts, events, images, claims, a checkpoint and an answer that waits."""
    folder = Path(shutil.copytree(empty_store, tmp_path / "embedded"))
    store = Store.open(folder, create=False, command="pytest")
    ids = make.ids(*range(40))
    store.commit(
        Write("ingest", {"items": make.items(ids), "origins": make.origins(ids)}, [CursorMove("c", "k", "", "1")])
    )
    images, events = make.ids(100, 101), make.ids(200)
    store.commit(Write("ingest", {"items": make.items(images, "image", image=[b"\x89\0\xff", b""])}))
    sequence = [[{"time": 0.1, "type": 3}, {"time": float("inf"), "type": -1}]]
    store.commit(Write("ingest", {"items": make.items(events, "events", events=sequence, time_unit="days")}))
    claims = make.claims(ids, ["a\0b"] * 40, confidence=[float("nan"), *[0.1] * 39])
    store.commit(Write("annotate", {"annotations": claims}, ledger=make.key, items=ids))
    checkpoint = save_checkpoint(folder, b"a state")
    columns = dict.fromkeys(table("checkpoints").names) | {"checkpoint": checkpoint, "classes": [["x", "y\0"]]}
    store.commit(Write("learn", {"checkpoints": rows("checkpoints", columns, 1)}))
    Journal(folder).put("key", Request("http://a", "m", {"q": 1}), Response({"a": 1}, 1, 1, 0, 0.1, 1))
    return folder


def test_there_and_back_nothing_is_lost(embedded: Path, make_lake: Lakes, tmp_path: Path, make: Any) -> None:
    lake = make_lake()
    assert plan_copy(embedded, lake)["items"] == 43
    assert copy_store(embedded, lake, lease_timeout=60.0) == plan_copy(embedded, tmp_path / "elsewhere")
    back = tmp_path / "back"
    copy_store(lake, back, lease_timeout=60.0)
    with Reader(embedded) as first, Reader(lake) as second, Reader(back) as third:
        assert differences(first, second) == differences(first, third) == []
        assert first.commit_number == second.commit_number == third.commit_number == 5
        [checkpoint] = third.query("SELECT checkpoint FROM checkpoints")["checkpoint"].to_pylist()
        assert first.query("SELECT run_id FROM runs") == third.query("SELECT run_id FROM runs")
    for folder in (lake.folder, back):
        assert load_checkpoint(folder, checkpoint) == b"a state"
        assert Journal(folder).keys() == {"key"}
    more = Write("ingest", {"items": make.items(make.ids(1, 999))}, [CursorMove("c", "k", "1", "2")])
    for place in (lake, back):
        commit = Store.open(place, create=True, lease_timeout=60.0, command="pytest").commit(more)
        assert (commit.number, commit.added) == (6, {"items": 1, "cursors": 1})


def test_a_place_that_is_taken_is_refused(embedded: Path, make_lake: Lakes, store: Store, make: Any) -> None:
    lake = store.address
    with pytest.raises(UsageError, match="nothing in the store"):
        copy_store(lake, embedded.parent / "new", lease_timeout=1.0)
    store.commit(Write("test", {"items": make.items(make.ids(1))}))
    for source, target in ((embedded, lake), (lake, embedded)):
        with pytest.raises(UsageError, match="is there already"):
            copy_store(source, target, lease_timeout=1.0)
    with store.reader() as reader:
        assert reader.manifest.counts() == {"items": 1, "runs": 1, "commits": 1}


def test_a_copy_that_fails_leaves_an_empty_place(
    embedded: Path, make_lake: Lakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(reader: Reader, connection: Any, entry: Any, inner: Any = copying._copy_table) -> None:
        if entry.name == "annotations":
            raise StoreError("the source is torn")
        inner(reader, connection, entry)

    lake, folder = make_lake(), tmp_path / "copy"
    with monkeypatch.context() as patch:
        patch.setattr(copying, "_copy_table", fail)
        for target in (lake, folder):
            with pytest.raises(StoreError, match="torn"):
                copy_store(embedded, target, lease_timeout=60.0)
    for target in (lake, folder):
        with Reader(target) as reader:
            assert (reader.commit_number, reader.manifest.counts()) == (0, {})
        copy_store(embedded, target, lease_timeout=60.0)


def test_a_copy_that_differs_is_told(embedded: Path, make_lake: Lakes, monkeypatch: pytest.MonkeyPatch) -> None:
    def lossy(reader: Reader, connection: Any, entry: Any, inner: Any = copying._copy_table) -> None:
        inner(reader, connection, entry)
        if entry.name == "origins":
            connection.execute(
                "UPDATE origins SET licence = 'other' WHERE item_id = (SELECT min(item_id) FROM origins)"
            )

    monkeypatch.setattr(copying, "_copy_table", lossy)
    with pytest.raises(StoreError, match="other rows than the store in origins"):
        copy_store(embedded, make_lake(), lease_timeout=60.0)


def test_a_checkpoint_that_another_machine_holds_is_missed(embedded: Path, make_lake: Lakes, tmp_path: Path) -> None:
    lake = make_lake()
    copy_store(embedded, lake, lease_timeout=60.0)
    shutil.rmtree(lake.folder / "checkpoints")
    with pytest.raises(StoreError, match=r"checkpoint .* is not in lake/checkpoints"):
        copy_store(lake, tmp_path / "back", lease_timeout=60.0)
