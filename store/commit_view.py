"""One commit of a store as tables to ask: what an embedded store and a lake each show in their own way."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import duckdb
import pyarrow as pa

from curate.store.address import Address, LakeAddress
from curate.store.manifest import Manifest
from curate.store.silence import WITHDRAWAL

DERIVED_VIEWS = (
    """
    CREATE VIEW latest_decisions AS
    SELECT item_id, step, action, reason, commit_number FROM decisions
    QUALIFY row_number() OVER (PARTITION BY item_id, step ORDER BY commit_number DESC, action, reason) = 1""",
    """
    CREATE VIEW dropped AS
    SELECT item_id, arg_min(reason, (commit_number, step)) AS reason, arg_min(step, (commit_number, step)) AS step
    FROM latest_decisions WHERE action = 'drop' GROUP BY item_id""",
    """
    CREATE VIEW latest_origins AS
    SELECT o.item_id, o.source, o.locator, o.entity,
        CASE WHEN r.turn IS NULL THEN o.licence ELSE r.licence END AS licence,
        CASE WHEN r.turn IS NULL THEN o.metadata ELSE r.metadata END AS metadata, o.commit_number
    FROM origins o LEFT JOIN (
        SELECT item_id, source, locator, licence, metadata, turn FROM restatements
        QUALIFY row_number() OVER (PARTITION BY item_id, source, locator ORDER BY commit_number DESC, turn DESC) = 1
    ) r USING (item_id, source, locator)""",
    f"""
    CREATE VIEW withdrawals AS
    SELECT item_id, protocol, protocol_version, attribute, annotator,
        max(TRY_CAST(annotator_version AS BIGINT)) AS until, {WITHDRAWAL}
    FROM abstentions GROUP BY ALL""",
    """
    CREATE VIEW cursor_positions AS
    SELECT consumer, key, arg_max(position, commit_number) AS position FROM cursors GROUP BY ALL""",
)
"""What the tables say now, for a user's questions as for curate's own."""


class CommitView(Protocol):
    """A store at one commit; the tables of the schema and `DERIVED_VIEWS` are the connection's views."""

    connection: duckdb.DuckDBPyConnection

    @property
    def commit_number(self) -> int:
        """The commit that is shown."""
        ...

    @property
    def committed_at(self) -> str:
        """When it was made (ISO 8601)."""
        ...

    @property
    def location(self) -> str:
        """Where the files with the rows lie: a folder, or an address on object storage; "" where there are none yet."""
        ...

    @property
    def manifest(self) -> Manifest:
        """The rows of each table, running sums, and the segments where there are any."""
        ...

    def sound(self) -> AbstractContextManager[None]:
        """Explain within the block what is missing or damaged.

        Raises:
            StoreError: something is.
        """
        ...

    def admit(self, sql: str) -> None:
        """Look through a user's question before it is run.

        Raises:
            UsageError: it would reach more than the store's tables, and `confined_cursor` would not keep it from that.
        """
        ...

    def find(
        self, name: str, column: str, values: pa.Array, columns: Sequence[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a table whose `column` holds one of the values, in batches of about `rows` rows."""
        ...

    def confined_cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own for a user's question, which reaches the store's tables and no other file."""
        ...

    def close(self) -> None:
        """Let go of the commit."""
        ...


def open_commit_view(address: Address) -> CommitView:
    """Show the newest commit of a store; never waits for a writer.

    Raises:
        StoreError: what is published is damaged.
        MissingExtraError: the store lies on DuckLake, and what that needs is not installed.
        ServiceError: the lake's catalog cannot be reached.
    """
    if isinstance(address, LakeAddress):
        from curate.store.lake.view import LakeView

        return LakeView(address)
    from curate.store.published import PublishedView

    return PublishedView(address)


def quoted(text: str) -> str:
    """Write a text as SQL does, for statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"
