"""Integrity: whether a store still holds what was put into it; every check answers with findings and never raises.

Readable without the lease: the published segments, their items' ids computed anew, rows without an item, keys that
occur twice, commit numbers, snapshots' hashes, checkpoints. Only the comparison with the ledger takes the lease.
"""

import hashlib
import io
import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import CurateError, StoreBusyError
from curate.store.address import Address, LakeAddress, local_folder
from curate.store.care.erasure import KEPT_TABLES, PLAN_FILE
from curate.store.checkpoints import CHECKPOINT_FOLDER, named_checkpoints
from curate.store.database import LEDGER_FILE, RESTORE_HINT, read_ledger
from curate.store.ingestion.canonical import canonical_image, events_ids, image_id, text_ids
from curate.store.lease import hold_lease
from curate.store.manifest import PUBLISHED_FOLDER
from curate.store.reader import Reader
from curate.store.schema import TABLES, Table
from curate.store.snapshots import content_hash
from curate.store.spill import is_in_use, spill_folders

SAMPLE = 1_000
_ROWS = 500
_ANEW = f"delete {PUBLISHED_FOLDER}/ inside the store; the next writing command publishes it anew"
_SUPPORT = f"where the ledger differs too, {_ANEW}; else curate backup --restore FOLDER, and tell us"
_LOST = "put the missing files back; what else holds them is a copy (curate store copy)"
_DOCTOR = "curate doctor"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked: whether it is sound, what was found, and what to do where it is not."""

    what: str
    sound: bool
    detail: str
    remedy: str = ""


def check_integrity(address: Address, *, sample: int | None = SAMPLE, timeout: float = 5.0) -> Iterator[Check]:
    """Check a store; `sample` items have their ids computed anew, None means all.

    With None, or where something is wrong, the ledger's rows are compared with the published ones, which reads both as
    a whole. `timeout` bounds the wait for the lease. Memory: one batch of items, and DuckDB's for counting.
    """
    embedded = not isinstance(address, LakeAddress)
    if embedded and (local_folder(address) / PLAN_FILE).exists():
        yield Check("erasure", False, "one was begun and not finished", "curate gc")
    yield from _spilled(local_folder(address))
    try:
        with Reader(address) as reader:
            if not embedded and _is_unclean(reader):
                yield Check("erasure", False, "one was begun and not finished", "curate gc")
            pieces = _segments(reader, whole=sample is None) if embedded else _files(reader)
            yield pieces
            if pieces.sound:
                found = [*(check(reader) for check in _CHECKS), _items(reader, sample)]
                yield from found
                if embedded:
                    # Where something is wrong, row by row: that tells whether only what is published is damaged.
                    yield _ledger(reader, timeout, rows=sample is None or not all(check.sound for check in found))
    except CurateError as error:
        yield Check("published" if embedded else "lake", False, error.message, error.hint)


def _spilled(folder: Path) -> Iterator[Check]:
    """Say what readers moved to disk and did not take away; a killed one could not."""
    left = [path for path in spill_folders(folder) if not is_in_use(path)]
    if left:
        size = sum(entry.stat().st_size for path in left for entry in path.glob("*"))
        detail = f"{len(left)} folders with {size / 2**20:.0f} MiB are of no reader of this system"
        yield Check("spill", True, f"{detail}; curate gc frees what killed ones left")


def _segments(reader: Reader, *, whole: bool) -> Check:
    """Every segment holds as many rows as the manifest says; with `whole`, its pages are what their checksums say."""
    count = 0
    for name, segments in reader.manifest.tables.items():
        for segment in segments:
            count += 1
            try:
                rows = _rows_of(reader.store_folder / PUBLISHED_FOLDER / segment.file, whole)
            except (pa.ArrowException, OSError) as error:
                return Check("segments", False, f"{segment.file} cannot be read: {error}", _ANEW)
            if rows != segment.rows:
                detail = f"{segment.file} of {name} holds {rows} rows, the manifest says {segment.rows}"
                return Check("segments", False, detail, _ANEW)
    return Check("segments", True, f"{count} segments, {sum(map(reader.manifest.rows, reader.manifest.tables))} rows")


def _rows_of(segment: Path, whole: bool) -> int:
    if not whole:
        return int(pq.read_metadata(segment).num_rows)
    with pq.ParquetFile(segment, page_checksum_verification=True) as file:
        return sum(batch.num_rows for batch in file.iter_batches(_ROWS))


def _is_unclean(reader: Reader) -> bool:
    """Whether files of a lake may hold erased rows still; one without commits holds none."""
    return reader.commit_number > 0 and reader.query("FROM lake.fences WHERE step = 'erase'").num_rows > 0


def _files(reader: Reader) -> Check:
    """Every file of a lake's tables can be read; a column of each is."""
    for table in TABLES:
        try:
            reader.query(f'SELECT sum(hash(run_id)) FROM "{table.name}"')
        except CurateError as error:
            return Check("files", False, f"{table.name}: {error.message}", _LOST)
    return Check("files", True, f"of {len(TABLES)} tables, {sum(reader.manifest.counts().values())} rows")


