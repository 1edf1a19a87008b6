"""Exports: a snapshot as a Hugging Face dataset folder of Parquet shards with declared features and a card.

The schema is written by hand: every field nullable, class names and image columns in the metadata, one schema for all
splits, so that `datasets.load_dataset` finds `ClassLabel` and `Image` again. The same snapshot exported twice gives the
same bytes.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import BadDataError
from curate.store.manifest import replace_file, sync_folder
from curate.store.reader import Reader
from curate.store.schema import EVENTS
from curate.store.snapshots import Numbered
from curate.types import SPLITS

_CONTENT_TYPES: Mapping[str, tuple[pa.DataType, dict[str, Any]]] = {
    "text": (pa.string(), {"dtype": "string", "_type": "Value"}),
    "image": (pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"_type": "Image"}),
    "events": (
        EVENTS,
        {
            "feature": {"time": {"dtype": "float64", "_type": "Value"}, "type": {"dtype": "int32", "_type": "Value"}},
            "_type": "List",
        },
    ),
}
_ROWS = """
    SELECT s.item_id, i.text, i.image, i.events, s.label, s.score, o.source, o.licence
    FROM snapshot_items s JOIN items i USING (item_id)
    LEFT JOIN (
        SELECT item_id, arg_min(source, (commit_number, source, locator)) AS source,
            arg_min(licence, (commit_number, source, locator)) AS licence
        FROM origins GROUP BY item_id
    ) o USING (item_id)
    WHERE s.snapshot = $name AND s.number = $number AND s.split = $split
    ORDER BY s.score DESC NULLS LAST, s.item_id"""


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to write: the snapshot, its modality, the class names in order (empty: no label column), and the card."""

    snapshot: Numbered
    modality: str
    class_names: tuple[str, ...]
    card: str

    @property
    def folder_name(self) -> str:
        """The name of the export's folder."""
        return f"{self.snapshot.snapshot}-{self.snapshot.number:05d}"


def label_names(reader: Reader, snapshot: Numbered, declared: Sequence[str]) -> tuple[str, ...]:
    """Return the class names of a snapshot: the declared values in order, then what else its labels hold, sorted."""
    found = reader.query(
        "SELECT DISTINCT label FROM snapshot_items WHERE snapshot = ? AND number = ? AND label IS NOT NULL",
        [snapshot.snapshot, snapshot.number],
    )
    others = sorted(set(found["label"].to_pylist()) - set(declared))
    return (*declared, *others) if len(found) else ()


def is_exported(folder: Path, plan: ExportPlan) -> bool:
    """Whether this very content lies in `folder` already."""
    try:
        content = json.loads((folder / plan.folder_name / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return False
    return bool(content.get("content_hash") == plan.snapshot.content_hash)


def export_snapshot(reader: Reader, plan: ExportPlan, folder: Path) -> Path:
    """Write the export into its own folder below `folder`, all of it or nothing, and return that folder.

    Memory: bounded by one batch of 1,000 rows and one Parquet row group.

    Raises:
        BadDataError: the folder exists and was not written by an earlier export.
    """
    final = folder / plan.folder_name
    temporary = folder / f".{plan.folder_name}.{os.getpid()}.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    (temporary / "data").mkdir(parents=True)
    counts = {split: count for split in SPLITS if (count := _write_split(reader, plan, temporary, split))}
    card = _front_matter(plan, counts) + plan.card
    replace_file(temporary / "README.md", card.encode())
    manifest = {"content_hash": plan.snapshot.content_hash, "splits": counts, "format": 1}
    replace_file(temporary / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True).encode())
    _move(temporary, final)
    return final


def _move(temporary: Path, final: Path) -> None:
    if final.exists():
        if not (final / "manifest.json").exists() and any(final.iterdir()):
            shutil.rmtree(temporary)
            raise BadDataError(
                f"{final.name} exists and is not an export of curate",
                unchanged="it was left as it is",
                hint="move it away or choose another [export] folder",
            )
        shutil.rmtree(final)
    temporary.rename(final)
    sync_folder(final.parent)


def _write_split(reader: Reader, plan: ExportPlan, folder: Path, split: str) -> int:
    parameters = {"name": plan.snapshot.snapshot, "number": plan.snapshot.number, "split": split}
    schema = _schema(plan)
    count = 0
    writer: pq.ParquetWriter | None = None
    for batch in _converted(reader.stream(_ROWS, parameters, rows=1_000), plan, schema):
        if writer is None:
            writer = pq.ParquetWriter(folder / "data" / f"{split}-00000-of-00001.parquet", schema, compression="zstd")
        writer.write_batch(batch)
        count += batch.num_rows
    if writer is not None:
        writer.close()
    return count


def _converted(batches: pa.RecordBatchReader, plan: ExportPlan, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    codes = {name: code for code, name in enumerate(plan.class_names)}
    for batch in batches:
        if not batch.num_rows:
            continue
        columns = {name: batch.column(name) for name in ("item_id", "score", "source", "licence")}
        columns[plan.modality] = _content(batch.column(plan.modality), plan.modality)
        if plan.class_names:
            labels = batch.column("label").to_pylist()
            columns["label"] = pa.array([None if label is None else codes[label] for label in labels], pa.int64())
        yield pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _content(column: pa.Array, modality: str) -> pa.Array:
    if modality != "image":
        return column
    paths = pa.nulls(len(column), pa.string())
    return pa.StructArray.from_arrays([column, paths], fields=list(_CONTENT_TYPES["image"][0]))


def _schema(plan: ExportPlan) -> pa.Schema:
    kinds: dict[str, pa.DataType] = {"item_id": pa.string(), plan.modality: _CONTENT_TYPES[plan.modality][0]}
    if plan.class_names:
        kinds["label"] = pa.int64()
    kinds |= {"score": pa.float64(), "source": pa.string(), "licence": pa.string()}
    metadata = {"huggingface": json.dumps({"info": {"features": _features(plan, kinds)}})}
    return pa.schema([pa.field(name, kind, nullable=True) for name, kind in kinds.items()], metadata=metadata)


def _features(plan: ExportPlan, kinds: Mapping[str, pa.DataType]) -> dict[str, Any]:
    features: dict[str, Any] = {}
    for name, kind in kinds.items():
        if name == plan.modality:
            features[name] = _CONTENT_TYPES[plan.modality][1]
        elif name == "label":
            features[name] = {"names": list(plan.class_names), "_type": "ClassLabel"}
        else:
            features[name] = {"dtype": "float64" if kind == pa.float64() else "string", "_type": "Value"}
    return features


def _front_matter(plan: ExportPlan, counts: Mapping[str, int]) -> str:
    """The YAML head that tells `datasets` which files make which split, and the features once more."""
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split in counts:
        lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    lines += ["dataset_info:", "  features:"]
    yaml_types = {"text": "dtype: string", "image": "dtype: image"}
    for name in _schema(plan).names:
        lines.append(f"  - name: {name}")
        if name == "label":
            lines += ["    dtype:", "      class_label:", "        names:"]
            lines += [f"          '{code}': {json.dumps(label)}" for code, label in enumerate(plan.class_names)]
        elif name == "events":
            lines += ["    list:", "    - name: time", "      dtype: float64", "    - name: type", "      dtype: int32"]
        else:
            lines.append("    " + yaml_types.get(name, "dtype: float64" if name == "score" else "dtype: string"))
    lines += ["  splits:"]
    for split, count in counts.items():
        lines += [f"  - name: {split}", f"    num_examples: {count}"]
    return "\n".join([*lines, "---", ""])
