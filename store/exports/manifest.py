"""The export's manifest: which numbers of the snapshot the folder holds, and which shards make up each of them.

Shards never change. A number lists the shards that together are exactly its rows; when a row went or changed, the
shards that hold it are no longer listed, and their other rows are written anew. What went stands in `removed.jsonl`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from curate.types import SPLITS

MANIFEST_FILE = "manifest.json"
REMOVED_FILE = "removed.jsonl"
FORMAT = 2


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One file of a shard: its path inside the export, its bytes and their SHA-256."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows of one split that came with one number; `files` are the same rows in each format."""

    name: str
    split: str
    rows: int
    number: int
    files: Mapping[str, ShardFile] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExportedNumber:
    """One number of the snapshot: content hash, names of its shards, and how many items of the number before went."""

    number: int
    content_hash: str
    shards: tuple[str, ...]
    removed: int = 0


@dataclass(frozen=True, slots=True)
class ExportManifest:
    """Everything that an export folder holds; the newest number comes last."""

    snapshot: str
    columns: tuple[str, ...]
    class_names: tuple[str, ...]
    numbers: tuple[ExportedNumber, ...]
    shards: tuple[Shard, ...]

    @property
    def newest(self) -> ExportedNumber:
        """The number that loading the folder gives."""
        return self.numbers[-1]

    def holds(self, number: int, content_hash: str) -> bool:
        """Whether this very number is among those that the folder was brought to."""
        return any((one.number, one.content_hash) == (number, content_hash) for one in self.numbers)

    @property
    def listed(self) -> tuple[Shard, ...]:
        """The shards of the newest number, by split and then by age."""
        chosen = [shard for shard in self.shards if shard.name in self.newest.shards]
        return tuple(sorted(chosen, key=lambda shard: (SPLITS.index(shard.split), shard.number, shard.name)))

    @property
    def splits(self) -> dict[str, int]:
        """The rows of each split of the newest number."""
        counts: dict[str, int] = {}
        for shard in self.listed:
            counts[shard.split] = counts.get(shard.split, 0) + shard.rows
        return counts

    def to_json(self) -> bytes:
        """Return the file's content; what most readers want to know stands at its top level once more."""
        newest = {"number": self.newest.number, "content_hash": self.newest.content_hash, "splits": self.splits}
        return json.dumps({"format": FORMAT, **newest, **asdict(self)}, indent=1).encode() + b"\n"


def read_export_manifest(folder: Path) -> ExportManifest | None:
    """Return what an export folder holds, None where `folder` is none."""
    try:
        return _parsed(json.loads((folder / MANIFEST_FILE).read_bytes()))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def shard_file(folder: Path, path: str) -> ShardFile:
    """Describe a finished file of an export by its size and hash."""
    with (folder / path).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ShardFile(path, (folder / path).stat().st_size, digest)


def removed_lines(folder: Path, number: int, removed: Iterable[str]) -> str:
    """Return `removed.jsonl` with the ids that `number` lost below those of earlier numbers, one JSON object a line."""
    file = folder / REMOVED_FILE
    before = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    earlier = [line for line in before if json.loads(line)["number"] < number]
    lines = [*earlier, *(json.dumps({"item_id": item, "number": number}) for item in removed)]
    return "".join(f"{line}\n" for line in lines)


def _parsed(content: dict[str, Any]) -> ExportManifest:
    if content["format"] != FORMAT or not content["numbers"]:
        raise ValueError("not a manifest of this format")
    return ExportManifest(
        snapshot=content["snapshot"],
        columns=tuple(content["columns"]),
        class_names=tuple(content["class_names"]),
        numbers=tuple(ExportedNumber(**{**entry, "shards": tuple(entry["shards"])}) for entry in content["numbers"]),
        shards=tuple(
            Shard(**{**entry, "files": {name: ShardFile(**file) for name, file in entry["files"].items()}})
            for entry in content["shards"]
        ),
    )
