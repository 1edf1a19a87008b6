"""Garbage: what no commit names and no reader uses any more, found and freed under the lease.

Nothing goes that somebody may still need: a reader's pin keeps its segments, a grace keeps replaced segments for
programs that pin nothing, and files that are written without the lease (checkpoints, exports) must have lain untouched
for `UNTOUCHED_SECONDS`.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from curate.store import publish as publishing
from curate.store.address import LakeAddress
from curate.store.checkpoints import CHECKPOINT_FOLDER, needed_of_policies, saving_checkpoints
from curate.store.database import LEDGER_FILE, idle_bytes, open_ledger, rewrite_ledger
from curate.store.fits import resting_fits
from curate.store.journal import JOURNAL_FOLDER, Journal
from curate.store.lookups import remove_segment, stray_lookups, unfinished_lookups
from curate.store.manifest import PUBLISHED_FOLDER, Manifest, read_manifest
from curate.store.pins import files_in_use
from curate.store.schema import TABLES, Table
from curate.store.segments import merge_tail
from curate.store.spill import is_abandoned, is_in_use, spill_folders
from curate.store.store import Store

UNTOUCHED_SECONDS = 3_600.0
SMALL_BYTES = 64 * 2**20
"""Segments below this size are merged; larger ones are not worth rewriting."""
_LEDGER_SHARE, _LEDGER_BYTES = 0.25, 16 * 2**20
_NAMING = ("checkpoint", "parent")


@dataclass(frozen=True, slots=True)
class Garbage:
    """One thing that can be freed: what it is, its name, its size on disk, and why nobody needs it."""

    kind: str
    name: str
    bytes: int
    reason: str


def find_garbage(store: Store, exports: Path | None = None) -> list[Garbage]:
    """Return what `collect_garbage` would free now; nothing is changed. Holds the lease for a listing of the folder.

    `exports` is the folder in which unfinished exports may lie.

    Raises:
        StoreBusyError: the lease was not to be had.
        StoreError: the ledger or the manifest is damaged.
    """
    if isinstance(store.address, LakeAddress):
        from curate.store.care.lake_garbage import find_lake_garbage

        return find_lake_garbage(store, exports)
    with store.maintenance():
        manifest = read_manifest(store.folder)
        merging = [found for table in TABLES if (found := _mergeable(store.folder, manifest, table))]
        return [*(_as_garbage(tail) for tail in merging), *(entry for entry, _ in _removable(store, exports))]


def collect_garbage(store: Store, exports: Path | None = None) -> list[Garbage]:
    """Free what nobody needs, and return what was freed.

    The lease is held for one table's merge at a time, so that writers get their turn. Segments that a merge has just
    replaced stay for the readers and fall to the next call. Cost: small segments are rewritten, at most `SMALL_BYTES`
    each; the ledger is rewritten where a quarter of it lies idle.

    Raises:
        StoreBusyError: the lease was not to be had.
        StoreError: the ledger or the manifest is damaged.
    """
    if isinstance(store.address, LakeAddress):
        from curate.store.care.lake_garbage import collect_lake_garbage

        return collect_lake_garbage(store, exports)
    freed = [found for table in TABLES if (found := _merge_small(store, table))]
    with store.maintenance():
        for entry, path in _removable(store, exports):
            _remove(store, entry, path)
            freed.append(entry)
        manifest = read_manifest(store.folder)
        left = publishing.discard_retired(store.folder, manifest)
        if left != manifest:
            publishing.swap_manifest(store.folder, left)
    return freed


def _merge_small(store: Store, table: Table) -> Garbage | None:
    with store.maintenance():
        manifest = read_manifest(store.folder)
        tail = _mergeable(store.folder, manifest, table)
        if not tail:
            return None
        segments = manifest.tables[table.name][-len(tail) :]
        level = max(segment.level for segment in segments)
        publishing.swap_manifest(store.folder, merge_tail(store.folder, manifest, table, segments, level))
        return _as_garbage(tail)


def _mergeable(folder: Path, manifest: Manifest, table: Table) -> list[Path]:
    """The newest segments of a table that are small, where there are several."""
    paths = [folder / PUBLISHED_FOLDER / segment.file for segment in manifest.tables.get(table.name, ())]
    tail: list[Path] = []
    for path in reversed(paths):
        if path.stat().st_size >= SMALL_BYTES:
            break
        tail.insert(0, path)
    return tail if len(tail) > 1 else []


def _as_garbage(tail: list[Path]) -> Garbage:
    name = tail[0].name.partition("-")[0]
    return Garbage("small segments", name, 0, f"{len(tail)} segments become one; a later gc frees them")


def _removable(store: Store, exports: Path | None) -> Iterator[tuple[Garbage, Path]]:
    """What can go, with the path of it; the caller holds the lease."""
    folder = store.folder
    yield from _segments(folder)
    yield from _unfinished(folder, exports)
    with open_ledger(folder, timeout=store.lease_timeout) as connection:
        named = {str(name) for (name,) in connection.execute(named_checkpoints_query()).fetchall()}
        drained = _drained(connection, folder)
        idle = idle_bytes(connection, folder)
    yield from unnamed_checkpoints(folder, named)
    if drained:
        size = (folder / JOURNAL_FOLDER / "requests.jsonl").stat().st_size
        entry = Garbage("answers", "journal", size, f"{len(drained)} answers that a commit holds")
        yield entry, folder / JOURNAL_FOLDER
    ledger = folder / LEDGER_FILE
    if idle >= max(_LEDGER_BYTES, _LEDGER_SHARE * ledger.stat().st_size):
        yield Garbage("ledger blocks", ledger.name, idle, "freed inside the file and not used again"), ledger


def _segments(folder: Path) -> Iterator[tuple[Garbage, Path]]:
    manifest, in_use = read_manifest(folder), files_in_use(folder)
    resting = {file for file, moment in manifest.retired if abs(time.time() - moment) < publishing.RETIRED_SECONDS}
    retired = {file for file, _ in manifest.retired}
    for path in sorted((folder / PUBLISHED_FOLDER).glob("*.parquet")):
        if path.name not in in_use | resting:
            reason = "it was replaced, and no reader uses it" if path.name in retired else "no manifest names it"
            yield Garbage("segment", path.name, path.stat().st_size, reason), path
    for path in stray_lookups(folder, {path.name for path in (folder / PUBLISHED_FOLDER).glob("*.parquet")}):
        yield Garbage("lookup", path.name, path.stat().st_size, "its segment is gone"), path


def _unfinished(folder: Path, exports: Path | None) -> Iterator[tuple[Garbage, Path]]:
    under_lease = [*folder.glob(".*.partial*"), *(folder / PUBLISHED_FOLDER).glob("*.partial")]
    under_lease += [*(folder / PUBLISHED_FOLDER).glob(".*.partial"), *folder.glob(f"{LEDGER_FILE}.tmp")]
    for path in sorted({*under_lease, *untouched_unfinished(folder, exports)}):
        yield Garbage("unfinished file", path.name, size_of(path), "whoever wrote it was stopped"), path


def untouched_unfinished(folder: Path, exports: Path | None) -> Iterator[Path]:
    """Yield what was begun without the lease and has lain untouched since, and what ended processes had spilled."""
    elsewhere = [*(folder / CHECKPOINT_FOLDER).glob(".*.partial"), *(folder / JOURNAL_FOLDER).glob(".*.partial")]
    yield from filter(is_abandoned, spill_folders(folder))
    elsewhere += [path for path in spill_folders(folder) if not is_abandoned(path) and not is_in_use(path)]
    elsewhere += unfinished_lookups(folder)
    elsewhere += resting_fits(folder)
    if exports is not None:
        elsewhere += [*exports.glob(".*.partial"), *exports.glob(".*.replaced")]
    yield from filter(_is_untouched, elsewhere)


def named_checkpoints_query() -> str:
    """The question for every checkpoint that some row names, and of a stream's policy the one that it goes on from."""
    columns = [(t.name, name) for t in TABLES if t.name != "policies" for name in t.names if name in _NAMING]
    named = [f'SELECT "{name}" AS checkpoint FROM "{table}"' for table, name in columns]
    return " UNION ".join([*named, needed_of_policies()])


