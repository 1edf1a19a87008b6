"""Loading an export back before anyone else does: with `datasets` where it is installed, else with pyarrow.

What comes back must have the features and the split sizes that were written, and its ids, labels and splits must hash
to the snapshot's content hash.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import BadDataError
from curate.store.exports.manifest import ExportManifest, shard_file
from curate.store.exports.plan import ExportPlan, features
from curate.store.snapshots import content_hash

_BATCH_ROWS = 10_000
Batches = Iterator[tuple[str, pa.Table]]


def check_export(folder: Path, plan: ExportPlan, manifest: ExportManifest) -> None:
    """Read every row of the newest number in `folder`, content included, after comparing its files with their hashes.

    Memory: the ids, labels and splits of the snapshot, and one batch. The content hash is what takes the time.

    Raises:
        BadDataError: something does not come back as it was written.
    """
    for shard in manifest.listed:
        if shard_file(folder, shard.files["parquet"].path) != shard.files["parquet"]:
            raise _differs(plan, f"{shard.files['parquet'].path} is not what was written")
    load = _with_datasets if find_spec("datasets") else _with_pyarrow
    try:
        found = [_identified(split, rows, plan) for split, rows in load(folder, plan, manifest)]
    except BadDataError:
        raise
    except Exception as error:  # a reader of another project: whatever it raises, the export cannot be loaded
        raise _differs(plan, f"it cannot be read: {error}") from error
    members = pa.concat_tables(found) if found else _nobody()
    counts = {split: pc.sum(pc.equal(members["split"], split)).as_py() or 0 for split in manifest.splits}
    if counts != manifest.splits:
        raise _differs(plan, f"it has {counts} rows, and {manifest.splits} were written")
    if content_hash(members) != plan.snapshot.content_hash:
        raise _differs(plan, "ids, labels or splits are not those of the snapshot")


def _with_datasets(folder: Path, plan: ExportPlan, manifest: ExportManifest) -> Batches:
    import datasets

    expected = datasets.Features.from_dict(features(plan))
    with tempfile.TemporaryDirectory() as cache:
        loaded = datasets.load_dataset(str(folder), streaming=True, cache_dir=cache)
        for split, rows in loaded.items():
            _compare_features(plan, rows.features, expected)
            for batch in rows.with_format("arrow").iter(batch_size=_BATCH_ROWS):
                yield str(split), batch


def _with_pyarrow(folder: Path, plan: ExportPlan, manifest: ExportManifest) -> Batches:
    for shard in manifest.listed:
        file = pq.ParquetFile(folder / shard.files["parquet"].path)
        written = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"]
        _compare_features(plan, _without_names(written), _without_names(features(plan)))
        for batch in file.iter_batches(_BATCH_ROWS):
            yield shard.split, pa.Table.from_batches([batch])


def _without_names(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Features without class names: an older shard knows only those that there were then."""
    return {name: {key: value for key, value in kind.items() if key != "names"} for name, kind in declared.items()}


def _compare_features(plan: ExportPlan, found: Any, expected: Any) -> None:
    if found != expected:
        raise _differs(plan, f"its features are {found}, and {expected} were written")


def _identified(split: str, rows: pa.Table, plan: ExportPlan) -> pa.Table:
    """Ids, label names and split of a batch, as the content hash is taken over them."""
    labels = pa.nulls(len(rows), pa.string())
    if plan.class_names:
        labels = pa.array(plan.class_names, pa.string()).take(rows["label"].combine_chunks())
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
