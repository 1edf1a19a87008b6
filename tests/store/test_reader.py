"""Reading the published snapshot: one consistent view, and a user's questions that can do no harm."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.errors import StoreError, UsageError
from curate.store.manifest import PUBLISHED_FOLDER, read_manifest
from curate.store.reader import Reader, _told
from curate.store.schema import TABLES
from curate.store.store import Store
from curate.store.write import Write

Add = Callable[..., int]
Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def reader(store: Store, add: Add, make: Any) -> Iterator[Reader]:
    """A reader of a store with 3,000 texts."""
    add(items=make.items(make.ids(*range(3_000))), decisions=make.decisions(make.ids(1), "drop"))
    with store.reader() as opened:
        yield opened


def answer(reader: Reader, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = reader.ask(sql).read_all().to_pylist()
    return found


def test_a_view_does_not_move(store: Store, add: Add, make: Any) -> None:
    add(items=make.items(make.ids(1)))
    with store.reader() as before:
        add(items=make.items(make.ids(2)), origins=make.origins(make.ids(2)))
        assert (before.commit_number, len(before.query("FROM items")), len(before.query("FROM origins"))) == (1, 1, 0)
        with store.reader() as after:
            assert (after.commit_number, len(after.query("FROM items")), len(after.query("FROM origins"))) == (2, 2, 1)


def test_an_empty_store_has_every_table(store: Store, ask: Ask) -> None:
    assert [ask(f'FROM "{table.name}"') for table in TABLES] == [[]] * len(TABLES)
    assert ask("FROM dropped") == []


def test_batches_are_bounded(reader: Reader) -> None:
    sizes = [batch.num_rows for batch in reader.stream("FROM items", rows=1_000)]
    assert sum(sizes) == 3_000
    assert max(sizes) <= 1_000


def test_a_question_ends_the_answer_before_it(reader: Reader) -> None:
    answer = reader.stream("FROM items", rows=10)
    answer.read_next_batch()
    assert len(reader.query("FROM items")) == 3_000
    reader.stream("FROM items", rows=10).read_next_batch()
    reader.register("wanted", pa.table({"item_id": ["a"]}))
    reader.stream("FROM items", rows=10).read_next_batch()
    assert len(reader.ask("FROM items").read_all()) == 3_000


def test_the_latest_decision_of_each_step_counts(store: Store, add: Add, make: Any, ask: Ask) -> None:
    [one, two] = make.ids(1, 2)
    add(decisions=make.decisions([one, two], "drop", reason="first"))
    add(decisions=make.decisions([one], "drop", step="ingest", reason="second"))
    add(decisions=make.decisions([one, two], "keep"))
    assert ask("FROM dropped") == [{"item_id": one, "reason": "second", "step": "ingest"}]
    add(decisions=make.decisions([one], "drop", reason="third"))
    assert ask("SELECT reason, step FROM dropped") == [{"reason": "second", "step": "ingest"}]


@pytest.mark.parametrize("actions", [("drop", "keep"), ("keep", "drop")])
def test_of_two_decisions_in_one_commit_the_drop_counts(
    store: Store, add: Add, make: Any, ask: Ask, actions: tuple[str, str]
) -> None:
    both = [make.decisions(make.ids(1), action, reason="either") for action in actions]
    add(decisions=pa.concat_tables(both))
    assert ask("SELECT action FROM latest_decisions") == [{"action": "drop"}]


class TestAsking:
    """What a person may ask for: one SELECT over the published tables."""

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT * FROM items LIMIT 1",
            "FROM items LIMIT 1",
            "TABLE commits",
            "WITH one AS (SELECT 1) SELECT * FROM one",
            "VALUES (1)",
            "SELECT count(*) FROM items;",
        ],
    )
    def test_one_select_is_answered(self, reader: Reader, sql: str) -> None:
        assert len(answer(reader, sql)) == 1

    def test_tables_and_columns_can_be_listed(self, reader: Reader) -> None:
        views = {"latest_decisions", "latest_origins", "dropped", "cursor_positions", "withdrawals"}
        assert {row["name"] for row in answer(reader, "SHOW TABLES")} == {table.name for table in TABLES} | views
        columns = [row["column_name"] for row in answer(reader, "DESCRIBE scores")]
        assert columns == ["item_id", "selector", "selector_version", "target", "score", "run_id", "commit_number"]

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 1; SELECT 2",
            "INSERT INTO items SELECT * FROM items",
            "DELETE FROM decisions",
            "CREATE TABLE mine AS SELECT 1",
            "DROP VIEW items",
            "SET enable_external_access = true",
            "ATTACH 'other.duckdb'",
            "INSTALL httpfs",
            "EXPLAIN SELECT 1",
            "CALL duckdb_settings()",
        ],
    )
    def test_anything_else_is_refused(self, reader: Reader, sql: str) -> None:
        with pytest.raises(UsageError, match="only one SELECT") as caught:
            reader.ask(sql)
        assert caught.value.exit_code == 2

    @pytest.mark.parametrize("sql", ["", " \n", "-- a comment", ";"])
    def test_an_empty_question_is_named(self, reader: Reader, sql: str) -> None:
        with pytest.raises(UsageError, match="the query is empty") as caught:
            reader.ask(sql)
        assert caught.value.exit_code == 2

    def test_nothing_is_written_to_a_file(self, reader: Reader, tmp_path: Path) -> None:
        with pytest.raises(UsageError):
            reader.ask(f"COPY (SELECT 1) TO '{tmp_path}/stolen.csv'")
        assert not (tmp_path / "stolen.csv").exists()

    @pytest.mark.parametrize(
        "source",
        [
            "read_text('/etc/passwd')",
            "read_csv('/etc/passwd')",
            "'/etc/passwd'",
            "glob('/etc/*')",
            "read_blob('{store}/ledger.duckdb')",
            "read_blob('{store}/published/../ledger.duckdb')",
        ],
    )
    def test_no_other_file_can_be_read(self, reader: Reader, store: Store, source: str) -> None:
        with pytest.raises(UsageError, match=r"Permission Error|does not exist"):
            answer(reader, f"SELECT * FROM {source.format(store=store.folder)}")

    def test_variables_of_the_program_stay_hidden(self, reader: Reader, make: Any) -> None:
        secrets = make.items(make.ids(1))
        with pytest.raises(UsageError, match="secrets does not exist"):
            reader.ask("FROM secrets")
        assert len(secrets) == 1

    @pytest.mark.parametrize("sql", ["SELEC", "SELECT * FROM nowhere", "SELECT colour FROM items", "SELECT ?"])
    def test_a_mistake_is_explained_and_the_reader_lives_on(self, reader: Reader, sql: str) -> None:
        with pytest.raises(UsageError, match="cannot be answered") as caught:
            answer(reader, sql)
        assert "SHOW TABLES" in caught.value.hint
        assert answer(reader, "SELECT count(*) AS n FROM items") == [{"n": 3_000}]
        assert len(reader.query("FROM items")) == 3_000

    def test_a_value_that_fails_late_is_explained(self, reader: Reader) -> None:
        sql = "SELECT CASE WHEN i = 4_999_999 THEN error('too late') ELSE i END FROM range(5_000_000) t(i)"
        with pytest.raises(UsageError, match="too late"):
            reader.ask(sql).read_all()
        assert answer(reader, "SELECT 1 AS one") == [{"one": 1}]

    def test_an_error_of_another_thread_is_looked_for(self) -> None:
        schema = pa.schema([("i", pa.int64())])

        def failing(message: str) -> pa.RecordBatchReader:
            def batches() -> Iterator[pa.RecordBatch]:
                yield pa.record_batch([pa.array([1])], schema)
                raise OSError(message)

            return pa.RecordBatchReader.from_batches(schema, batches())

        for again, told in (("too late", "too late"), ("INTERRUPT Error: Interrupted!", "Interrupted!")):
            with pytest.raises(UsageError, match=told):
                list(_told(failing("INTERRUPT Error: Interrupted!"), lambda again=again: failing(again)))  # type: ignore[misc]


class TestDamage:
    """A segment that is not what was written."""

    @pytest.fixture
    def segment(self, reader: Reader, store: Store) -> Path:
        return store.folder / PUBLISHED_FOLDER / reader.manifest.tables["items"][0].file

    @pytest.mark.parametrize("damage", ["missing", "empty", "half", "bytes"])
    def test_it_says_what_to_do(self, store: Store, segment: Path, damage: str) -> None:
        content = segment.read_bytes()
        if damage == "missing":
            segment.unlink()
        else:
            middle = content[:1_000] + b"\xff" * 4_000 + content[5_000:]
            segment.write_bytes({"empty": b"", "half": content[: len(content) // 2], "bytes": middle}[damage])
        with pytest.raises(StoreError, match="a published segment cannot be read") as caught, store.reader() as reader:
            reader.query("SELECT * FROM items")
        assert "published/" in caught.value.hint
        assert caught.value.exit_code == 4

    def test_it_does_not_touch_other_tables(self, store: Store, add: Add, segment: Path, make: Any) -> None:
        add(items=make.items(make.ids(-1)))
        with store.reader() as reader:
            segment.unlink()
            with pytest.raises(StoreError):
                reader.query("SELECT text FROM items")
            assert len(reader.query("FROM decisions")) == 1


@pytest.mark.parametrize("name", ["it's", 'say "hi"', "a[b]", "a*b", "item_id=wrong", "ünï ☃", "; DROP TABLE items"])
def test_any_folder_name_will_do(tmp_path: Path, make: Any, name: str) -> None:
    store = Store.open(tmp_path / name / "store", create=True)
    store.commit(Write("ingest", {"items": make.items(["x"])}))
    with store.reader() as reader:
        assert answer(reader, "SELECT item_id FROM items") == [{"item_id": "x"}]
    assert read_manifest(store.folder).rows("items") == 1


def test_a_relative_folder_will_do(tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store.open(Path("store"), create=True)
    store.commit(Write("ingest", {"items": make.items(["x"])}))
    with store.reader() as reader:
        assert answer(reader, "SELECT item_id FROM items") == [{"item_id": "x"}]