def unnamed_checkpoints(folder: Path, named: set[str]) -> Iterator[tuple[Garbage, Path]]:
    """Yield the checkpoints that nothing goes on from and that have lain untouched."""
    for path in sorted((folder / CHECKPOINT_FOLDER).glob("[!.]*.*")):
        if path.name.partition(".")[0] not in named and _is_untouched(path):
            yield Garbage("checkpoint", path.name, size_of(path), "nothing goes on from it"), path


def _drained(connection: duckdb.DuckDBPyConnection, folder: Path) -> set[str]:
    """The keys of the journal's answers that the ledger holds."""
    waiting = pa.table({"request_key": pa.array(sorted(Journal(folder).keys()), pa.string())})
    connection.register("waiting", waiting)
    found = connection.execute("SELECT request_key FROM requests SEMI JOIN waiting USING (request_key)").fetchall()
    return {str(key) for (key,) in found}


def _remove(store: Store, entry: Garbage, path: Path) -> None:
    if entry.kind == "answers":
        with open_ledger(store.folder, timeout=store.lease_timeout) as connection:
            keys = _drained(connection, store.folder)
        Journal(store.folder).forget(keys)
    elif entry.kind == "ledger blocks":
        rewrite_ledger(store.folder, timeout=store.lease_timeout)
    else:
        remove_leftover(store.folder, entry, path)


def remove_leftover(folder: Path, entry: Garbage, path: Path) -> None:
    """Delete what was found in a store's folder; a checkpoint that is being saved again stays."""
    if entry.kind == "checkpoint":
        with saving_checkpoints(folder):
            if _is_untouched(path):
                path.unlink(missing_ok=True)
    elif entry.kind == "segment":
        remove_segment(path)
    elif path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_untouched(path: Path) -> bool:
    """Whether nobody has written here lately; a date in the future says nothing, so such a file stays."""
    newest = max(_modified(entry) for entry in (path, *path.rglob("*")))
    return time.time() - newest > UNTOUCHED_SECONDS


def _modified(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(entry.stat().st_size for entry in (path, *path.rglob("*")) if entry.is_file())
