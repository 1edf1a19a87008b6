"""What an embedded store has published: a DuckDB in memory over immutable Parquet segments; it waits for no writer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from curate.errors import StoreError
from curate.store.commit_view import quoted
from curate.store.manifest import PUBLISHED_FOLDER, Manifest, read_manifest
from curate.store.pins import pin_manifest
from curate.store.segment_rows import SegmentRows
from curate.store.spill import spill_folder
from curate.store.view_database import take_view_database

_DAMAGE = (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException, OSError, pa.ArrowInvalid)


class PublishedView:
    """The published segments of the store in `folder` at one commit, which is pinned until this is closed."""

    def __init__(self, folder: Path) -> None:
        self._store_folder = folder
        self._folder = folder / PUBLISHED_FOLDER
        self._confined = self._closed = False
        self._pin = pin_manifest(folder)
        try:
            self._database = take_view_database()
            self.connection = self._database.connect(spill_folder(folder))
        except BaseException:
            self._pin.close()
            raise
        self._rows = SegmentRows(folder, self.manifest, self.connection)
        try:
            with self.sound():
                self._database.show(folder, self.manifest)
        except BaseException:
            self._end(self._database.close)
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
        """Let go of what was read; the next reader may go on with the database, unless it was confined."""
        self._end(self._database.close if self._confined else self._database.give_back)

    def _end(self, let_go: Callable[[], None]) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._rows.close()
            self.connection.close()
            let_go()
        finally:
            self._pin.close()

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
