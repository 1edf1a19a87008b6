"""Databases in memory that show published segments: made once, and shown anew to one reader after the other.

To make one takes 60 ms of processor time, and most readers see what the reader before them saw, or a commit more.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from curate.store.commit_view import DERIVED_VIEWS, quoted
from curate.store.idle import Idle
from curate.store.manifest import PUBLISHED_FOLDER, Manifest, Segment
from curate.store.schema import TABLES, Table

_MOST_IDLE = 2
"""As many readers as are commonly open at once; an idle database holds a few MB and a thread for each core."""
_Source = tuple[tuple[str, int, int, int], ...] | None
"""The files that a view reads, by which a file that replaced another of its name can be told; None is like nothing."""


class ViewDatabase:
    """The tables of the schema and `DERIVED_VIEWS`, as the views of a database that one reader has at a time."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._database = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
        self._database.execute("SET GLOBAL TimeZone = 'UTC'")
        found = self._database.execute("SELECT current_setting('memory_limit'), current_setting('threads')").fetchall()
        [(self._memory, self._threads)] = found
        self._shown: dict[str, tuple[Table, _Source]] = {}
        self._spill = Path()

    def connect(self, spill: Path) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own, whose questions put into `spill` what does not fit into memory."""
        try:
            return self._connected(spill)
        except duckdb.Error:  # it has spilled into a folder that is gone, and knows no other
            self.close()
            self._begin()
            return self._connected(spill)

    def _connected(self, spill: Path) -> duckdb.DuckDBPyConnection:
        self._spill = spill
        connection = self._database.cursor()
        connection.execute(f"SET temp_directory = {quoted(str(spill))}")
        connection.execute("SET enable_progress_bar = false")  # it would go to standard output
        return connection

    def show(self, folder: Path, manifest: Manifest) -> None:
        """Let the views be those of a manifest of the store in `folder`; only those of other files are made anew.

        Raises:
            duckdb.Error, OSError: a segment is missing or damaged; then this cannot be used any more.
        """
        wanted = {entry.name: (entry, _source(folder, manifest.tables.get(entry.name, ()))) for entry in TABLES}
        changed = [
            (entry, source)
            for name, (entry, source) in wanted.items()
            if source is None or self._shown.get(name) != (entry, source)
        ]
        self._create_tables([entry for entry, _ in changed], [entry for entry, source in changed if source == ()])
        for entry, source in changed:
            if source != ():
                self._create_view(entry, folder / PUBLISHED_FOLDER, manifest.tables[entry.name])
        if not self._shown:
            self._database.execute(";".join(DERIVED_VIEWS))
        self._shown = wanted

    def close(self) -> None:
        """Close the database and all its connections."""
        self._database.close()

    def give_back(self) -> None:
        """Keep the database for the next reader; its connections are closed and it was not changed.

        It lets go of what it holds in memory, and of the bounds that a reader set.
        """
        try:
            self._database.execute(
                "SET enable_external_file_cache = false; SET enable_external_file_cache = true; "
                # A low bound frees what the largest question took; RESET would change what is shown and not what holds.
                f"SET memory_limit = '1MB'; SET memory_limit = '{self._memory}'; SET threads = {self._threads}"
            )
        except duckdb.Error:  # an answer of the closed reader is still being read
            self.close()
            return
        if self._spill.exists() or not _idle.keep(self):
            self.close()

    def _create_tables(self, changed: Sequence[Table], empty: Sequence[Table]) -> None:
        """Drop what has changed, and create what has no segments, in one go: each call costs a while."""
        shown = {name: "TABLE" if source == () else "VIEW" for name, (_, source) in self._shown.items()}
        dropped = [f'DROP {shown[entry.name]} "{entry.name}"' for entry in changed if entry.name in shown]
        statements = [*dropped, *(entry.create_statement() for entry in empty)]
        if statements:
            self._database.execute(";".join(statements))

    def _create_view(self, entry: Table, folder: Path, segments: tuple[Segment, ...]) -> None:
        files = ", ".join(quoted(str(folder / segment.file)) for segment in segments)
        try:
            self._database.execute(_view(entry, f"[{files}]"))
        except duckdb.BinderException:
            self._database.execute(_view_of_older_segments(entry, f"[{files}]"))


_idle: Idle[ViewDatabase] = Idle(_MOST_IDLE)


def take_view_database() -> ViewDatabase:
    """Return a database that nobody else has: an idle one, or a new one."""
    return _idle.take() or ViewDatabase()


def _source(folder: Path, segments: tuple[Segment, ...]) -> _Source:
    try:
        return tuple(_identity(folder / PUBLISHED_FOLDER / segment.file) for segment in segments)
    except OSError:
        return None


def _identity(path: Path) -> tuple[str, int, int, int]:
    status = path.stat()
    return str(path), status.st_ino, status.st_mtime_ns, status.st_size


def _view(table: Table, files: str) -> str:
    columns = ", ".join(f'"{name}"' for name in table.schema.names)
    # A folder named like a column (source=web) above the store must not become that column's value.
    return f'CREATE VIEW "{table.name}" AS SELECT {columns} FROM read_parquet({files}, hive_partitioning = false)'


def _view_of_older_segments(table: Table, files: str) -> str:
    """A view of segments of which the first were written before a column came; what they lack is null."""
    columns = ", ".join(f'"{name}"' for name in table.schema.names)
    return f"""
        CREATE VIEW "{table.name}" AS SELECT {columns} FROM (
            FROM read_parquet({files}, hive_partitioning = false, union_by_name = true)
            UNION ALL BY NAME SELECT {", ".join(table.nulls().values())} WHERE false)"""
