"""Print a ledger as SQL, for tests/store/fixtures: a store as this version of the code leaves it, frozen for ever.

Usage: freeze_store.py FOLDER > tests/store/fixtures/MIGRATION.sql, with a store that has a row in every table.
"""

import sys
from pathlib import Path

import duckdb

from curate.store.database import read_ledger


def main(folder: Path) -> None:
    """Print the tables, then their rows in order; every value is text, which DuckDB casts to the column's type."""
    with read_ledger(folder, timeout=0.0) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = "SELECT table_name, sql FROM duckdb_tables() ORDER BY table_oid"
        tables = dict(connection.execute(query).fetchall())
        applied = connection.execute("SELECT name FROM migrations").fetchall()
        print(f"-- A store as the code left it that knew these migrations: {', '.join(name for (name,) in applied)}.\n")
        print("\n".join(tables.values()))
        for name in tables:
            for row in _rows(connection, name):
                print(f'INSERT INTO "{name}" VALUES ({row});')


def _rows(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    found = connection.execute(f'SELECT CAST(COLUMNS(*) AS VARCHAR) FROM "{name}" ORDER BY rowid').fetchall()
    return [", ".join(map(_literal, row)) for row in found]


def _literal(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
