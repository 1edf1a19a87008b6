"""Writing an export: staged beside its folder, loaded back, and only then put in place."""

import filecmp
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from curate.errors import BadDataError
from curate.store.exports.check import check_export
from curate.store.exports.croissant import CROISSANT_FILE, croissant
from curate.store.exports.described import Description
from curate.store.exports.formats import derive
from curate.store.exports.growth import Growth, grow
from curate.store.exports.label_studio import LABELLING_FILE, labelling_interface
from curate.store.exports.manifest import (
    MANIFEST_FILE,
    REMOVED_FILE,
    ExportedNumber,
    ExportManifest,
    Shard,
    read_export_manifest,
    removed_lines,
)
from curate.store.exports.pieces import Workers
from curate.store.exports.plan import ExportPlan, label_names
from curate.store.exports.readme import README_FILE, count_origins, readme
from curate.store.exports.rows import OrderedRows
from curate.store.exports.shards import shard_names, start_shards
from curate.store.exports.target import Target
from curate.store.manifest import replace_file, sync_folder
from curate.store.reader import Reader
from curate.store.snapshots import Numbered, list_snapshots, snapshot_row
from curate.store.spill import is_alive

Check = Callable[[Path, ExportPlan, ExportManifest], None]
# Swapped last and in this order: `datasets` goes by the README, curate by its manifest.
_DESCRIPTIONS = (f"label-studio/{LABELLING_FILE}", REMOVED_FILE, CROISSANT_FILE, README_FILE, MANIFEST_FILE)


def is_complete(manifest: ExportManifest, snapshot: Numbered, formats: Sequence[str] = ()) -> bool:
    """Whether an export holds this very number as its newest, in every format asked for, or is ahead of it."""
    return is_ahead(manifest, snapshot) or (_holds(manifest, snapshot) and not _lacking(manifest, formats))


def is_ahead(manifest: ExportManifest, snapshot: Numbered) -> bool:
    """Whether an export went through this very number and beyond: the store was restored to an earlier state."""
    return manifest.newest.number > snapshot.number and manifest.holds(snapshot.number, snapshot.content_hash)


def missing_items(reader: Reader, snapshot: Numbered) -> int:
    """Return how many items of a snapshot the store no longer has, because they were erased."""
    query = """
        SELECT count(*) AS items FROM snapshot_items ANTI JOIN items USING (item_id)
        WHERE snapshot = ? AND number = ?"""
    return int(reader.query(query, [snapshot.snapshot, snapshot.number])["items"][0].as_py())


def export_snapshot(reader: Reader, plan: ExportPlan, folder: Path, *, check: Check = check_export) -> Path:
    """Bring the export's folder below `folder` to this number of the snapshot, and return it.

    Old shards stay as they are, byte for byte; new ones are written beside the folder, read back together with the old
    ones, and moved in. Nothing of a failed export stays; one that was killed is repeated by the next call. The same
    numbers exported in the same order give the same bytes.

    Cost: one pass over the ids of all items and of all claims about the label, over the columns besides content of what
    is there already, and over the content of what is new. Memory: see `Target`, `OrderedRows` and `check_export`.

    Raises:
        BadDataError: the folder is somebody else's, another store's or ahead of this one, items have been erased, or
            the result does not load back as it was written.
    """
    final = folder / plan.folder_name
    before = _own_manifest(reader, plan, final)
    with _staging(final) as staging, _workers(reader) as workers:
        plan, manifest, card, licences = _number_in(reader, plan, before, final, staging, workers)
        manifest = _in_all_formats(reader, plan, manifest, staging)
        if "label-studio" in plan.formats:
            as_of = snapshot_row(reader, plan.snapshot).as_of
            _describe(staging / "label-studio" / LABELLING_FILE, labelling_interface(reader, plan, as_of))
        readme_text = readme(plan, manifest, card, count_origins(staging, manifest), licences)
        _describe(staging / README_FILE, readme_text)
        _describe(staging / CROISSANT_FILE, croissant(plan, manifest, licences))
        replace_file(staging / MANIFEST_FILE, manifest.to_json())
        check(staging, plan, manifest)
        _put_in_place(staging, final)
    return final