def _commits(reader: Reader) -> Check:
    """Commits are numbered from 1 without a gap, no row claims another, and each one's counts add up."""
    numbers = reader.query("SELECT commit_number FROM commits ORDER BY 1")["commit_number"].to_pylist()
    if numbers != list(range(1, reader.commit_number + 1)):
        detail = f"{len(numbers)} commits are recorded, the newest is {reader.commit_number}"
        return Check("commits", False, detail, _SUPPORT)
    claimed: dict[str, int] = {}
    for (text,) in (row.values() for row in reader.query('SELECT "rows" FROM commits').to_pylist()):
        for name, count in json.loads(text).items():
            claimed[name] = claimed.get(name, 0) + count
    silent = {"commits", "runs"}
    wrong = [
        f"{table.name}: {reader.manifest.rows(table.name)} rows, commits brought {claimed.get(table.name, 0)}"
        for table in TABLES
        if table.name not in silent and reader.manifest.rows(table.name) != claimed.get(table.name, 0)
    ]
    return Check("commits", not wrong, "; ".join(wrong) or f"{len(numbers)}, counts add up", _SUPPORT if wrong else "")


def _keys(reader: Reader) -> Check:
    """No natural key occurs twice."""
    twice = []
    for table in TABLES:
        if table.key and reader.manifest.rows(table.name):
            key = ", ".join(f'"{name}"' for name in table.key)
            query = f'SELECT count(*) AS n FROM (SELECT {key} FROM "{table.name}" GROUP BY ALL HAVING count(*) > 1)'
            twice += [f"{table.name}: {n}" for n in reader.query(query)["n"].to_pylist() if n]
    detail = f"twice: {', '.join(twice)}" if twice else "none occurs twice"
    return Check("keys", not twice, detail, _SUPPORT if twice else "")


def _orphans(reader: Reader) -> Check:
    """Every row about an item has its item, or its tombstone where rows outlive an erasure."""
    found = []
    for table in TABLES:
        if "item_id" in table.names and table.name != "items" and reader.manifest.rows(table.name):
            count = reader.query(_orphan_query(table))["n"][0].as_py()
            found += [f"{table.name}: {count}"] if count else []
    remedy = _SUPPORT if found else ""
    return Check("orphans", not found, f"rows without their item in {', '.join(found)}" if found else "none", remedy)


def _orphan_query(table: Table) -> str:
    # An erased item's tombstone explains the ids that stay, and the decision that the erasure itself took.
    known = "items" if table.name not in (*KEPT_TABLES, "decisions") else None
    items = "SELECT item_id FROM items" + ("" if known else " UNION SELECT item_id FROM tombstones")
    return f'SELECT count(*) AS n FROM "{table.name}" ANTI JOIN ({items}) USING (item_id) WHERE item_id IS NOT NULL'


def _snapshots(reader: Reader) -> Check:
    """A snapshot's items give the hash and the size that it was numbered with."""
    snapshots = reader.query("SELECT snapshot, number, content_hash, size FROM snapshots ORDER BY ALL").to_pylist()
    query = "SELECT item_id, label, split FROM snapshot_items WHERE snapshot = ? AND number = ?"
    wrong = []
    for row in snapshots:
        items = reader.query(query, [row["snapshot"], row["number"]])
        if (content_hash(items), len(items)) != (row["content_hash"], row["size"]):
            wrong.append(f"{row['snapshot']} {row['number']}")
    detail = f"other content than their hash says: {', '.join(wrong)}" if wrong else f"{len(snapshots)} with their hash"
    return Check("snapshots", not wrong, detail, _SUPPORT if wrong else "")


def _checkpoints(reader: Reader) -> Check:
    """Every named checkpoint is there and is what its name says."""
    names = named_checkpoints(reader)
    folder = reader.store_folder / CHECKPOINT_FOLDER
    wrong = [name[:12] for name in names if not any(_is_named_after_content(path) for path in folder.glob(f"{name}.*"))]
    remedy = "restore the file from a backup; without it the learner begins anew" if wrong else ""
    detail = f"missing or damaged: {', '.join(wrong)}" if wrong else f"{len(names)} with their hash"
    return Check("checkpoints", not wrong, detail, remedy)


