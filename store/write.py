"""One prepared batch, and the single transaction that adds it to the ledger."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.store.results import read_rows
from curate.store.schema import CURSORS, ITEMS, LEDGER, ORIGINS, REQUESTS, Table, table

_BORN_WITH_ITEMS = frozenset({ORIGINS.name})
"""Tables that hold nothing of an item before `items` does: of an item that is new, all of their rows are new."""


@dataclass(frozen=True, slots=True)
class CursorMove:
    """A consumer's step forward; it holds only if the cursor still stands at `before` ("" where it never moved)."""

    consumer: str
    key: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """What was done, by which version, with which parameters: the ledger's key without the item."""

    step: str
    step_version: str
    parameters: str

    @property
    def consumer(self) -> str:
        """The name of the cursor that belongs to this key."""
        return f"{self.step}/{self.step_version}/{self.parameters}"


@dataclass(frozen=True, slots=True)
class Write:
    """A prepared batch: rows per table, the items that it settles, and the cursors that move with it.

    All of it is committed or nothing. Rows whose natural key exists are not added again. With `ledger`, rows about an
    item that the ledger already holds under that key are left out, so that two runs cannot do the same work twice.
    """

    step: str
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    cursors: Sequence[CursorMove] = ()
    ledger: LedgerKey | None = None
    items: Sequence[str] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Commit:
    """What a transaction added; `stale` says that a cursor had moved meanwhile and nothing was written.

    `number` is None where everything was there already.
    """

    number: int | None
    added: Mapping[str, int]
    stale: bool = False


def rows(name: str, columns: Mapping[str, Any], length: int | None = None) -> pa.Table:
    """Build rows of the table `name` from arrays or lists; a plain string, number or None fills its whole column.

    Raises:
        ValueError: a column is missing or unknown.
    """
    entry = table(name)
    if set(columns) != set(entry.names):
        raise ValueError(f"columns of {name}: {sorted(set(columns) ^ set(entry.names))} missing or unknown")
    count = length if length is not None else _length(columns)
    arrays = [_column(columns[field_name], kind, count) for field_name, kind in entry.columns]
    return pa.Table.from_arrays(arrays, names=list(entry.names))


def _length(columns: Mapping[str, Any]) -> int:
    sizes = {len(value) for value in columns.values() if not isinstance(value, str | int | float | None)}
    return sizes.pop() if sizes else 1


def _column(value: Any, kind: pa.DataType, count: int) -> pa.Array | pa.ChunkedArray:
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value if value.type == kind else value.cast(kind)
    if isinstance(value, str | int | float | None):
        return pa.repeat(pa.scalar(value, kind), count)
    return pa.array(value, kind)


def apply_write(
    connection: duckdb.DuckDBPyConnection,
    write: Write,
    run: pa.Table,
    run_id: str,
    *,
    first: Callable[[], Mapping[str, int]] = dict,
    inserted: Callable[[Table, pa.Table, int], None] = lambda entry, added, number: None,
    last: Callable[[], object] = lambda: None,
) -> Commit:
    """Add a batch in one transaction and return what came of it; the connection's caller holds the lease.

    `first` changes more in the same transaction before, and returns how many rows each table gained (or lost, below 0).
    `inserted` hears of the rows that each table gains, in their order, and of the commit's number, while the
    transaction is open; of `commits` it hears nothing. `last` is called before the transaction ends. Whatever one of
    them raises rolls the batch back.
    Cost: proportional to the batch, plus one scan of the key columns of each table touched.
    """
    connection.execute("BEGIN")
    try:
        commit = _Transaction(connection, run_id, inserted).apply(write, run, first)
        last()
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT" if commit.number is not None else "ROLLBACK")
    return commit


