"""`croissant.json`: the export described in MLCommons' Croissant 1.0, for tools that know datasets by it."""

import json
from collections.abc import Sequence
from typing import Any

from curate.store.exports.manifest import ExportManifest, Shard
from curate.store.exports.plan import ExportPlan

CROISSANT_FILE = "croissant.json"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_PARQUET = "application/x-parquet"
_TYPES = {"label": "sc:Integer", "score": "sc:Float", "image": "sc:ImageObject"}


def croissant(plan: ExportPlan, manifest: ExportManifest, licences: Sequence[str]) -> str:
    """Return the file's text: every shard of the newest number with its hash, and one record set a split.

    `datePublished` is left out: an export carries no clock.
    """
    snapshot = plan.snapshot
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": snapshot.snapshot,
        "description": f"{snapshot.size} items chosen by curate: number {snapshot.number} of {snapshot.snapshot}.",
        "version": f"{snapshot.number}.0.0",
        "license": [name or "not declared" for name in licences] or ["not declared"],
        "distribution": [
            *(_file_object(shard) for shard in manifest.listed),
            *(_file_set(manifest, split) for split in manifest.splits),
        ],
        "recordSet": [_record_set(plan, split) for split in manifest.splits],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _file_object(shard: Shard) -> dict[str, Any]:
    file = shard.files["parquet"]
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": shard.name,
        "contentUrl": file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": _PARQUET,
        "sha256": file.sha256,
    }


def _file_set(manifest: ExportManifest, split: str) -> dict[str, Any]:
    """The shards of a split by name: a pattern would also find shards that the newest number no longer holds."""
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-shards",
        "encodingFormat": _PARQUET,
        "includes": [shard.files["parquet"].path for shard in manifest.listed if shard.split == split],
    }


def _record_set(plan: ExportPlan, split: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "key": {"@id": f"{split}/item_id"},
        "field": [_field(plan, split, name) for name in plan.columns],
    }


def _field(plan: ExportPlan, split: str, name: str) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": f"{split}-shards"}, "extract": {"column": name}}
    if name == "image":
        source["transform"] = {"jsonPath": "bytes"}
    field = {"@type": "cr:Field", "@id": f"{split}/{name}", "dataType": _TYPES.get(name, "sc:Text"), "source": source}
    if name == "label":
        field["description"] = "; ".join(f"{code}: {value}" for code, value in enumerate(plan.class_names))
    return field
