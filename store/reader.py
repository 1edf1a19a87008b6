"""Reading the published snapshot: an in-memory DuckDB over immutable Parquet segments; it never waits for a writer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from curate.errors import StoreError, UsageError
from curate.store.manifest import PUBLISHED_FOLDER, Manifest, read_manifest
from curate.store.pins import pin_manifest
from curate.store.results import stream_rows
from curate.store.schema import TABLES, Table

_VIEWS = (
    """
    CREATE VIEW latest_decisions AS
    SELECT item_id, step, action, reason, commit_number FROM decisions
    QUALIFY row_number() OVER (PARTITION BY item_id, step ORDER BY commit_number DESC, action, reason) = 1""",
    """
    CREATE VIEW dropped AS
    SELECT item_id, arg_min(reason, (commit_number, step)) AS reason, arg_min(step, (commit_number, step)) AS step
    FROM latest_decisions WHERE action = 'drop' GROUP BY item_id""",
    """
    CREATE VIEW cursor_positions AS
    SELECT consumer, key, arg_max(position, commit_number) AS position FROM cursors GROUP BY ALL""",
)

_DAMAGE = (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException, OSError)


class Reader:
    """One consistent view of a store at one commit; the tables of the schema are its views.

    Use it as a context manager: until it ends, what it reads by is pinned and stays, whoever cleans up meanwhile.
    Memory: DuckDB's default limit (80 % of the machine) for sorts and joins, nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self.store_folder = folder
        self._folder = folder / PUBLISHED_FOLDER
        self._confined = False
        self._answer: pa.RecordBatchReader = pa.table({}).to_reader()
        self._pin = pin_manifest(folder)
        self._connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        try:
            with self._sound_segments():
                for table in TABLES:
                    self._create_view(table)
                for statement in _VIEWS:
                    self._connection.execute(statement)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the in-memory database and let go of what was read."""
        self.close()

    def close(self) -> None:
        """Close the in-memory database and let go of what was read."""
        self._connection.close()
        self._pin.close()

    @property
    def manifest(self) -> Manifest:
        """What is published at the commit that this view shows."""
        return self._pin.manifest

    @property
    def commit_number(self) -> int:
        """The commit that this view shows."""
        return self.manifest.commit_number

    @property
    def committed_at(self) -> str:
        """When that commit was made (ISO 8601)."""
        return self.manifest.committed_at

    def query(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> pa.Table:
        """Return the whole answer to one of curate's own questions.

        Raises:
            StoreError: a published segment is missing or damaged.
        """
        return self.stream(sql, parameters).read_all()

    def stream(
        self, sql: str, parameters: Sequence[Any] | dict[str, Any] = (), rows: int = 10_000
    ) -> pa.RecordBatchReader:
        """Return the answer as batches of at most `rows` rows; valid until the next question to this reader.

        Raises:
            StoreError: a published segment is missing or damaged; this may show only while the batches are read.
        """
        with self._sound_segments():
            self._answer.close()
            self._answer = answer = stream_rows(self._connection, sql, parameters, rows)
        return pa.RecordBatchReader.from_batches(answer.schema, self._checked(answer))

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table visible to the next questions under `name`, beside the store's tables."""
        self._answer.close()
        self._connection.register(name, table)

    def ask(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> pa.RecordBatchReader:
        """Answer a user's question: exactly one SELECT, over the published tables only.

        Several answers may be read at once, each by a cursor of its own.

        Raises:
            UsageError: it is not one SELECT, or DuckDB refuses it; a value that cannot be computed may show only while
                the batches are read.
        """
        try:
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise UsageError("only one SELECT can be asked; the published snapshot is read-only")
            self._confine()
            answer = stream_rows(self._connection.cursor(), statements[0], parameters)
        except duckdb.IOException as error:
            raise self._damaged(error) from error
        except duckdb.Error as error:
            raise _refused(error) from error
        return pa.RecordBatchReader.from_batches(answer.schema, _asked(answer))

    def _confine(self) -> None:
        """Let a user's query reach the published folder and no other file."""
        if self._confined:
            return
        self._answer.close()
        self._connection.execute(f"SET allowed_directories = [{_quoted(str(self._folder))}]")
        self._connection.execute("SET enable_external_access = false")
        self._confined = True

    def _create_view(self, table: Table) -> None:
        segments = self.manifest.tables.get(table.name, ())
        if not segments:
            self._connection.execute(table.create_statement())
            return
        files = ", ".join(_quoted(str(self._folder / segment.file)) for segment in segments)
        try:
            self._connection.execute(_view(table, f"[{files}]"))
        except duckdb.BinderException:
            self._connection.execute(_view_of_older_segments(table, f"[{files}]"))

    @contextmanager
    def _sound_segments(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, OSError) as error:
            # DuckDB has no class of its own for a torn Parquet page: then it raises the root of them all.
            if isinstance(error, _DAMAGE) or type(error) is duckdb.Error:
                raise self._damaged(error) from error
            raise

    def _checked(self, batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        with self._sound_segments():
            yield from batches

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
        named = _files(read_manifest(self.store_folder))
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
            UNION ALL BY NAME SELECT {table.nulls()} WHERE false)"""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _asked(batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except OSError as error:
        raise _refused(error) from error


def _refused(error: Exception) -> UsageError:
    return UsageError(f"the query cannot be answered: {error}", hint="`curate sql 'SHOW TABLES'` lists the tables")
