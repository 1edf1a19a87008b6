"""Exports: a snapshot as a Hugging Face dataset folder of Parquet shards with declared features and a card.

The schema is written by hand: every field nullable, class names and image columns in the metadata, one schema for all
splits, so that `datasets.load_dataset` finds `ClassLabel` and `Image` again. The same snapshot exported twice gives the
same bytes.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    return _exported_hash(folder / plan.folder_name) == plan.snapshot.content_hash


def _exported_hash(export: Path) -> str | None:
    """The content hash of an earlier export in this folder, None where it is none."""
    try:
        content = json.loads((export / "manifest.json").read_bytes())
        return str(content["content_hash"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def export_snapshot(reader: Reader, plan: ExportPlan, folder: Path) -> Path:
    """Write the export into its own folder below `folder`, all of it or nothing, and return that folder.

    Memory: one row group of 1,000 rows, and DuckDB's sort of a split's rows, which moves to disk when memory is short.

    Raises:
        BadDataError: the folder exists and was not written by an earlier export.
    """
    final = folder / plan.folder_name
    _refuse_foreign(final)
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
    sync_folder(temporary / "data")
    sync_folder(temporary)
    # An export half deleted could not be told from a stranger's folder: it moves away whole.
    replaced = temporary.with_suffix(".replaced")
    if final.exists():
        final.rename(replaced)
    temporary.rename(final)
    sync_folder(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _refuse_foreign(final: Path) -> None:
    is_empty = final.is_dir() and not any(final.iterdir())
    if final.exists() and not is_empty and _exported_hash(final) is None:
        raise BadDataError(
            f"{final.name} exists and is not an export of curate",
            unchanged="it was left as it is",
            hint="move it away or choose another [export] folder",
        )


def _write_split(reader: Reader, plan: ExportPlan, folder: Path, split: str) -> int:
    parameters = {"name": plan.snapshot.snapshot, "number": plan.snapshot.number, "split": split}
    schema = _schema(plan)
    path = folder / "data" / f"{split}-00000-of-00001.parquet"
    count = 0
    with path.open("wb") as stream:
        with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
            for batch in _converted(reader.stream(_ROWS, parameters, rows=1_000), plan, schema):
                writer.write_batch(batch)
                count += batch.num_rows
        stream.flush()
        os.fsync(stream.fileno())
    if not count:
        path.unlink()
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


def _front_matter(plan: ExportPlan, splits: Iterable[str]) -> str:
    """The YAML head that tells `datasets` which files make which split, and the features once more."""
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    lines += ["dataset_info:", "  features:"]
    yaml_types = {"text": "dtype: string", "image": "dtype: image"}
    for name in _schema(plan).names:
        lines.append(f"  - name: {name}")
        if name == "label":
            lines += ["    dtype:", "      class_label:", "        names:"]
            lines += [f"          '{code}': {_yaml_text(label)}" for code, label in enumerate(plan.class_names)]
        elif name == "events":
            lines += ["    list:", "    - name: time", "      dtype: float64", "    - name: type", "      dtype: int32"]
        else:
            lines.append("    " + yaml_types.get(name, "dtype: float64" if name == "score" else "dtype: string"))
    return "\n".join([*lines, "---", ""])


def _yaml_text(text: str) -> str:
    """A double-quoted YAML scalar; JSON's would do but for its pairs of surrogates and the characters YAML refuses."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
