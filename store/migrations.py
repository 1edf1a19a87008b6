"""Schema changes, each a plain function applied once; their names stand in the table `migrations`.

A migration never looks at `curate.store.schema`, which goes on changing: it creates tables as they were when it was
written, from SQL that is frozen in `schemas/`, and adds columns with ADD COLUMN IF NOT EXISTS.
"""

from collections.abc import Callable
from pathlib import Path

import duckdb

from curate.errors import StoreError

_SCHEMAS = Path(__file__).parent / "schemas"
Migration = Callable[[duckdb.DuckDBPyConnection], None]
MIGRATIONS: list[Migration] = []


def migration(function: Migration) -> Migration:
    """Append a function to the list of migrations; its name is its identity and must never change."""
    MIGRATIONS.append(function)
    return function


def missing_migrations(connection: duckdb.DuckDBPyConnection) -> list[Migration]:
    """Return what has not been applied, in order; changes nothing.

    Raises:
        StoreError: the store was written by a newer curate.
    """
    query = (
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database() AND table_name = 'migrations'"
    )
    [(begun,)] = connection.execute(query).fetchall()
    found = connection.execute("SELECT name FROM migrations").fetchall() if begun else []
    applied = {name for (name,) in found}
    _refuse_newer(applied)
    return [function for function in MIGRATIONS if function.__name__ not in applied]


def apply_migrations(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Apply what is missing, in order and in one transaction each, and return the names applied.

    Raises:
        StoreError: the store was written by a newer curate.
    """
    missing = missing_migrations(connection)
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (name VARCHAR, applied_at TIMESTAMPTZ)")
    for function in missing:
        connection.execute("BEGIN")
        function(connection)
        connection.execute("INSERT INTO migrations VALUES (?, now())", [function.__name__])
        connection.execute("COMMIT")
    return [function.__name__ for function in missing]


def _refuse_newer(applied: set[str]) -> None:
    unknown = sorted(applied - {function.__name__ for function in MIGRATIONS})
    if unknown:
        raise StoreError(
            f"the store was written by a newer curate (unknown migrations: {', '.join(unknown)})",
            unchanged="nothing was changed",
            hint="pip install --upgrade curate",
        )


@migration
def first_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables of the first version."""
    connection.execute(_frozen("first_tables"))


@migration
def bands_and_clusters(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables that near-duplicates need."""
    connection.execute(_frozen("bands_and_clusters"))


@migration
def tombstones(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table of items that were erased and must not come back."""
    connection.execute(_frozen("tombstones"))


@migration
def split_anchors(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table that says by whose id an item got its split."""
    connection.execute(_frozen("split_anchors"))


@migration
def cursors_within_commits(connection: duckdb.DuckDBPyConnection) -> None:
    """Change nothing: a cursor may say `12+1` from now on, which an older curate would not understand.

    It must refuse the store instead of failing at some cursor, which it does of a migration that it does not know.
    """


@migration
def abstentions(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table of questions that a person was asked and gave no value for."""
    connection.execute(_frozen("abstentions"))


@migration
def consensus(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table of the values drawn from several annotators' claims."""
    connection.execute(_frozen("consensus"))


@migration
def embeddings(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table of the features that encoders gave items."""
    connection.execute(_frozen("embeddings"))


@migration
def gate(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables of audits, of the gate's verdicts and of the questions that people are asked."""
    connection.execute(_frozen("gate"))


@migration
def acquire(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables of what online active learning decided, and of its policies' states."""
    connection.execute(_frozen("acquire"))


@migration
def promotions(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table that says which checkpoint of a learner is served."""
    connection.execute(_frozen("promotions"))


@migration
def discovery(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables of the subpopulations that were discovered, and of who belongs to which."""
    connection.execute(_frozen("discovery"))


@migration
def codes(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table of the pairs that items fetch among a learner's keys."""
    connection.execute(_frozen("codes"))


@migration
def restatements(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table of what places say otherwise, or once more, after they said it first."""
    connection.execute(_frozen("restatements"))


def _frozen(name: str) -> str:
    return (_SCHEMAS / f"{name}.sql").read_text(encoding="utf-8")
