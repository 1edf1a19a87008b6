"""The manifest of the published snapshot: which immutable Parquet segments make up each table at which commit.

Reading it needs neither DuckDB nor PyArrow, so that `curate status` answers at once, whoever writes.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate.errors import ConfigurationError, StoreError

PUBLISHED_FOLDER = "published"
MANIFEST_FILE = "manifest.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Segment:
    """One immutable Parquet file; `level` counts how often its rows were merged into larger files."""

    file: str
    rows: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a reader sees: the commit, when and by which step it was made, and each table's segments in commit order.

    `figures` are the running sums that `status` shows (items by modality); `retired` are replaced files with the time
    at which they were replaced, kept for readers that still use them. `counted` are the rows of tables whose segments
    curate does not keep itself: those of a lake.
    """

    commit_number: int = 0
    committed_at: str = ""
    step: str = ""
    tables: dict[str, tuple[Segment, ...]] = field(default_factory=dict)
    figures: Mapping[str, int] = field(default_factory=dict)
    retired: tuple[tuple[str, float], ...] = ()
    counted: Mapping[str, int] = field(default_factory=dict)

    def rows(self, name: str) -> int:
        """Return the number of rows of the table `name`."""
        return self.counted.get(name, 0) + sum(segment.rows for segment in self.tables.get(name, ()))

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table that holds any."""
        return {name: count for name in (*self.tables, *self.counted) if (count := self.rows(name))}


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the store in `folder`; an empty one where nothing has been published yet.

    Raises:
        StoreError: the file is not a manifest, or cannot be read.
        ConfigurationError: `folder` is a file.
    """
    try:
        content = (folder / PUBLISHED_FOLDER / MANIFEST_FILE).read_bytes()
    except FileNotFoundError:
        return Manifest()
    except OSError as error:
        raise damaged_manifest(folder, error) from error
    return manifest_from(content, folder)


def manifest_from(content: bytes, folder: Path) -> Manifest:
    """Parse a manifest's bytes; `folder` is the store that they belong to, for the message.

    Raises:
        StoreError: they are not a manifest.
    """
    try:
        return _parse(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged_manifest(folder, error) from error


def damaged_manifest(folder: Path, error: Exception) -> StoreError | ConfigurationError:
    """Return the error that says so, or that the store is a file."""
    if isinstance(error, NotADirectoryError):
        hint = "name another with --store, or with store in curate.toml"
        return ConfigurationError(f"the store {folder.name!r} is no folder", hint=hint)
    return StoreError(
        f"the published snapshot's {MANIFEST_FILE} in {folder.name!r} is damaged: {error}",
        unchanged="the ledger itself is a different file and was not touched",
        hint=f"delete {PUBLISHED_FOLDER}/ inside the store; the next writing command publishes it anew",
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Swap the manifest for a new one, atomically and durably."""
    tables = {
        name: [[segment.file, segment.rows, segment.level] for segment in segments]
        for name, segments in manifest.tables.items()
    }
    content = {
        "format": FORMAT,
        "commit_number": manifest.commit_number,
        "committed_at": manifest.committed_at,
        "step": manifest.step,
        "figures": dict(manifest.figures),
        "tables": tables,
        "retired": manifest.retired,
    }
    replace_file(folder / PUBLISHED_FOLDER / MANIFEST_FILE, json.dumps(content).encode())


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, flush it to disk and rename it into place, so that no reader sees a part of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename survives a power cut."""
    sync_file(folder)


def sync_file(path: Path) -> None:
    """Flush a file to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parse(content: dict[str, Any]) -> Manifest:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']} is not {FORMAT}")
    return Manifest(
        commit_number=int(content["commit_number"]),
        committed_at=str(content["committed_at"]),
        step=str(content["step"]),
        tables={name: tuple(Segment(*entry) for entry in entries) for name, entries in content["tables"].items()},
        figures={name: int(value) for name, value in content["figures"].items()},
        retired=tuple((str(file), float(moment)) for file, moment in content["retired"]),
    )
