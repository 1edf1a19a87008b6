"""What an embedded store has published: an in-memory DuckDB over immutable Parquet segments; it waits for no writer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from curate.errors import StoreError
from curate.store.commit_view import DERIVED_VIEWS, quoted
from curate.store.manifest import PUBLISHED_FOLDER, Manifest, read_manifest
from curate.store.pins import pin_manifest
from curate.store.schema import TABLES, Table
from curate.store.segment_rows import SegmentRows
from curate.store.spill import spill_folder

_DAMAGE = (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException, OSError, pa.ArrowInvalid)


class PublishedView:
    """The published segments of the store in `folder` at one commit, which is pinned until this is closed."""

    def __init__(self, folder: Path) -> None:
        self._store_folder = folder
        self._folder = folder / PUBLISHED_FOLDER
        self._confined = False
        self._pin = pin_manifest(folder)
        self.connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
        self._rows = SegmentRows(folder, self.manifest, self.connection)
        self.connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self.connection.execute(f"SET temp_directory = {quoted(str(spill_folder(folder)))}")
        self.connection.execute("SET enable_progress_bar = false")  # it would go to standard output
        try:
            with self.sound():
                self._create_views()
        except BaseException:
            self.close()
            raise

    @property
    def manifest(self) -> Manifest:
        """What is published at the commit that this shows."""
        return self._pin.manifest

    @property
    def location(self) -> str:
        """Where the segments lie."""
        return str(self._folder.absolute())

    @property
    def commit_number(self) -> int:
        """The commit that is shown."""
        return self.manifest.commit_number

    @property
    def committed_at(self) -> str:
        """When it was made (ISO 8601)."""
        return self.manifest.committed_at

    @contextmanager
    def sound(self) -> Iterator[None]:
        """Explain within the block what is missing or damaged."""
        try:
            yield
        except (duckdb.Error, OSError, pa.ArrowInvalid) as error:
            # DuckDB has no class of its own for a torn Parquet page: then it raises the root of them all.
            if isinstance(error, _DAMAGE) or type(error) is duckdb.Error:
                raise self._damaged(error) from error
            raise

    def admit(self, sql: str) -> None:
        """Let every question pass: the connection holds nothing but the published segments."""

    def find(
        self, name: str, column: str, values: pa.Array, columns: Sequence[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a table whose `column` holds one of the values, found through lookups."""
        return self._rows.find(name, column, values, columns, rows)

    def confined_cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection for a user's question, which reaches the published folder and no other file."""
        if not self._confined:
            self.connection.execute(f"SET allowed_directories = [{quoted(str(self._folder))}]")
            self.connection.execute("SET enable_external_access = false")
            self._confined = True
        return self.connection.cursor()

    def close(self) -> None:
        """Close the in-memory database and let go of what was read."""
        self._rows.close()
        self.connection.close()
        self._pin.close()

    def _create_views(self) -> None:
        """Create what has no segments, and what follows from other views, in one go: each call costs a while."""
        empty = [table for table in TABLES if not self.manifest.tables.get(table.name)]
        self.connection.execute(";".join(table.create_statement() for table in empty))
        for table in TABLES:
            if table not in empty:
                self._create_view(table)
        self.connection.execute(";".join(DERIVED_VIEWS))

    def _create_view(self, table: Table) -> None:
        segments = self.manifest.tables[table.name]
        files = ", ".join(quoted(str(self._folder / segment.file)) for segment in segments)
        try:
            self.connection.execute(_view(table, f"[{files}]"))
        except duckdb.BinderException:
            self.connection.execute(_view_of_older_segments(table, f"[{files}]"))

    def _damaged(self, error: Exception) -> StoreError:
        if self._was_replaced():
            return StoreError(
                f"what commit {self.commit_number} had published is gone: items were erased, or the store was replaced",
                unchanged="the store is sound",
                hint="run the command again",
            )
        return StoreError(
            f"a published segment cannot be read: {str(error).splitlines()[0]}",
            unchanged="the ledger itself was not touched",
            hint=f"delete {PUBLISHED_FOLDER}/ inside the store; the next writing command publishes it anew",
        )

    def _was_replaced(self) -> bool:
        """Whether a segment is missing that the store does not name any more."""
        named = _files(read_manifest(self._store_folder))
        return any(not (self._folder / file).exists() for file in _files(self.manifest) - named)


def _files(manifest: Manifest) -> set[str]:
    return {segment.file for segments in manifest.tables.values() for segment in segments}


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
