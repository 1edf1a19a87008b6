"""Erasure: a person's data leave the store for good, and a tombstone keeps them from coming back.

What to erase is written to a file first, as ids and keys without content. Whoever opens the store after a kill finishes
what it says, so that an erasure that was begun ends.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import CurateError, StoreError
from curate.store.address import LakeAddress
from curate.store.care.traces import Traces, find_traces
from curate.store.database import DAMAGED_SUFFIX, LEDGER_FILE, open_ledger, rewrite_ledger
from curate.store.inbox import forget_answers
from curate.store.journal import Journal
from curate.store.lookups import forget_lookups
from curate.store.manifest import PUBLISHED_FOLDER, Segment, read_manifest, replace_file, sync_folder
from curate.store.publish import publish, swap_manifest
from curate.store.reader import Reader
from curate.store.schema import TABLES, Table, table
from curate.store.segments import write_segment
from curate.store.spill import is_in_use, spill_folders
from curate.store.write import Write, apply_write, rows

if TYPE_CHECKING:
    from curate.store.store import Store

PLAN_FILE = "erasure.json"
KEPT_TABLES = ("ledger", "snapshot_items", "tombstones")
"""Tables whose rows about an erased item stay: ids alone, which tell what still holds it. All others lose them."""
_REJECT_KEY = table("rejects").key


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What to erase: items, requests and rejects by their keys, and why; it holds no content."""

    items: tuple[str, ...]
    reason: str
    requests: tuple[str, ...] = ()
    rejects: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, items: Sequence[str], traces: Traces, reason: str) -> "ErasurePlan":
        """Return the plan for items and their traces."""
        return cls(tuple(sorted(items)), reason, traces.requests, traces.rejects)


def items_where(reader: Reader, condition: str) -> list[str]:
    """Return the items that an SQL condition over the columns of `items` and `origins` fits.

    Raises:
        UsageError: it is not one condition, or DuckDB refuses it.
    """
    found = reader.ask(f"""
        SELECT item_id FROM items WHERE item_id IN (
            SELECT item_id FROM (SELECT * EXCLUDE (run_id, commit_number) FROM items)
            LEFT JOIN latest_origins USING (item_id) WHERE (
        {condition}
        )) ORDER BY item_id""")
    return [str(item_id) for item_id in found.read_all()["item_id"].to_pylist()]


def erase(store: "Store", plan: ErasurePlan) -> Mapping[str, int]:
    """Erase and return the rows that each table lost; afterwards no file of the store holds the content.

    The lease is held for all of it. Cost: segments that hold the content are rewritten, and the ledger as a whole, for
    DuckDB leaves deleted bytes in its file. A reader that still reads an older commit may find its segments gone.
    On a lake `erase_from_lake` says what is done.

    Raises:
        StoreBusyError: the lease was not to be had; nothing was erased.
        CurateError: the disk refuses; the next command that writes goes on.
    """
    if isinstance(store.address, LakeAddress):
        from curate.store.care.lake_erasure import erase_from_lake

        return erase_from_lake(store, plan)
    with store.maintenance():
        finish_erasure(store)
        content = {name: getattr(plan, name) for name in ErasurePlan.__dataclass_fields__}
        replace_file(store.folder / PLAN_FILE, json.dumps(content).encode())
        return finish_erasure(store)


def tombstones_of(folder: Path) -> dict[str, str]:
    """Return the erased items of the store in `folder`, with the reasons; none where it cannot be read."""
    try:
        with Reader(folder) as reader:
            found = reader.query("SELECT item_id, reason FROM tombstones")
    except CurateError:
        return {}
    return dict(zip(found["item_id"].to_pylist(), found["reason"].to_pylist(), strict=True))


def erase_again(store: "Store", tombstones: Mapping[str, str]) -> int:
    """Erase what was erased after a backup that has been restored was made; return how many items that were.

    Raises:
        StoreBusyError: the lease was not to be had.
    """
    missing = sorted(set(tombstones) - set(tombstones_of(store.folder)))
    for reason in sorted({tombstones[item] for item in missing}):
        items = [item for item in missing if tombstones[item] == reason]
        with store.reader() as reader:
            traces = find_traces(reader, Journal(store.folder), items)
        erase(store, ErasurePlan.of(items, traces, reason))
    return len(missing)


