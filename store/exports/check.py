"""Loading an export back before anyone else does.

By default pyarrow reads it by the rules that `datasets` goes by: the head of README.md names the files of each split
and the features, and each file's schema must fit them. `check_with_datasets` lets `datasets` itself load it, in a
process of its own, for it imports torch wherever torch is installed.

What comes back must have the features and the split sizes that were written, and its ids, labels and splits must hash
to the snapshot's content hash.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import BadDataError, MissingExtraError
from curate.store.exports.front_matter import declared_features, declared_files
from curate.store.exports.manifest import ExportManifest, shard_file
from curate.store.exports.plan import ExportPlan, features, schema
from curate.store.exports.readme import README_FILE
from curate.store.snapshots import content_hash

_BATCH_ROWS = 10_000
_LOADER = Path(__file__).with_name("load_with_datasets.py")
Batches = Iterator[tuple[str, pa.RecordBatch]]


def check_export(folder: Path, plan: ExportPlan, manifest: ExportManifest) -> None:
    """Read every row of the newest number in `folder`, content included, after comparing its files with their hashes.

    Memory: the ids, labels and splits of the snapshot, and one batch. The content hash is what takes the time.

    Raises:
        BadDataError: something does not come back as it was written.
    """
    _check_files(folder, plan, manifest)
    _check_rows(_with_pyarrow(folder, plan), plan, manifest)


def check_with_datasets(folder: Path, plan: ExportPlan, manifest: ExportManifest) -> None:
    """Do all that `check_export` does, and have `datasets` load the export as well.

    Cost: the start of another process and the import of `datasets`, some seconds, beside a second pass over all rows.

    Raises:
        BadDataError: something does not come back as it was written.
        MissingExtraError: `datasets` is not installed.
    """
    if find_spec("datasets") is None:
        raise MissingExtraError("verifying an export with datasets", "hub")
    check_export(folder, plan, manifest)
    _check_rows(_with_datasets(folder, plan), plan, manifest)


def _check_files(folder: Path, plan: ExportPlan, manifest: ExportManifest) -> None:
    for shard in manifest.listed:
        if shard_file(folder, shard.files["parquet"].path) != shard.files["parquet"]:
            raise _differs(plan, f"{shard.files['parquet'].path} is not what was written")


def _check_rows(found: Batches, plan: ExportPlan, manifest: ExportManifest) -> None:
    try:
        batches = [_identified(split, rows, plan) for split, rows in found]
    except BadDataError:
        raise
    except Exception as error:  # a reader of another project: whatever it raises, the export cannot be loaded
        raise _differs(plan, f"it cannot be read: {error}") from error
    members = pa.concat_tables(batches) if batches else _nobody()
    counts = {split: pc.sum(pc.equal(members["split"], split)).as_py() or 0 for split in manifest.splits}
    if counts != manifest.splits:
        raise _differs(plan, f"it has {counts} rows, and {manifest.splits} were written")
    if content_hash(members) != plan.snapshot.content_hash:
        raise _differs(plan, "ids, labels or splits are not those of the snapshot")


def _with_pyarrow(folder: Path, plan: ExportPlan) -> Batches:
    head = (folder / README_FILE).read_text(encoding="utf-8")
    _compare_features(plan, declared_features(head), features(plan))
    for split, paths in declared_files(head).items():
        for path in paths:
            file = pq.ParquetFile(folder / path)
            _check_schema(plan, file.schema_arrow)
            for batch in file.iter_batches(_BATCH_ROWS):
                yield split, batch


def _check_schema(plan: ExportPlan, found: pa.Schema) -> None:
    """Compare a shard with what is promised; from a column that may hold no nulls `datasets` takes no features."""
    if not found.equals(schema(plan)):
        raise _differs(plan, f"a file has the columns {found}, and {schema(plan)} were written")
    written = json.loads(found.metadata[b"huggingface"])["info"]["features"]
    _compare_features(plan, _without_names(written), _without_names(features(plan)))


def _without_names(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Features without class names: an older shard knows only those that there were then."""
    return {name: {key: value for key, value in kind.items() if key != "names"} for name, kind in declared.items()}


def _with_datasets(folder: Path, plan: ExportPlan) -> Batches:
    """What `datasets` finds, read from another process as an Arrow stream."""
    # -P: neither the program's folder nor the working folder may take the place of a package.
    command = [sys.executable, "-P", str(_LOADER), str(folder.resolve()), str(_BATCH_ROWS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        found, errors = process.communicate()
    if process.returncode:
        raise _differs(plan, f"datasets cannot load it: {_last_line(errors)}")
    with pa.ipc.open_stream(found) as stream:
        for declared in json.loads(stream.schema.metadata[b"features"]).values():
            _compare_features(plan, declared, features(plan))
        for batch in stream:
            yield batch["split"][0].as_py(), batch


def _last_line(errors: bytes) -> str:
    return next(reversed(errors.decode(errors="replace").strip().splitlines()), "it said nothing")


def _compare_features(plan: ExportPlan, found: Any, expected: Any) -> None:
    if found != expected:
        raise _differs(plan, f"its features are {found}, and {expected} were written")


def _identified(split: str, rows: pa.RecordBatch, plan: ExportPlan) -> pa.Table:
    """Ids, label names and split of a batch, as the content hash is taken over them."""
    labels = pa.nulls(len(rows), pa.string())
    if plan.class_names:
        labels = pa.array(plan.class_names, pa.string()).take(rows["label"])
    columns = {"item_id": rows["item_id"], "label": labels, "split": pa.repeat(split, len(rows))}
    return pa.table(columns, schema=_nobody().schema)


def _nobody() -> pa.Table:
    return pa.schema([(name, pa.string()) for name in ("item_id", "label", "split")]).empty_table()


def _differs(plan: ExportPlan, what: str) -> BadDataError:
    return BadDataError(
        f"the export {plan.folder_name} does not load back: {what}",
        unchanged="the export's folder is as it was",
        hint="`curate doctor`; if shards in that folder were touched, move it away and export again",
    )