def _is_named_after_content(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == path.name.partition(".")[0]
    except OSError:
        return False


def _erased(reader: Reader) -> Check:
    """No item is there that was erased."""
    query = "SELECT item_id FROM items SEMI JOIN tombstones USING (item_id) ORDER BY 1"
    back = reader.query(query)["item_id"].to_pylist()
    detail = f"{len(back)} are back: {back[0][:16]}" if back else f"{reader.manifest.rows('tombstones')}, none is back"
    return Check("erased items", not back, detail, f"curate erase {back[0][:16]}" if back else "")


_CHECKS: tuple[Callable[[Reader], Check], ...] = (_commits, _keys, _orphans, _erased, _snapshots, _checkpoints)


def _items(reader: Reader, sample: int | None) -> Check:
    """Items' ids are the hashes of their content. A sample starts at a random id, so that in time all are met."""
    start = secrets.token_hex(32)
    limit = "" if sample is None else f" ORDER BY item_id < '{start}', item_id LIMIT {int(sample)}"
    query = f"""
        SELECT item_id, modality, text, image, events, time_unit
        FROM items SEMI JOIN (SELECT item_id FROM items{limit}) USING (item_id)"""
    checked, wrong = 0, []
    for batch in reader.stream(query, rows=_ROWS):
        expected = batch.column("item_id").to_pylist()
        wrong += [name for name, found in zip(expected, _ids(batch), strict=True) if name != found]
        checked += len(expected)
    total = reader.manifest.rows("items")
    if wrong:
        detail = f"{len(wrong)} of {checked} are not their content's hash, for instance {wrong[0][:16]}"
        return Check("items", False, detail, _SUPPORT)
    of_all = "" if checked == total else f" of {total} (--all checks all)"
    return Check("items", True, f"{checked}{of_all} are their content's hash")


def _ids(batch: pa.RecordBatch) -> Iterable[str | None]:
    texts = text_ids(batch.column("text")).to_pylist()
    units = batch.column("time_unit").to_pylist()
    for place, modality in enumerate(batch.column("modality").to_pylist()):
        if modality == "text":
            yield texts[place]
        elif modality == "events":
            yield events_ids(batch.column("events").slice(place, 1), units[place] or "").to_pylist()[0]
        else:
            yield _image_id(batch.column("image")[place].as_py())


def _image_id(content: bytes | None) -> str | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content or b"")) as image:
            return image_id(canonical_image(image))
    except Exception:  # damaged bytes make Pillow's decoders raise an open set of exceptions
        return None


def _ledger(reader: Reader, timeout: float, *, rows: bool) -> Check:
    """The ledger ends at the published commit and holds as many rows of every table; with `rows`, the same rows."""
    folder = reader.store_folder
    if not (folder / LEDGER_FILE).exists():
        return Check("ledger", False, "it is missing", RESTORE_HINT)
    try:
        with hold_lease(folder, timeout=timeout, command=_DOCTOR), read_ledger(folder, timeout=timeout) as connection:
            return _compare(reader, connection, rows)
    except StoreBusyError as error:
        return Check("ledger", True, f"not compared: {error.message}")
    except CurateError as error:
        return Check("ledger", False, error.message, error.hint)
    except duckdb.Error as error:
        return Check("ledger", False, f"it cannot be read: {str(error).splitlines()[0]}", RESTORE_HINT)


def _compare(reader: Reader, connection: duckdb.DuckDBPyConnection, rows: bool) -> Check:
    [(newest,)] = connection.execute("SELECT coalesce(max(commit_number), 0) FROM commits").fetchall()
    if newest > reader.commit_number:
        detail = f"it ends at commit {newest}, published is {reader.commit_number}: a writer was stopped, or is at work"
        return Check("ledger", True, f"{detail}; the next writing command publishes")
    if newest < reader.commit_number:
        return Check("ledger", False, f"it ends at commit {newest}, published is {reader.commit_number}", RESTORE_HINT)
    known = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    wrong = []
    for table in TABLES:
        if table.name in known:
            query = _digest(table) if rows else f'SELECT count(*) FROM "{table.name}"'
            [found], [published] = connection.execute(query).fetchall(), reader.query(query).to_pylist()
            wrong += [table.name] if list(found) != list(published.values()) else []
    remedy = f"{RESTORE_HINT}; or {_ANEW}" if wrong else ""
    same = "the same rows" if rows else "as many rows as are published"
    return Check("ledger", not wrong, f"other rows than published in {', '.join(wrong)}" if wrong else same, remedy)


def _digest(table: Table) -> str:
    """A query for the number of rows and a sum over their hashes, which does not depend on their order."""
    columns = ", ".join(f'"{name}"' for name in table.schema.names)
    return f'SELECT count(*) AS n, coalesce(sum(hash({columns})), 0)::VARCHAR AS digest FROM "{table.name}"'