def finish_erasure(store: "Store") -> Mapping[str, int]:
    """Carry out the erasure that was begun, if there is one; each part may be done already. The caller holds the lease.

    Raises:
        StoreError: the file that says what to erase is damaged.
    """
    plan = _read_plan(store.folder)
    if plan is None:
        return {}
    doom = Doom(plan)
    with open_ledger(store.folder, timeout=store.lease_timeout) as connection:
        lost = _erase_rows(connection, store, doom)
        publish(connection, store.folder)
    _rewrite_segments(store.folder, doom)
    _remove_leftovers(store.folder, doom)
    rewrite_ledger(store.folder, timeout=store.lease_timeout)
    Journal(store.folder).rewrite_without(plan.requests)
    forget_answers(store.folder, plan.items)
    (store.folder / PLAN_FILE).unlink()
    sync_folder(store.folder)
    return lost


class Doom:
    """Which rows of a plan go, as Arrow sees them (segments) and as DuckDB sees them (the ledger)."""

    def __init__(self, plan: ErasurePlan) -> None:
        self.plan = plan
        self.commit_number = 0
        self.items = pa.array(plan.items, pa.string())
        self.requests = pa.array(plan.requests, pa.string())
        self._rejects = set(plan.rejects)

    def columns(self, entry: Table) -> list[str]:
        """The columns that decide about a table's rows; none where all stay as they are."""
        if entry.name == "rejects":
            return [*_REJECT_KEY, "detail"]
        if entry.name == "requests":
            return ["request_key"]
        return ["item_id", "commit_number"] if "item_id" in entry.names and entry.name not in KEPT_TABLES else []

    def hit(self, entry: Table, batch: pa.RecordBatch | pa.Table) -> pa.Array:
        """Whether each row goes (for a reject: whether its detail does)."""
        if entry.name == "rejects":
            keys = zip(*(batch[name].to_pylist() for name in _REJECT_KEY), strict=True)
            details = batch["detail"].to_pylist()
            hit = [key in self._rejects and bool(text) for key, text in zip(keys, details, strict=True)]
            return pa.array(hit, pa.bool_())
        if entry.name == "requests":
            return pc.is_in(batch["request_key"], value_set=self.requests)
        # What the erasure itself wrote about the item stays.
        older = pc.less(batch["commit_number"], self.commit_number)
        return pc.and_(older, pc.is_in(batch["item_id"], value_set=self.items))

    def spare(self, entry: Table, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch without what goes."""
        hit = self.hit(entry, batch)
        if entry.name != "rejects":
            return batch.filter(pc.invert(hit))
        place = batch.schema.get_field_index("detail")
        return batch.set_column(place, "detail", pc.if_else(hit, "", batch["detail"]))

    def delete(self, connection: duckdb.DuckDBPyConnection) -> Mapping[str, int]:
        """Delete the ledger's rows and return how many each table lost; the transaction is the caller's."""
        connection.register("doomed_items", pa.table({"item_id": self.items}))
        connection.register("doomed_requests", pa.table({"request_key": self.requests}))
        keys = {name: [key[place] for key in self.plan.rejects] for place, name in enumerate(_REJECT_KEY)}
        connection.register("doomed_rejects", pa.table({name: pa.array(v, pa.string()) for name, v in keys.items()}))
        columns = ", ".join(_REJECT_KEY)
        connection.execute(
            f"UPDATE rejects SET detail = '' WHERE ({columns}) IN (SELECT ({columns}) FROM doomed_rejects)"
        )
        lost = {}
        for entry in TABLES:
            key = "request_key" if entry.name == "requests" else "item_id"
            if self.columns(entry) and entry.name != "rejects":
                doomed = "doomed_requests" if key == "request_key" else "doomed_items"
                statement = f'DELETE FROM "{entry.name}" WHERE "{key}" IN (SELECT "{key}" FROM {doomed})'
                [(lost[entry.name],)] = connection.execute(statement).fetchall()
        return {name: count for name, count in lost.items() if count}


def _erase_rows(connection: duckdb.DuckDBPyConnection, store: "Store", doom: Doom) -> Mapping[str, int]:
    """Delete the rows and leave the tombstones in one transaction, unless that has been done."""
    lost: dict[str, int] = {}

    def delete() -> Mapping[str, int]:
        lost.update(doom.delete(connection))
        return {name: -count for name, count in lost.items()}

    if is_unburied(connection, doom):
        apply_write(connection, burial(doom.plan), store.run_row(), store.run_id, first=delete)
    connection.register("doomed_items", pa.table({"item_id": doom.items}))
    query = "SELECT max(commit_number) FROM tombstones SEMI JOIN doomed_items USING (item_id)"
    [(doom.commit_number,)] = connection.execute(query).fetchall()
    return lost


def is_unburied(connection: duckdb.DuckDBPyConnection, doom: Doom) -> bool:
    """Whether an item of the plan has no tombstone yet."""
    connection.register("doomed_items", pa.table({"item_id": doom.items}))
    [(count,)] = connection.execute("SELECT count(*) FROM doomed_items ANTI JOIN tombstones USING (item_id)").fetchall()
    return bool(count)


def burial(plan: ErasurePlan) -> Write:
    """The rows that an erasure adds: a tombstone each, and a decision like a superseded item's, for `dedup` to see."""
    ids = list(plan.items)
    tombstones = {"item_id": ids, "reason": plan.reason, "erased_at": [datetime.now(UTC)] * len(ids)}
    decisions = {"item_id": ids, "step": "ingest", "action": "drop", "reason": "erased"}
    return Write(
        "erase",
        {"tombstones": rows("tombstones", tombstones), "decisions": rows("decisions", decisions)},
    )


def _rewrite_segments(folder: Path, doom: Doom) -> None:
    """Write the segments that hold what goes anew, swap the manifest and delete the old ones, whoever reads them."""
    manifest = read_manifest(folder)
    figures = Counter(manifest.figures)
    tables = {}
    for entry in TABLES:
        kept = []
        for segment in manifest.tables.get(entry.name, ()):
            rewritten = _rewritten(folder, entry, segment, doom, figures)
            kept += [rewritten] if rewritten.rows else []
        tables[entry.name] = tuple(kept)
    changed = {name: kept for name, kept in tables.items() if kept != manifest.tables.get(name, ())}
    if changed:
        now_named = {name: kept for name, kept in (manifest.tables | changed).items() if kept}
        swap_manifest(folder, replace(manifest, tables=now_named, figures=dict(+figures)))


def _rewritten(folder: Path, entry: Table, segment: Segment, doom: Doom, figures: Counter[str]) -> Segment:
    path = folder / PUBLISHED_FOLDER / segment.file
    if not _holds(path, entry, doom):
        return segment
    if entry.name == "items":
        found = pq.read_table(path, columns=["modality", *doom.columns(entry)])
        gone = found.filter(doom.hit(entry, found))["modality"].to_pylist()
        figures.subtract(f"items:{modality}" for modality in gone)
    with pq.ParquetFile(path) as file:
        name = f"{segment.file.partition('.')[0]}.e{doom.commit_number:09d}.parquet"
        batches = (doom.spare(entry, batch) for batch in file.iter_batches())
        # With the columns that it had: one after it may lack a column that came later.
        return write_segment(folder, file.schema_arrow, name, batches, segment.level)


def _holds(path: Path, entry: Table, doom: Doom) -> bool:
    columns = doom.columns(entry)
    return bool(columns) and bool(pc.any(doom.hit(entry, pq.read_table(path, columns=columns))).as_py())


def _remove_leftovers(folder: Path, doom: Doom) -> None:
    """Delete every file beside the manifest's that may hold the content: replaced, unfinished or set aside."""
    manifest = read_manifest(folder)
    named = {segment.file for segments in manifest.tables.values() for segment in segments}
    gone = set()
    for path in (folder / PUBLISHED_FOLDER).iterdir():
        is_left = path.suffix == ".parquet" and path.name not in named
        if path.suffix == ".partial" or (is_left and _may_hold(path, doom)):
            path.unlink()
            gone.add(path.name)
    forget_lookups(folder, named)
    if gone & {file for file, _ in manifest.retired}:
        retired = tuple((file, moment) for file, moment in manifest.retired if file not in gone)
        swap_manifest(folder, replace(manifest, retired=retired))
    for path in (*folder.glob(f"{LEDGER_FILE}{DAMAGED_SUFFIX}*"), *folder.glob(".*.partial*")):
        path.unlink()
    for path in (folder / f"{LEDGER_FILE}.tmp", *(left for left in spill_folders(folder) if not is_in_use(left))):
        shutil.rmtree(path, ignore_errors=True)


def _may_hold(path: Path, doom: Doom) -> bool:
    """Whether a file that no manifest names holds the content, or cannot be read to find out."""
    try:
        return _holds(path, table(path.name.partition("-")[0]), doom)
    except (KeyError, OSError, pa.ArrowException):
        return True


def _read_plan(folder: Path) -> ErasurePlan | None:
    try:
        content: dict[str, Any] = json.loads((folder / PLAN_FILE).read_bytes())
        rejects = tuple(tuple(key) for key in content["rejects"])
        return ErasurePlan(tuple(content["items"]), content["reason"], tuple(content["requests"]), rejects)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"{PLAN_FILE} in the store {folder.name!r} says what to erase and cannot be read: {error}",
            unchanged="nothing was erased by this call",
            hint=f"delete {PLAN_FILE} and run `curate erase` again",
        ) from error
