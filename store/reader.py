"""Reading a store: one consistent view of its tables at one commit; it never waits for a writer."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from curate.errors import UsageError
from curate.store.address import Address, local_folder
from curate.store.commit_view import open_commit_view
from curate.store.manifest import PUBLISHED_FOLDER, Manifest
from curate.store.results import stream_rows
from curate.store.schema import table

_INTERRUPTED = "INTERRUPT Error"


class Reader:
    """One consistent view of a store at one commit; the tables of the schema are its views.

    Use it as a context manager: until it ends, what it reads by stays, whoever cleans up meanwhile (on a lake: for as
    long as `curate gc` keeps older commits). Memory: DuckDB's default limit (80 % of the machine) for sorts and joins,
    nothing else.

    Raises:
        StoreError: what is published is damaged.
        MissingExtraError: the store lies on DuckLake, and what that needs is not installed.
        ServiceError: the lake's catalog cannot be reached.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.store_folder = local_folder(address)
        self._view = open_commit_view(address)
        self._connection = self._view.connection
        self._confined = False
        self._endings: list[Callable[[Reader], None]] = []
        self._answer: pa.RecordBatchReader = pa.table({}).to_reader()

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of what was read."""
        self.close()

    def close(self) -> None:
        """Let go of what was read."""
        while self._endings:
            self._endings.pop()(self)
        self._view.close()

    def at_close(self, call: Callable[["Reader"], None]) -> None:
        """Let `call(reader)` come before the end, while questions can still be asked."""
        self._endings.append(call)

    @property
    def manifest(self) -> Manifest:
        """What each table holds at the commit that this view shows."""
        return self._view.manifest

    @property
    def location(self) -> str:
        """Where the files with the rows lie: a folder, or an address on object storage; "" where there are none yet."""
        return self._view.location

    @property
    def commit_number(self) -> int:
        """The commit that this view shows."""
        return self._view.commit_number

    @property
    def committed_at(self) -> str:
        """When that commit was made (ISO 8601)."""
        return self._view.committed_at

    def segments(self, table: str) -> tuple[Path, ...]:
        """The files that hold a table's rows, in the order of their commits; a lake has none to show."""
        found = self.manifest.tables.get(table, ())
        return tuple(self.store_folder / PUBLISHED_FOLDER / segment.file for segment in found)

    def query(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> pa.Table:
        """Return the whole answer to one of curate's own questions.

        Raises:
            StoreError: what holds the rows is missing or damaged.
        """
        return self.stream(sql, parameters).read_all()

    def stream(
        self, sql: str, parameters: Sequence[Any] | dict[str, Any] = (), rows: int = 10_000
    ) -> pa.RecordBatchReader:
        """Return the answer as batches of at most `rows` rows; valid until the next question to this reader.

        Raises:
            StoreError: what holds the rows is missing or damaged; this may show only while the batches are read.
        """
        with self._view.sound():
            self._answer.close()
            self._answer = answer = stream_rows(self._connection, sql, parameters, rows)
        return pa.RecordBatchReader.from_batches(answer.schema, self._checked(answer))

    def find(self, name: str, column: str, values: Sequence[Any] | pa.Array, columns: Sequence[str]) -> pa.Table:
        """Return these columns of the rows of a table whose `column` holds one of the values, in no order.

        Cost: in an embedded store it grows with what is found and hardly with the store; on a lake the column is
        scanned.

        Raises:
            StoreError: what holds the rows is missing or damaged.
        """
        return self.find_batches(name, column, values, columns, rows=10_000).read_all()

    def find_batches(
        self, name: str, column: str, values: Sequence[Any] | pa.Array, columns: Sequence[str], *, rows: int
    ) -> pa.RecordBatchReader:
        """Return what `find` finds in batches of about `rows` rows; valid until the next question to this reader."""
        kinds = table(name).schema
        sought = values if isinstance(values, pa.Array) else pa.array(values, kinds.field(column).type)
        schema = pa.schema([pa.field(one, kinds.field(one).type) for one in columns])
        self._answer.close()
        batches = self._view.find(name, column, sought, columns, rows)
        self._answer = pa.RecordBatchReader.from_batches(schema, batches)
        return pa.RecordBatchReader.from_batches(schema, self._checked(self._answer))

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table visible to the next questions under `name`, beside the store's tables."""
        self._answer.close()
        self._connection.register(name, table)

    def ask(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> pa.RecordBatchReader:
        """Answer a user's question: exactly one SELECT, over the store's tables only.

        Several answers may be read at once, each by a cursor of its own.

        Raises:
            UsageError: it is not one SELECT, or DuckDB refuses it; a value that cannot be computed may show only while
                the batches are read.
        """
        try:
            statements = self._connection.extract_statements(sql)
            if not statements:
                raise UsageError("the query is empty", hint="curate sql 'SELECT count(*) FROM items'")
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise UsageError("only one SELECT can be asked; the published snapshot is read-only")
            self._view.admit(sql)
            answer = self._asked(statements[0], parameters)
        except duckdb.Error as error:
            raise _refused(error) from error
        told = _told(answer, partial(self._asked, statements[0], parameters))
        return pa.RecordBatchReader.from_batches(answer.schema, told)

    def _asked(self, statement: duckdb.Statement, parameters: Sequence[Any] | dict[str, Any]) -> pa.RecordBatchReader:
        if not self._confined:
            self._answer.close()
            self._confined = True
        cursor = self._view.confined_cursor()
        try:
            return stream_rows(cursor, statement, parameters)
        except duckdb.IOException:
            with self._view.sound():
                raise

    def _checked(self, batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        with self._view.sound():
            yield from batches


def _told(batches: pa.RecordBatchReader, ask_again: Callable[[], pa.RecordBatchReader]) -> Iterator[pa.RecordBatch]:
    """Yield the batches; an error is explained, and looked for where all that shows is how it ended others."""
    try:
        yield from batches
    except OSError as error:
        hidden = _INTERRUPTED in str(error)
        raise _refused((_first_error(ask_again) if hidden else None) or error) from error


def _first_error(ask: Callable[[], pa.RecordBatchReader]) -> Exception | None:
    try:
        for _ in ask():
            pass
    except (OSError, duckdb.Error) as error:
        return None if _INTERRUPTED in str(error) else error
    return None


def _refused(error: Exception) -> UsageError:
    return UsageError(f"the query cannot be answered: {error}", hint="`curate sql 'SHOW TABLES'` lists the tables")
