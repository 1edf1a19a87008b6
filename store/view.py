"""What `curate.open` returns: a store to look at from a notebook, as Arrow, at one commit; it never waits."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from curate.errors import ConfigurationError, UnknownNameError
from curate.store.address import Address, local_folder
from curate.store.reader import Reader
from curate.store.schema import TABLES
from curate.store.snapshots import find_snapshot, latest_snapshot
from curate.store.why import explain
from curate.types import SPLITS

_SNAPSHOTS = "SELECT snapshot, number, size, content_hash, as_of FROM snapshots ORDER BY snapshot, number"
_CONTENT = """
    SELECT s.item_id, s.label, s.split, s.score, i.modality, i.text, i.image, i.events
    FROM snapshot_items s JOIN items i USING (item_id)
    WHERE s.snapshot = $name AND s.number = $number AND list_contains($splits, s.split) ORDER BY s.item_id"""


class StoreView:
    """One consistent view of a store; what it shows stays until it is closed, whoever writes meanwhile.

    Answers come as `pyarrow.RecordBatchReader` in batches of up to 10,000 rows, and several may be read at once.
    Memory: one batch an answer, and DuckDB's for sorts and joins.

    Raises:
        ConfigurationError: there is no store at this address, or nothing has been published.
        StoreError: what is published is damaged.
    """

    def __init__(self, address: Address) -> None:
        self._reader = Reader(address)
        if not self._reader.commit_number:
            self._reader.close()
            inside = local_folder(address) / "curate-store"
            hint = f'curate.open("{inside}")' if inside.is_dir() else "curate run fills a store"
            raise ConfigurationError(f"nothing is published in {str(address)!r}", hint=hint)

    def __enter__(self) -> Self:
        """Return the view itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the view."""
        self.close()

    def close(self) -> None:
        """Let go of the commit that is shown; the view is of no use afterwards."""
        self._reader.close()

    @property
    def commit_number(self) -> int:
        """The commit that is shown."""
        return self._reader.commit_number

    @property
    def committed_at(self) -> str:
        """When that commit was made (ISO 8601)."""
        return self._reader.committed_at

    @property
    def tables(self) -> dict[str, int]:
        """The rows of every table by its name."""
        return {table.name: self._reader.manifest.rows(table.name) for table in TABLES}

    def table(self, name: str, columns: Sequence[str] = ()) -> pa.RecordBatchReader:
        """Return a table's rows, with some columns or all; in the order of their commits, except on a lake.

        Raises:
            UnknownNameError: there is no such table or column.
        """
        schemas = {table.name: table.schema.names for table in TABLES}
        if name not in schemas:
            raise UnknownNameError("table", name, schemas)
        for column in columns:
            if column not in schemas[name]:
                raise UnknownNameError("column", column, schemas[name], where=f"table {name!r}")
        shown = ", ".join(f'"{column}"' for column in columns or schemas[name])
        return self._reader.ask(f'SELECT {shown} FROM "{name}"')

    def query(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> pa.RecordBatchReader:
        """Answer one SELECT in DuckDB's SQL over the tables; `?` and `$name` stand for parameters.

        Raises:
            UsageError: it is not one SELECT, or DuckDB refuses it.
        """
        return self._reader.ask(sql, parameters)

    def snapshots(self) -> pa.Table:
        """Return snapshot, number, size, content hash and commit of every snapshot."""
        return self._reader.query(_SNAPSHOTS)

    def snapshot(self, name: str, number: int | None = None, splits: Sequence[str] = SPLITS) -> pa.RecordBatchReader:
        """Return a snapshot's items with content, label and split in the order of their ids; the newest by default.

        Raises:
            UnknownNameError: there is no snapshot of this name.
            UsageError: there is none of this number.
        """
        latest = latest_snapshot(self._reader, name)
        if latest is None:
            names = self._reader.query("SELECT DISTINCT snapshot FROM snapshots")["snapshot"].to_pylist()
            raise UnknownNameError("snapshot", name, names)
        wanted = latest if number is None else find_snapshot(self._reader, name, number)
        return self._reader.ask(_CONTENT, {"name": name, "number": wanted.number, "splits": list(splits)})

    def why(self, item: str) -> dict[str, Any]:
        """Return everything that the store knows about an item, named by the first digits of its id.

        Raises:
            UsageError: the digits fit several items.
            BadDataError: no item has such an id, or it was erased.
        """
        return explain(self._reader, item)
