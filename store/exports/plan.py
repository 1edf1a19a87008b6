"""What an export shall hold: the snapshot, the columns in order, and the class names that codes stand for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curate.store.schema import EVENTS
from curate.store.snapshots import Numbered

SHARD_BYTES = 128 * 10**6
FORMATS = ("parquet", "jsonl", "webdataset", "label-studio")
_VALUES = {"item_id": pa.string(), "score": pa.float64(), "source": pa.string(), "licence": pa.string()}
_CONTENT: Mapping[str, tuple[pa.DataType, dict[str, Any]]] = {
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


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to write: the snapshot, its modality, and the class names in order (empty: no label column).

    Who asks for an export gives the class names that are declared; `export_snapshot` adds what else the labels hold.

    Of the attributes that are `multiple` claims hold lists of values; as a label, each list is a class of its own.
    `formats` are those besides Parquet, which is always written; a shard holds up to `shard_bytes` of content.
    """

    snapshot: Numbered
    modality: str
    class_names: tuple[str, ...]
    formats: tuple[str, ...] = ()
    shard_bytes: int = SHARD_BYTES
    multiple: frozenset[str] = frozenset()

    @property
    def folder_name(self) -> str:
        """The name of the export's folder: all numbers of a snapshot share it."""
        return self.snapshot.snapshot

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the exported columns, in order."""
        return ("item_id", self.modality, *(["label"] if self.class_names else []), "score", "source", "licence")


def label_names(declared: Sequence[str], present: Sequence[str]) -> tuple[str, ...]:
    """Return the class names of a snapshot: the declared values in order, then what else its labels hold, sorted.

    >>> label_names(["small", "large"], ["large", "b", "a"])
    ('small', 'large', 'a', 'b')
    """
    return (*declared, *sorted(set(present) - set(declared))) if present else ()


def schema(plan: ExportPlan) -> pa.Schema:
    """Return the shards' schema, the same for all: every field nullable, and the features in its metadata."""
    metadata = {"huggingface": json.dumps({"info": {"features": features(plan)}})}
    return pa.schema([pa.field(name, _type(plan, name), nullable=True) for name in plan.columns], metadata=metadata)


def conformed(columns: Mapping[str, pa.Array], plan: ExportPlan) -> pa.RecordBatch:
    """Give columns the export's schema: an image becomes bytes beside an empty path, as `datasets` wants it."""
    target = schema(plan)
    arrays = dict(columns)
    if plan.modality == "image":
        image = columns["image"]
        parts = [image, pa.nulls(len(image), pa.string())]
        arrays["image"] = pa.StructArray.from_arrays(parts, fields=list(target.field("image").type))
    return pa.RecordBatch.from_arrays([arrays[field.name].cast(field.type) for field in target], schema=target)


def features(plan: ExportPlan) -> dict[str, Any]:
    """Return the features as `datasets` writes them to JSON."""
    return {name: _feature(plan, name) for name in plan.columns}


def _type(plan: ExportPlan, name: str) -> pa.DataType:
    if name == "label":
        return pa.int64()
    return _CONTENT[name][0] if name == plan.modality else _VALUES[name]


def _feature(plan: ExportPlan, name: str) -> dict[str, Any]:
    if name == "label":
        return {"names": list(plan.class_names), "_type": "ClassLabel"}
    if name == plan.modality:
        return _CONTENT[name][1]
    return {"dtype": "float64" if name == "score" else "string", "_type": "Value"}