class _Transaction:
    """The steps of one open transaction."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, run_id: str, inserted: Callable[[Table, pa.Table, int], None]
    ) -> None:
        self.connection = connection
        self.run_id = run_id
        self.inserted = inserted
        [(last,)] = connection.execute("SELECT coalesce(max(commit_number), 0) FROM commits").fetchall()
        self.number = int(last) + 1
        self.new_items: pa.ChunkedArray | None = None

    def apply(self, write: Write, run: pa.Table, first: Callable[[], Mapping[str, int]]) -> Commit:
        erased = self._erased(write)
        if self._has_moved(write.cursors) or _names_any(write.tables.get("snapshot_items"), erased):
            return Commit(None, {}, stale=True)
        settled = self._settled(write)
        fresh = {name: _without(_without(batch, settled), erased) for name, batch in write.tables.items()}
        if len(erased):
            fresh.pop(REQUESTS.name, None)  # one of them shows an erased item to a model, and nothing tells which
        counts = Counter(first())
        counts.update({name: self._add(table(name), batch) for name, batch in fresh.items() if len(batch)})
        counts.update(self._add_ledger(write, settled) | self._add_cursors(write.cursors))
        added = {name: count for name, count in counts.items() if count}
        if not added:
            return Commit(None, {})
        self._add_commit(write, run, added)
        return Commit(self.number, added)

    def _erased(self, write: Write) -> pa.Table:
        """The batch's items that were erased while it was prepared: nothing about them is added any more."""
        tombstones = read_rows(self.connection, "SELECT item_id FROM tombstones LIMIT 1")
        if not len(tombstones):
            return tombstones
        ids = [batch["item_id"] for batch in write.tables.values() if "item_id" in batch.column_names]
        chunks = [chunk for column in ids for chunk in column.chunks]
        self.connection.register("arriving", pa.table({"item_id": pa.chunked_array(chunks, pa.string())}))
        query = "SELECT item_id FROM tombstones SEMI JOIN arriving USING (item_id)"
        found = read_rows(self.connection, query)
        self.connection.unregister("arriving")
        return found

    def _has_moved(self, moves: Sequence[CursorMove]) -> bool:
        if not moves:
            return False
        names = ("consumer", "key", "before")
        expected = pa.table({name: [getattr(move, name) for move in moves] for name in names})
        self.connection.register("expected", expected)
        query = """
            SELECT count(*) FROM expected e LEFT JOIN (
                SELECT consumer, key, arg_max(position, commit_number) AS position
                FROM cursors SEMI JOIN expected USING (consumer, key) GROUP BY ALL
            ) c USING (consumer, key)
            WHERE coalesce(c.position, '') <> e.before"""
        [(moved,)] = self.connection.execute(query).fetchall()
        self.connection.unregister("expected")
        return bool(moved)

    def _settled(self, write: Write) -> pa.Table:
        """The batch's items that the ledger already holds under the batch's key."""
        ids = pa.table({"item_id": pa.array(write.items, pa.string())})
        if write.ledger is None or not write.items:
            return ids.slice(0, 0)
        self.connection.register("wanted", ids)
        query = """
            SELECT item_id FROM ledger SEMI JOIN wanted USING (item_id)
            WHERE step = ? AND step_version = ? AND parameters = ?"""
        key = [write.ledger.step, write.ledger.step_version, write.ledger.parameters]
        found = read_rows(self.connection, query, key)
        self.connection.unregister("wanted")
        return found

    def _add(self, entry: Table, batch: pa.Table) -> int:
        """Insert the rows whose natural key is new, in their order, the first of each key."""
        return self._insert(entry, self._fresh(entry, batch) if entry.key else batch)

    def _fresh(self, entry: Table, batch: pa.Table) -> pa.Table:
        """The rows of the batch whose key the table does not hold, the first of each key; nulls equal nulls."""
        known = self._known(entry, batch)
        keys = batch.select(entry.key).append_column("row_position", pa.array(np.arange(len(batch))))
        self.connection.register("batch", keys)
        self.connection.register("known", known)
        found = read_rows(self.connection, _first_of_each(entry, len(known) > 0))
        self.connection.unregister("known")
        self.connection.unregister("batch")
        if entry.name == ITEMS.name:
            self.new_items = _without(keys, known)["item_id"]
        if len(found) == len(batch):
            return batch
        kept = np.zeros(len(batch), bool)
        kept[found["row_position"].to_numpy()] = True
        return batch.filter(pa.array(kept))

    def _known(self, entry: Table, batch: pa.Table) -> pa.Table:
        """The keys of the batch that the table holds already; one without rows, or about new items only, holds none."""
        keys = batch.select(entry.key)
        if entry.name in _BORN_WITH_ITEMS and self.new_items is not None:
            keys = keys.filter(pc.invert(pc.is_in(keys["item_id"], value_set=self.new_items.combine_chunks())))
        if not len(keys) or not self.connection.execute(f'SELECT 1 FROM "{entry.name}" LIMIT 1').fetchall():
            return keys.slice(0, 0)
        self.connection.register("batch", keys)
        found = read_rows(self.connection, _known_keys(entry))
        self.connection.unregister("batch")
        return found

    def _insert(self, entry: Table, batch: pa.Table) -> int:
        """Insert the rows in their order, which DuckDB preserves."""
        if not len(batch):
            return 0
        batch = batch.append_column("run_id", pa.repeat(self.run_id, len(batch)))
        batch = batch.append_column("commit_number", pa.repeat(self.number, len(batch)))
        self.inserted(entry, batch, self.number)
        self.connection.register("batch", batch)
        # Columns by name: one that a migration added lies at the table's end.
        columns = ", ".join(f'"{name}"' for name in entry.schema.names)
        self.connection.execute(f'INSERT INTO "{entry.name}" ({columns}) SELECT {columns} FROM batch')
        self.connection.unregister("batch")
        return len(batch)

    def _add_ledger(self, write: Write, settled: pa.Table) -> dict[str, int]:
        if write.ledger is None or not write.items:
            return {}
        items = pc.unique(pa.array(write.items, pa.string()))
        fresh = _without(pa.table({"item_id": items}), settled)
        if not len(fresh):
            return {}
        columns = {
            "step": write.ledger.step,
            "step_version": write.ledger.step_version,
            "parameters": write.ledger.parameters,
            "item_id": fresh["item_id"],
        }
        # What is settled has just been taken out: a second look at the whole ledger would find nothing.
        return {LEDGER.name: self._insert(LEDGER, rows(LEDGER.name, columns, len(fresh)))}

    def _add_cursors(self, moves: Sequence[CursorMove]) -> dict[str, int]:
        changed = [move for move in moves if move.before != move.after]
        if not changed:
            return {}
        columns = {
            "consumer": [m.consumer for m in changed],
            "key": [m.key for m in changed],
            "position": [m.after for m in changed],
        }
        return {CURSORS.name: self._add(CURSORS, rows(CURSORS.name, columns))}

    def _add_commit(self, write: Write, run: pa.Table, added: Mapping[str, int]) -> None:
        [(known,)] = self.connection.execute("SELECT count(*) FROM runs WHERE run_id = ?", [self.run_id]).fetchall()
        if not known:
            self._add(table("runs"), run)
        self.connection.execute(
            'INSERT INTO commits (step, "rows", seconds, committed_at, run_id, commit_number)'
            " VALUES (?, ?, ?, now(), ?, ?)",
            [write.step, json.dumps(added, sort_keys=True), write.seconds, self.run_id, self.number],
        )


def _known_keys(entry: Table) -> str:
    key = ", ".join(f'"{name}"' for name in entry.key)
    return f'SELECT {key} FROM "{entry.name}" known SEMI JOIN batch ON ({_same_key(entry)})'


def _first_of_each(entry: Table, any_known: bool) -> str:
    key = ", ".join(f'batch."{name}"' for name in entry.key)
    unknown = f"ANTI JOIN known ON ({_same_key(entry)})" if any_known else ""
    return f"SELECT min(row_position) AS row_position FROM batch {unknown} GROUP BY {key}"


def _same_key(entry: Table) -> str:
    return " AND ".join(f'known."{name}" IS NOT DISTINCT FROM batch."{name}"' for name in entry.key)


def _names_any(batch: pa.Table | None, items: pa.Table) -> bool:
    return batch is not None and len(_without(batch, items)) < len(batch)


def _without(batch: pa.Table, settled: pa.Table) -> pa.Table:
    if not len(settled) or "item_id" not in batch.column_names:
        return batch
    return batch.filter(pc.invert(pc.is_in(batch["item_id"], value_set=settled["item_id"].combine_chunks())))
