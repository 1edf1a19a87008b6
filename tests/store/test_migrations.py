"""Schema changes: each once, in order, and never backwards."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from curate.errors import CurateError, StoreError
from curate.store import migrations
from curate.store.database import open_ledger
from curate.store.migrations import MIGRATIONS, apply_migrations
from curate.store.results import read_rows
from curate.store.schema import TABLES, table
from curate.store.store import Store


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_ledger(tmp_path, timeout=0) as opened:
        yield opened


def test_all_are_applied_once(connection: duckdb.DuckDBPyConnection) -> None:
    assert apply_migrations(connection) == [function.__name__ for function in MIGRATIONS]
    assert apply_migrations(connection) == []
    names = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert names == {entry.name for entry in TABLES} | {"migrations"}


def test_the_tables_are_those_of_the_schema(connection: duckdb.DuckDBPyConnection) -> None:
    apply_migrations(connection)
    connection.execute("SET TimeZone = 'UTC'")
    for entry in TABLES:
        found = read_rows(connection, f'FROM "{entry.name}"').schema
        # In any order: a column that a migration adds comes last.
        assert {field.name: field.type for field in found} == {field.name: field.type for field in entry.schema}


def test_an_unknown_migration_means_a_newer_curate(store: Store) -> None:
    with open_ledger(store.folder, timeout=0) as connection:
        connection.execute("INSERT INTO migrations VALUES ('vectors_as_lists', now())")
    with pytest.raises(StoreError, match=r"newer curate \(unknown migrations: vectors_as_lists\)") as caught:
        Store.open(store.folder, create=True)
    assert caught.value.hint


def test_a_later_migration_is_added_to_an_older_store(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_migrations(connection)
    monkeypatch.setattr(migrations, "MIGRATIONS", [*MIGRATIONS, add_colour])
    assert apply_migrations(connection) == ["add_colour"]
    assert connection.execute("SELECT colour FROM items").fetchall() == []


def test_a_migration_that_fails_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", [*MIGRATIONS, add_and_fail])
        with pytest.raises(CurateError, match="no_such_table"):
            Store.open(folder, create=True)
    store = Store.open(folder, create=True)
    with open_ledger(store.folder, timeout=0) as connection, pytest.raises(duckdb.BinderException):
        connection.execute("SELECT colour FROM items")


def test_an_unknown_table_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        table("labels")


def add_colour(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE items ADD COLUMN colour VARCHAR")


def add_and_fail(connection: duckdb.DuckDBPyConnection) -> None:
    add_colour(connection)
    connection.execute("ALTER TABLE no_such_table ADD COLUMN colour VARCHAR")