def _number_in(
    reader: Reader, plan: ExportPlan, before: ExportManifest | None, final: Path, staging: Path, workers: Workers
) -> tuple[ExportPlan, ExportManifest, str, list[str]]:
    """Put the shards of the plan's number into `staging`; return the plan with all class names, and what was put there.

    That is its manifest, its card and its licences.
    """
    target = Target(reader, plan, workers)
    plan = replace(plan, class_names=label_names(plan.class_names, target.names))
    plan = _with_earlier_names(plan, before)
    target.name_labels(plan.class_names)
    description = Description(reader, plan, target, workers)
    if before and _holds(before, plan.snapshot):
        _link_shards(final, staging, before.listed)
        return plan, before, *description.finish()
    growth = grow(target, plan, before, final)
    _link_shards(final, staging, growth.shards)
    with _new_shards(target, plan, growth, staging, workers, first=before is None) as new:
        card, licences = description.finish()
    _describe(staging / REMOVED_FILE, removed_lines(final, plan.snapshot.number, growth.removed))
    return plan, _extended(before, plan, growth, new), card, licences


def _own_manifest(reader: Reader, plan: ExportPlan, final: Path) -> ExportManifest | None:
    """What an earlier export left in the folder; None where there is nothing.

    A folder that was written from another store would mix two histories, so it is refused as a stranger's is.
    """
    manifest = read_export_manifest(final)
    if manifest is None:
        if final.exists() and not (final.is_dir() and not any(final.iterdir())):
            raise _refusal(f"{final.name} exists and is not an export of curate")
        return None
    known = {found.number: found.content_hash for found in list_snapshots(reader, plan.snapshot.snapshot)}
    newest = manifest.newest
    if known.get(newest.number) != newest.content_hash or newest.number > plan.snapshot.number:
        raise _refusal(_stranger(manifest, known, plan.snapshot, final.name))
    return manifest


def _stranger(manifest: ExportManifest, known: Mapping[int, str], snapshot: Numbered, name: str) -> str:
    """Say how an export's numbers and the store's part ways."""
    if is_ahead(manifest, snapshot):
        return f"{name} is ahead: it holds number {manifest.newest.number}, and {snapshot.number} among those before"
    shared = [one.number for one in manifest.numbers if known.get(one.number) == one.content_hash]
    parted = next(one.number for one in manifest.numbers if known.get(one.number) != one.content_hash)
    if not shared:
        return f"{name} holds number {parted} of another store's snapshot, or of this one's before it was restored"
    return f"{name} and the snapshot part at number {parted}: the store was restored since the export"


def _refusal(message: str) -> BadDataError:
    hint = "move it away, and the next export begins anew with the newest number, or choose another [export] folder"
    return BadDataError(message, unchanged="it was left as it is", hint=hint)


def _refuse_erased(plan: ExportPlan, found: int) -> None:
    if missing := plan.snapshot.size - found:
        raise BadDataError(
            f"snapshot {plan.snapshot.snapshot} {plan.snapshot.number} holds {missing} items that were erased since",
            unchanged="nothing was written",
            hint="curate snapshot",
        )


def _with_earlier_names(plan: ExportPlan, before: ExportManifest | None) -> ExportPlan:
    """Let class names only grow at the end: the codes in old shards keep their meaning."""
    if before is None or before.columns != plan.columns:
        return plan
    new = [name for name in plan.class_names if name not in before.class_names]
    return replace(plan, class_names=(*before.class_names, *new))


@contextmanager
def _new_shards(
    target: Target, plan: ExportPlan, growth: Growth, staging: Path, workers: Workers, *, first: bool
) -> Iterator[list[Shard]]:
    """Write what the growth lacks while the block runs; the list is filled when the block ends."""
    number, new = plan.snapshot.number, list[Shard]()
    with TemporaryDirectory(dir=staging, prefix=".content-") as scratch:
        rows = OrderedRows(target, plan, growth.kept, Path(scratch), workers)
        _refuse_erased(plan, int(growth.kept.sum()) + sum(part.rows for part in rows.parts))
        names = shard_names(rows.parts, "" if first else f"-number-{number:05d}")
        rows.wait()
        files = start_shards(rows, names, plan, staging, workers.threads)
        yield new
        described = zip(rows.parts, names, files, strict=True)
        new += [
            Shard(name, part.split, part.rows, number, {"parquet": file.result()}) for part, name, file in described
        ]


