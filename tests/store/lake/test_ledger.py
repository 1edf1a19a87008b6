"""One writer at a lake: batches, cursors, numbers; and what a reader shows of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import ConfigurationError, ServiceError, StoreError, UsageError
from curate.store.address import LakeAddress
from curate.store.schema import table
from curate.store.store import Store
from curate.store.write import CursorMove, Write, rows

Add = Callable[..., int]
Ask = Callable[..., list[dict[str, Any]]]


def test_the_same_batch_adds_nothing(store: Store, make: Any, add: Add, ask: Ask) -> None:
    ids = make.ids(*range(20))
    assert add(items=make.items(ids), origins=make.origins(ids)) == 1
    again = store.commit(Write("test", {"items": make.items(ids), "origins": make.origins(ids)}))
    assert (again.number, again.added) == (None, {})
    more = store.commit(Write("test", {"items": make.items(make.ids(*range(15, 25)))}))
    assert (more.number, more.added) == (2, {"items": 5})
    assert ask("SELECT count(*) AS n, count(DISTINCT item_id) AS ids, max(commit_number) AS last FROM items") == [
        {"n": 25, "ids": 25, "last": 2}
    ]


def test_a_ledger_key_settles_an_item_once(store: Store, make: Any, ask: Ask) -> None:
    ids = make.ids(1, 2, 3)
    write = Write("align", {"scores": make.scores(ids, [0.1, 0.2, 0.3])}, ledger=make.key, items=ids)
    assert store.commit(write).added == {"scores": 3, "ledger": 3}
    other = Write("align", {"scores": make.scores(ids, [0.4, 0.5, 0.6], "2")}, ledger=make.key, items=ids)
    assert store.commit(other).added == {}
    assert len(ask("FROM ledger")) == 3


def test_a_cursor_that_has_moved_makes_a_batch_stale(store: Store, make: Any, ask: Ask) -> None:
    ids = make.ids(1)
    assert store.commit(Write("test", {"items": make.items(ids)}, [CursorMove("c", "k", "", "5")])).number == 1
    late = store.commit(Write("test", {"items": make.items(make.ids(2))}, [CursorMove("c", "k", "", "7")]))
    assert late.stale
    assert ask("SELECT position FROM cursor_positions") == [{"position": "5"}]
    assert len(ask("FROM items")) == 1


def test_content_comes_back_as_it_went_in(store: Store, make: Any, ask: Ask) -> None:
    ids = make.ids(1, 2, 3)
    text, events = "a\0b 'q' \\x41 ü 😀", [{"time": 0.1, "type": 3}, {"time": float("inf"), "type": -1}]
    store.commit(Write("test", {"items": make.items(ids[:1], text=[text])}))
    store.commit(Write("test", {"items": make.items(ids[1:2], "events", events=[events], time_unit="days")}))
    store.commit(Write("test", {"items": make.items(ids[2:], "image", image=[b"\x89\0\xff" * 1000])}))
    query = "SELECT text, events, image FROM items ORDER BY commit_number"
    found = [list(row.values()) for row in ask(query)]
    assert found == [[text, None, None], [None, events, None], [None, None, b"\x89\0\xff" * 1000]]


def test_labels_with_odd_signs_survive_in_lists(store: Store, ask: Ask) -> None:
    classes = ["a\0b", "'", "[x], y", "NULL", ""]
    columns = dict.fromkeys(table("checkpoints").names) | {"checkpoint": "c", "classes": [classes]}
    store.commit(Write("learn", {"checkpoints": rows("checkpoints", columns, 1)}))
    assert ask("SELECT classes FROM checkpoints") == [{"classes": classes}]


def test_a_reader_keeps_its_commit(store: Store, make: Any, add: Add) -> None:
    add(items=make.items(make.ids(1)))
    with store.reader() as before:
        add(items=make.items(make.ids(2)))
        assert before.query("SELECT count(*) AS n FROM items")["n"].to_pylist() == [1]
        assert before.commit_number == 1
        assert before.manifest.rows("items") == 1
        with store.reader() as after:
            assert after.commit_number == 2
            assert after.manifest.counts() == {"items": 2, "runs": 1, "commits": 2}
            assert after.manifest.figures == {"items:text": 2}


def test_a_question_reaches_the_store_and_no_file(store: Store, make: Any, add: Add, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a\n1\n")
    add(items=make.items(make.ids(1)))
    with store.reader() as reader:
        first, second = reader.ask("FROM items"), reader.ask("SELECT count(*) AS n FROM commits")
        assert first.read_all().num_rows == 1
        assert second.read_all()["n"].to_pylist() == [1]
        for question in (f"FROM read_csv('{tmp_path}/other.csv')", "DELETE FROM items", "SELECT 1; SELECT 2"):
            with pytest.raises(UsageError):
                reader.ask(question)


def test_where_no_lake_is_yet_a_reader_shows_an_empty_store(postgres: Any, tmp_path: Path) -> None:
    address = LakeAddress(postgres.create_database(), tmp_path / "lake")
    with Store(address, lease_timeout=1.0, command="pytest").reader() as reader:
        assert (reader.commit_number, reader.manifest.counts()) == (0, {})
        assert reader.query("FROM dropped").num_rows == 0
    with pytest.raises(ConfigurationError, match="no store in 'ducklake:postgres:dbname="):
        Store.open(address, create=False)
    assert postgres.execute(address.catalog.split()[0].partition("=")[2], r"\dt") == ""


def test_another_place_than_the_catalog_remembers_is_refused(lake: LakeAddress, store: Store, tmp_path: Path) -> None:
    elsewhere = LakeAddress(lake.catalog, lake.folder, str(tmp_path / "elsewhere"))
    with pytest.raises(ConfigurationError, match="keeps its Parquet in"):
        Store.open(elsewhere, create=True)


def test_nobody_answers(tmp_path: Path) -> None:
    address = LakeAddress("dbname=x host=127.0.0.1 port=1 user=x", tmp_path)
    with pytest.raises(ServiceError, match="does not answer at ducklake:postgres:dbname=x"):
        Store.open(address, create=True)


def test_a_wrong_password_is_refused_and_not_told(lake: LakeAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong-secret")
    with pytest.raises(ConfigurationError, match="password authentication failed") as caught:
        Store.open(LakeAddress(lake.catalog + " connect_timeout=5", lake.folder), create=True).reader()
    assert "wrong-secret" not in f"{caught.value.message} {caught.value.__cause__}"


def test_a_lost_file_is_named_by_whoever_reads_it(store: Store, make: Any, add: Add, lake: LakeAddress) -> None:
    add(items=make.items(make.ids(*range(20))))
    for path in Path(lake.data_path).rglob("*.parquet"):
        path.unlink()
    with store.reader() as reader, pytest.raises(StoreError, match="cannot be read"):
        reader.query("FROM items")
