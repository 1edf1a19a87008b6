"""What an older version left is opened by this one: its ledger, and its published segments before any migration."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.store import view_database
from curate.store.comparison import differences
from curate.store.database import open_ledger, read_ledger
from curate.store.manifest import PUBLISHED_FOLDER, read_manifest
from curate.store.migrations import MIGRATIONS
from curate.store.publish import swap_manifest
from curate.store.reader import Reader
from curate.store.results import read_rows
from curate.store.schema import TABLES, table
from curate.store.segments import merge_tail, segment_name, write_segment
from curate.store.store import Store
from curate.store.why import explain
from curate.store.write import Write

FIXTURES = Path(__file__).parents[1] / "fixtures"
PROSE = "36110a67a490b26eddecc79d50b01a99184c7c8d0c2c8b467d407e72e18d9147"


def test_it_can_be_read_before_it_is_migrated(old_store: Path) -> None:
    with Reader(old_store) as reader:
        counts = {entry.name: len(reader.query(f'FROM "{entry.name}"')) for entry in TABLES}
        assert counts["items"] == 4
        assert explain(reader, PROSE[:8])["verdict"] == "in: held by snapshot set 1"


@pytest.fixture(scope="module")
def newest() -> dict[str, str]:
    """The newest migration of each frozen store."""
    return {path.name: _migrations_in(path)[-1] for path in FIXTURES.glob("*.sql")}


@pytest.mark.parametrize("name", [function.__name__ for function in MIGRATIONS])
def test_every_version_has_left_a_store(name: str, newest: dict[str, str]) -> None:
    """Whoever adds a migration freezes a store as it then is: see tests/support/freeze_store.py."""
    assert name in newest.values(), f"no store of tests/store/fixtures ends with the migration {name}: {newest}"


def _migrations_in(fixture: Path) -> list[str]:
    with duckdb.connect() as connection:
        connection.execute(fixture.read_text(encoding="utf-8"))
        return [name for (name,) in connection.execute("SELECT name FROM migrations ORDER BY rowid").fetchall()]


def test_every_table_of_a_version_has_rows(old_store: Path) -> None:
    """A fixture without rows would show nothing; older ones lack the tables that came later."""
    rows = {name: read_manifest(old_store).rows(name) for name in read_manifest(old_store).tables}
    assert [name for name, count in rows.items() if not count] == []


def test_every_row_is_there_after_the_migrations(old_store: Path) -> None:
    """Row by row and column by column, as the ledger's own tables held them before."""
    before = _ledger_rows(old_store)
    Store.open(old_store, create=True)
    after = _ledger_rows(old_store)
    assert {name: after[name] for name in before} == before
    assert all(not after[name] for name in after.keys() - before.keys())


def _ledger_rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table but `migrations`, without columns that are null throughout, as a new one is."""
    with read_ledger(folder, timeout=0) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        names = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        tables = {name: read_rows(connection, f'FROM "{name}" ORDER BY rowid') for name in names}
    tables.pop("migrations")
    kept = {
        name: found.select([column for column in found.column_names if found[column].null_count < len(found)])
        for name, found in tables.items()
    }
    return {name: found.to_pylist() for name, found in kept.items()}


def test_it_is_migrated_and_written_to(old_store: Path, make: Any) -> None:
    before = read_manifest(old_store)
    store = Store.open(old_store, create=True)
    assert store.commit(Write("ingest", {"items": make.items(make.ids(1))})).number == 4
    with open_ledger(old_store, timeout=0) as connection:
        applied = [name for (name,) in connection.execute("SELECT name FROM migrations").fetchall()]
        counts = {
            entry.name: connection.execute(f'SELECT count(*) FROM "{entry.name}"').fetchall()[0][0] for entry in TABLES
        }
    assert sorted(applied) == sorted(function.__name__ for function in MIGRATIONS)
    assert {entry.name: read_manifest(old_store).rows(entry.name) for entry in TABLES} == counts
    assert all(read_manifest(old_store).rows(name) >= before.rows(name) for name in before.tables)


def test_migrated_and_published_anew_it_says_the_same(old_store: Path, tmp_path: Path) -> None:
    """What an older version published equals what this one publishes from the migrated ledger."""
    (old_store / PUBLISHED_FOLDER).rename(tmp_path / PUBLISHED_FOLDER)
    Store.open(old_store, create=True)
    with Reader(tmp_path) as old, Reader(old_store) as new:
        assert differences(old, new) == []
    assert read_manifest(old_store).figures == read_manifest(tmp_path).figures


class TestSegmentsWithoutANewerColumn:
    """A migration adds a column; the segments that were there do not have it."""

    @pytest.fixture
    def wider(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Let the table `items` have one column more from now on."""
        items = table("items")
        wide = replace(items, columns=(*items.columns, ("colour", pa.string())))
        tables = tuple(wide if entry is items else entry for entry in TABLES)
        monkeypatch.setattr(view_database, "TABLES", tables)
        return wide

    def colours(self, folder: Path) -> list[Any]:
        with Reader(folder) as reader:
            assert reader.query("SELECT * FROM items").schema.names[-3:] == ["colour", "run_id", "commit_number"]
            return reader.query("SELECT colour FROM items ORDER BY colour NULLS FIRST")["colour"].to_pylist()

    def add_wide_segment(self, folder: Path, wide: Any, number: int) -> None:
        manifest = read_manifest(folder)
        batch = pa.RecordBatch.from_pylist([{"item_id": f"n{number}", "colour": "red"}], wide.schema)
        segment = write_segment(folder, wide.schema, segment_name(wide, number, number), [batch])
        tables = manifest.tables | {"items": (*manifest.tables["items"], segment)}
        swap_manifest(folder, replace(manifest, commit_number=number, tables=tables))

    def test_no_segment_has_it(self, full_store: Path, wider: Any) -> None:
        assert self.colours(full_store) == [None] * 4

    def test_only_the_newest_segment_has_it(self, full_store: Path, wider: Any) -> None:
        self.add_wide_segment(full_store, wider, 4)
        assert self.colours(full_store) == [None] * 4 + ["red"]

    def test_merging_fills_it(self, full_store: Path, wider: Any) -> None:
        self.add_wide_segment(full_store, wider, 4)
        manifest = read_manifest(full_store)
        merged = merge_tail(full_store, manifest, wider, manifest.tables["items"], 1)
        swap_manifest(full_store, merged)
        [segment] = merged.tables["items"]
        assert "colour" in pq.read_schema(full_store / PUBLISHED_FOLDER / segment.file).names
        assert self.colours(full_store) == [None] * 4 + ["red"]
