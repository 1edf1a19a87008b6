"""One transaction a batch: all of it or nothing, and nothing twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.errors import ConfigurationError
from curate.store.database import open_ledger
from curate.store.results import read_rows
from curate.store.store import Store
from curate.store.write import Commit, CursorMove, LedgerKey, Write, rows

Ask = Callable[..., list[dict[str, Any]]]
KEY = LedgerKey("align", "1", "p")


def test_equal_rows_add_nothing_and_take_no_number(store: Store, make: Any, ask: Ask) -> None:
    first = make.items(make.ids(1, 2))
    assert store.commit(Write("ingest", {"items": first})) == Commit(1, {"items": 2})
    assert store.commit(Write("ingest", {"items": first})) == Commit(None, {})
    assert store.commit(Write("ingest", {"items": make.items(make.ids(2, 3))})) == Commit(2, {"items": 1})
    assert ask("SELECT commit_number, count(*)::INT AS n FROM items GROUP BY ALL ORDER BY ALL") == [
        {"commit_number": 1, "n": 2},
        {"commit_number": 2, "n": 1},
    ]


def test_the_first_of_equal_keys_in_a_batch_stays(store: Store, make: Any, ask: Ask) -> None:
    [item] = make.ids(1)
    batch = make.items([item] * 3, text=["first", "second", "third"])
    assert store.commit(Write("ingest", {"items": batch})).added == {"items": 1}
    assert ask("SELECT text FROM items") == [{"text": "first"}]


def test_rows_keep_the_order_of_the_batch(store: Store, make: Any, ask: Ask) -> None:
    ids = make.ids(*range(3_000))
    store.commit(Write("ingest", {"items": make.items(ids)}))
    assert [row["item_id"] for row in ask("SELECT item_id FROM items")] == ids


def test_rows_keep_their_order_over_row_groups(store: Store, make: Any, ask: Ask) -> None:
    ids = make.ids(*range(300_000))
    store.commit(Write("ingest", {"items": make.items(ids)}))
    assert [row["item_id"] for row in ask("SELECT item_id FROM items")] == ids
    with open_ledger(store.folder, timeout=0) as ledger:
        kept = read_rows(ledger, "SELECT item_id FROM items ORDER BY rowid")
    assert kept["item_id"].to_pylist() == ids


def test_of_a_new_item_every_origin_is_new_and_of_a_known_one_those_that_are(store: Store, make: Any, ask: Ask) -> None:
    store.commit(Write("ingest", {"items": make.items(["a"]), "origins": make.origins(["a"])}))
    again = pa.concat_tables([make.origins(["b", "a", "b"]), make.origins(["a"], locator="elsewhere")])
    commit = store.commit(Write("ingest", {"items": make.items(["b", "a"]), "origins": again}))
    assert commit.added["origins"] == 2
    assert [row["item_id"] for row in ask("SELECT item_id FROM origins")] == ["a", "b", "a"]


def test_a_null_in_a_key_equals_a_null(store: Store, make: Any) -> None:
    batch = make.origins(make.ids(1, 2), licence="")
    batch = batch.set_column(batch.column_names.index("locator"), "locator", pa.nulls(2, pa.string()))
    assert store.commit(Write("ingest", {"origins": batch})).added == {"origins": 2}
    assert store.commit(Write("ingest", {"origins": batch})) == Commit(None, {})


def test_tables_without_a_key_take_every_row(store: Store, make: Any) -> None:
    batch = make.decisions(make.ids(1), "drop")
    assert [store.commit(Write("dedup", {"decisions": batch})).number for _ in range(2)] == [1, 2]


def test_several_tables_commit_together_or_not_at_all(store: Store, make: Any, ask: Ask) -> None:
    broken = make.scores(make.ids(1), 0.5).append_column("surplus", pa.array([1])).drop_columns("score")
    with pytest.raises(Exception, match="score"):
        store.commit(Write("align", {"items": make.items(make.ids(1)), "scores": broken}))
    assert ask("SELECT * FROM items") == []
    assert store.commit(Write("ingest", {"items": make.items(make.ids(1))})).number == 1


def test_the_commit_tells_what_it_added(store: Store, make: Any, ask: Ask) -> None:
    tables = {"items": make.items(make.ids(1)), "scores": make.scores([], [])}
    store.commit(Write("ingest", tables, seconds=1.5))
    assert ask('SELECT step, "rows", seconds, commit_number FROM commits') == [
        {"step": "ingest", "rows": '{"items": 1}', "seconds": 1.5, "commit_number": 1}
    ]
    [run] = ask("SELECT command, run_id FROM runs")
    assert run == {"command": "pytest", "run_id": store.run_id}


def test_a_run_is_written_once(store: Store, make: Any, ask: Ask) -> None:
    for number in range(3):
        store.commit(Write("ingest", {"items": make.items(make.ids(number))}))
    assert len(ask("SELECT * FROM runs")) == 1


class TestLedger:
    """An item is done once under a key, whoever does it."""

    def test_what_is_settled_is_left_out(self, store: Store, make: Any, ask: Ask) -> None:
        ids = make.ids(1, 2, 3)
        store.commit(scoring(make, ids[:2], 0.5))
        assert store.commit(scoring(make, ids, 0.9)).added == {"scores": 1, "ledger": 1}
        assert sorted(row["score"] for row in ask("SELECT score FROM scores")) == [0.5, 0.5, 0.9]

    def test_a_second_store_adds_nothing(self, store: Store, make: Any, ask: Ask) -> None:
        other = Store.open(store.folder, create=True)
        ids = make.ids(1, 2)
        first, second = scoring(make, ids, 0.5), scoring(make, ids, 0.5)
        assert store.commit(first).number == 1
        assert other.commit(second) == Commit(None, {})
        assert len(ask("SELECT * FROM ledger")) == 2

    def test_another_version_or_parameter_is_other_work(self, store: Store, make: Any) -> None:
        ids = make.ids(1)
        for key in (KEY, LedgerKey("align", "2", "p"), LedgerKey("align", "1", "q"), LedgerKey("dedup", "1", "p")):
            assert store.commit(Write(key.step, ledger=key, items=ids)).added == {"ledger": 1}
            assert store.commit(Write(key.step, ledger=key, items=ids)).number is None

    def test_an_item_named_twice_is_written_once(self, store: Store, make: Any) -> None:
        assert store.commit(Write("align", ledger=KEY, items=make.ids(1, 1, 2))).added == {"ledger": 2}

    def test_rows_that_name_no_item_are_kept(self, store: Store, make: Any) -> None:
        protocol = rows("protocols", {"protocol": "p", "version": "1", "definition": "{}"})
        store.commit(Write("annotate", ledger=KEY, items=make.ids(1)))
        assert store.commit(Write("annotate", {"protocols": protocol}, (), KEY, make.ids(1))).added == {"protocols": 1}


class TestCursors:
    """A cursor moves only from where its consumer believes it to be."""

    def test_it_starts_empty_and_moves(self, store: Store, ask: Ask) -> None:
        assert store.commit(Write("align", cursors=[CursorMove("align", "", "", "7")])).added == {"cursors": 1}
        assert store.commit(Write("align", cursors=[CursorMove("align", "", "7", "9")])).number == 2
        assert ask("SELECT consumer, position FROM cursor_positions") == [{"consumer": "align", "position": "9"}]

    @pytest.mark.parametrize("before", ["", "6", "8"])
    def test_a_stale_move_voids_the_whole_batch(self, store: Store, make: Any, ask: Ask, before: str) -> None:
        store.commit(Write("align", cursors=[CursorMove("align", "", "", "7")]))
        stale = [CursorMove("other", "", "", "1"), CursorMove("align", "", before, "9")]
        assert store.commit(Write("align", {"items": make.items(make.ids(1))}, stale)) == Commit(None, {}, stale=True)
        assert ask("SELECT * FROM items") == []
        assert len(ask("SELECT * FROM cursors")) == 1

    def test_keys_of_one_consumer_move_apart(self, store: Store) -> None:
        moves = [CursorMove("ingest/web", f"{name}.txt", "", "done") for name in "abc"]
        assert store.commit(Write("ingest", cursors=moves)).added == {"cursors": 3}
        assert store.commit(Write("ingest", cursors=moves)).stale

    def test_a_move_on_the_spot_is_nothing(self, store: Store) -> None:
        assert store.commit(Write("align", cursors=[CursorMove("align", "", "", "")])) == Commit(None, {})

    def test_a_cursor_that_returns_stands_where_it_went_last(self, store: Store, ask: Ask) -> None:
        for before, after in [("", "z"), ("z", "a")]:
            store.commit(Write("align", cursors=[CursorMove("align", "", before, after)]))
        assert ask("SELECT position FROM cursor_positions") == [{"position": "a"}]


class TestRows:
    """Rows are built whole, with the schema's types."""

    def test_single_values_fill_their_column(self) -> None:
        table = rows(
            "scores", {"item_id": ["a", "b"], "selector": "s", "selector_version": "1", "target": "t", "score": 1}
        )
        assert table["selector"].to_pylist() == ["s", "s"]
        assert table["score"].to_pylist() == [1.0, 1.0]

    def test_only_single_values_make_one_row(self) -> None:
        assert len(rows("protocols", {"protocol": "p", "version": "1", "definition": "{}"})) == 1

    @pytest.mark.parametrize(
        "columns",
        [
            {"item_id": ["a"], "method": "m"},
            {"item_id": ["a"], "method": "m", "signature": "s", "colour": "red"},
            {"item_id": ["a", "b"], "method": ["m"], "signature": "s"},
        ],
        ids=["missing", "unknown", "unequal lengths"],
    )
    def test_columns_that_do_not_fit_are_refused(self, columns: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"missing or unknown|length"):
            rows("signatures", columns)

    def test_a_value_of_the_wrong_type_is_refused(self) -> None:
        with pytest.raises((ValueError, TypeError)):
            rows("signatures", {"item_id": [1], "method": "m", "signature": "s"})


def test_a_store_is_not_made_without_being_asked(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="no store in 'store' yet"):
        Store.open(folder, create=False)
    assert not folder.exists()


def test_a_store_cannot_be_made_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="cannot make the store's folder"):
        Store.open(tmp_path / "file" / "store", create=True)


def scoring(make: Any, ids: list[str], score: float) -> Write:
    return Write("align", {"scores": make.scores(ids, score)}, (), KEY, ids)