def _extended(before: ExportManifest | None, plan: ExportPlan, growth: Growth, new: Sequence[Shard]) -> ExportManifest:
    names = tuple(shard.name for shard in (*growth.shards, *new))
    entry = ExportedNumber(plan.snapshot.number, plan.snapshot.content_hash, names, len(growth.removed))
    numbers, shards = (before.numbers, before.shards) if before else ((), ())
    return ExportManifest(plan.snapshot.snapshot, plan.columns, plan.class_names, (*numbers, entry), (*shards, *new))


def _in_all_formats(reader: Reader, plan: ExportPlan, manifest: ExportManifest, staging: Path) -> ExportManifest:
    lacking = _lacking(manifest, plan.formats)
    added = {shard.name: derive(reader, plan, shard, formats, staging) for shard, formats in lacking}
    shards = (replace(shard, files={**shard.files, **added.get(shard.name, {})}) for shard in manifest.shards)
    return replace(manifest, shards=tuple(shards))


def _lacking(manifest: ExportManifest, formats: Sequence[str]) -> list[tuple[Shard, list[str]]]:
    wanted = [(shard, [name for name in formats if name not in shard.files]) for shard in manifest.listed]
    return [(shard, names) for shard, names in wanted if names]


def _holds(manifest: ExportManifest, snapshot: Numbered) -> bool:
    return (manifest.newest.number, manifest.newest.content_hash) == (snapshot.number, snapshot.content_hash)


def _describe(file: Path, content: str) -> None:
    if content:
        replace_file(file, content.encode())


@contextmanager
def _staging(final: Path) -> Iterator[Path]:
    """Make a hidden folder beside the export's, and take it away whatever happens; killed processes' go as well."""
    prefix = f".{final.name}."
    for left in final.parent.glob(f"{prefix}*.partial"):
        owner = left.name.removeprefix(prefix).removesuffix(".partial").partition("-")[0]
        if owner.isdecimal() and not is_alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    staging = final.parent / f"{prefix}{os.getpid()}-{token_hex(4)}.partial"
    staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _workers(reader: Reader) -> Iterator[Workers]:
    """A thread for each core; where the block fails, what waits for a thread is not begun."""
    threads = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        yield Workers(threads, reader)
    finally:
        threads.shutdown(cancel_futures=True)


def _link_shards(final: Path, staging: Path, shards: Sequence[Shard]) -> None:
    for path in (file.path for shard in shards for file in shard.files.values()):
        (staging / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(final / path, staging / path)
        except OSError:  # a file system without hard links
            shutil.copy2(final / path, staging / path)


def _put_in_place(staging: Path, final: Path) -> None:
    """Move new files in, descriptions last: until the README is swapped, loading gives the earlier number."""
    for folder in {path.parent for path in staging.rglob("*")}:
        sync_folder(folder)
    if not final.exists() or not any(final.iterdir()):
        staging.replace(final)
    else:
        _move_into(staging, final)
    sync_folder(final.parent)


def _move_into(staging: Path, final: Path) -> None:
    files = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
    shards = [path for path in files if path.as_posix() not in _DESCRIPTIONS]
    new = [path for path in shards if not _is_there(staging / path, final / path)]
    for path in new:
        (final / path).parent.mkdir(exist_ok=True)
        (staging / path).replace(final / path)
    for folder in {(final / path).parent for path in new}:
        sync_folder(folder)
    for name in _DESCRIPTIONS:
        if (staging / name).is_file():
            (staging / name).replace(final / name)
    sync_folder(final)


def _is_there(staged: Path, final: Path) -> bool:
    """Whether a staged file is a link to, or a copy of, an old shard: old shards are never touched."""
    return final.exists() and (staged.samefile(final) or filecmp.cmp(staged, final, shallow=False))
