"""A lake at one commit: views over its tables as of one snapshot of DuckLake, in a DuckDB that can change nothing.

The process keeps one reading connection a lake, for making one takes longer than most questions. It reaches the lake's
Parquet and no other file from the beginning on. What a view shows stays until `curate gc` expires its snapshot.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from threading import Lock
from typing import Any

import duckdb
import pyarrow as pa

from curate.errors import StoreError
from curate.store.address import LakeAddress, local_folder
from curate.store.commit_view import DERIVED_VIEWS, quoted
from curate.store.lake.connect import LAKE, NoLakeError, connect_lake, data_path, reached
from curate.store.lake.questions import refuse_foreign
from curate.store.manifest import Manifest
from curate.store.results import stream_rows
from curate.store.schema import TABLES, Table
from curate.store.spill import spill_folder

_NEWEST = "SELECT commit_number, step, epoch_us(committed_at) FROM commits ORDER BY commit_number DESC LIMIT 1"
_FIGURES = "SELECT 'items:' || modality, count(*) FROM items GROUP BY modality ORDER BY modality"


def _count(name: str) -> str:
    return f"SELECT '{name}', count(*) FROM \"{name}\""


_COUNTS = " UNION ALL ".join(_count(table.name) for table in TABLES)
_readings: dict[LakeAddress, duckdb.DuckDBPyConnection] = {}
_opening = Lock()
_names = map("commit_view_{}".format, itertools.count(1))


class _Figures(Mapping[str, int]):
    """Numbers that are counted when they are asked for: all at once, or one by its name."""

    def __init__(self, every: Callable[[], list[tuple[str, int]]], one: Callable[[str], int]) -> None:
        self._every = every
        self._one = one
        self._known: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        """Count one, which raises KeyError where it does not exist."""
        if name not in self._known:
            self._known[name] = self._one(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        """Count all, and name them."""
        self._known.update(self._every())
        return iter(self._known)

    def __len__(self) -> int:
        """Count all, and say how many there are."""
        return sum(1 for _ in self)


class LakeView:
    """The newest commit of a lake; without a lake, or before curate's tables are in it, a store that is empty."""

    def __init__(self, address: LakeAddress) -> None:
        self._address = address
        self._schema = f"memory.{next(_names)}"
        self.connection = _reading(address).cursor()
        try:
            with reached(address):
                self._create_views()
        except BaseException:
            self.close()
            _forget(address)
            raise

    @cached_property
    def manifest(self) -> Manifest:
        """The rows of each table and the items by modality, counted when they are asked for."""
        number, step, moment = self._newest
        figures = _Figures(lambda: self._fetch(_FIGURES), self._fetch_figure)
        counted = _Figures(lambda: self._fetch(_COUNTS), lambda name: self._fetch(_count(name))[0][1])
        return Manifest(number, moment, step, figures=figures, counted=counted)

    @property
    def location(self) -> str:
        """Where the lake's Parquet lies, as the catalog remembers it; "" where there is no lake yet."""
        return data_path(self.connection) if _has_lake(self.connection) else ""

    @property
    def commit_number(self) -> int:
        """The commit that is shown."""
        return self._newest[0]

    @property
    def committed_at(self) -> str:
        """When it was made (ISO 8601)."""
        return self._newest[2]

    @contextmanager
    def sound(self) -> Iterator[None]:
        """Explain within the block what cannot be read."""
        try:
            yield
        except (duckdb.IOException, duckdb.HTTPException, duckdb.InvalidInputException, OSError) as error:
            _forget(self._address)
            if "No snapshot found" in str(error):
                raise StoreError(
                    "what this command was reading by has been expired meanwhile",
                    unchanged="the store is sound",
                    hint="run the command again",
                ) from error
            raise StoreError(
                f"rows of {self._address} cannot be read: {' '.join(str(error).split())[:300]}",
                unchanged="nothing was changed",
                hint="run the command again; if that does not help, curate doctor",
            ) from error

    def admit(self, sql: str) -> None:
        """Refuse a question that reads anything but this view: the connection holds PostgreSQL's catalog too."""
        refuse_foreign(self.connection.cursor(), sql)

    def find(
        self, name: str, column: str, values: pa.Array, columns: Sequence[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a table whose `column` holds one of the values. Cost: one scan of that column."""
        shown = ", ".join(f'"{one}"' for one in columns)
        self.connection.register("sought", pa.table({column: values}))
        query = f'SELECT {shown} FROM "{name}" SEMI JOIN sought USING ("{column}")'
        yield from stream_rows(self.connection, query, rows=rows)

    def confined_cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection for a user's question; it sees what this view shows."""
        return self.connection.cursor().execute(f"USE {self._schema}")

    def close(self) -> None:
        """Let go of the views."""
        with contextlib.suppress(duckdb.Error):
            self.connection.execute("USE memory.main")
            self.connection.execute(f"DROP SCHEMA IF EXISTS {self._schema} CASCADE")
        self.connection.close()

    def _fetch(self, query: str) -> list[tuple[Any, ...]]:
        with self.sound():
            return self.confined_cursor().execute(query).fetchall()

    def _fetch_figure(self, name: str) -> int:
        return int(dict(self._fetch(_FIGURES))[name])

    @cached_property
    def _newest(self) -> tuple[int, str, str]:
        found = self._fetch(_NEWEST)
        if not found:
            return 0, "", ""
        [(number, step, moment)] = found
        return int(number), str(step), datetime.fromtimestamp(moment // 10**6, UTC).isoformat()

    def _create_views(self) -> None:
        version, known = _state(self.connection)
        self.connection.execute("BEGIN")
        self.connection.execute(f"CREATE SCHEMA {self._schema}")
        self.connection.execute(f"USE {self._schema}")
        for table in TABLES:
            self.connection.execute(_view(table, known.get(table.name, set()), version))
        for statement in DERIVED_VIEWS:
            self.connection.execute(statement)
        self.connection.execute("COMMIT")


def _view(table: Table, known: set[str], version: int | None) -> str:
    """A view of a table as of a snapshot; a column that came later is null, a table that came later empty."""
    if not known or version is None:
        return table.create_statement()
    nulls = table.nulls()
    columns = ", ".join(f'"{name}"' if name in known else nulls[name] for name in table.schema.names)
    return f'CREATE VIEW "{table.name}" AS SELECT {columns} FROM {LAKE}."{table.name}" AT (VERSION => {version})'


def _state(connection: duckdb.DuckDBPyConnection) -> tuple[int | None, dict[str, set[str]]]:
    """The newest snapshot of the lake and the columns of its tables; None and nothing where there is no lake."""
    if not _has_lake(connection):
        return None, {}
    connection.execute("BEGIN")
    [(version,)] = connection.execute(f"FROM {LAKE}.current_snapshot()").fetchall()
    query = "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = ?"
    known: dict[str, set[str]] = {}
    for table, column in connection.execute(query, [LAKE]).fetchall():
        known.setdefault(table, set()).add(column)
    connection.execute("COMMIT")
    return int(version), known


def _has_lake(connection: duckdb.DuckDBPyConnection) -> bool:
    query = "SELECT count(*) FROM duckdb_databases() WHERE database_name = ?"
    [(lakes,)] = connection.execute(query, [LAKE]).fetchall()
    return bool(lakes)


def _reading(address: LakeAddress) -> duckdb.DuckDBPyConnection:
    """This process's reading connection to a lake."""
    with _opening:
        if address not in _readings:
            try:
                connection = connect_lake(address, read_only=True)
            except NoLakeError:
                return duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
            connection.execute(f"SET allowed_directories = [{quoted(data_path(connection))}]")
            connection.execute(f"SET temp_directory = {quoted(str(spill_folder(local_folder(address))))}")
            connection.execute("SET enable_external_access = false")
            _readings[address] = connection
        return _readings[address]


def _forget(address: LakeAddress) -> None:
    """Open the next reading connection anew; what is being read by the present one goes on."""
    with _opening:
        _readings.pop(address, None)
