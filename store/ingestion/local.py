"""Files on this machine: what a path, a folder or a glob pattern means, and what of it must not be read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from curate.store.ingestion.formats import is_leftover
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.patterns import Parts, dataset_files, matches, split_pattern, wanted
from curate.store.ingestion.shapes import Refusal
from curate.store.ingestion.source_file import SourceFile, empty_source, nothing_at, reason_of

_SMALL_FILE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile(SourceFile):
    """A file at a path; its fingerprint is its size and its modification time in nanoseconds."""

    path: Path

    def open(self, *, in_order: bool = True) -> BinaryIO:
        """Open the path, whatever the order."""
        return self.path.open("rb")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a source lies: its own folder and, below that, one file's name, a pattern, or nothing (all of it)."""

    folder: Path
    name: str = ""
    pattern: Parts = ()


def list_local(address: Path, mapping: Mapping, base: Path | None) -> list[SourceFile]:
    """List the files at a path; `files.list_files` says which, and what is raised."""
    start = _absolute(base or Path.cwd())
    place = _placed(start / address.expanduser())
    found = [place.folder / place.name] if place.name else list(_chosen(place, mapping))
    if not found:
        raise empty_source(str(address), mapping, pattern=bool(place.pattern))
    root = start if base is not None and place.folder.is_relative_to(start) else place.folder
    return [_described(path, place, root) for path in found]


def _placed(path: Path) -> _Place:
    path = _absolute(path)
    if os.path.lexists(path):
        return _Place(path) if path.is_dir() else _Place(path.parent, name=path.name)
    parts, pattern = split_pattern(path.parts)
    folder = Path(*parts)
    if not folder.is_dir() or not pattern:
        raise nothing_at(str(folder))
    return _Place(folder, pattern=pattern)


def _absolute(path: Path) -> Path:
    """The path without `..`, links unresolved: where a link lies names a file, not where it leads."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _chosen(place: _Place, mapping: Mapping) -> list[Path]:
    """The paths that a folder or pattern stands for, and the folders below that cannot be entered."""
    found = {path.relative_to(place.folder).as_posix(): path for path in _walk(place)}
    if not place.pattern and mapping.format == "auto":
        shards = dataset_files(found, lambda name: _beginning(found[name]))
        if shards is not None:
            return [place.folder / name for name in shards]
    return [
        path
        for path in found.values()
        if wanted(path.relative_to(place.folder).parts, place.pattern, mapping) or path.is_dir()
    ]


def _beginning(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(path)
    with path.open("rb") as stream:
        return stream.read(_SMALL_FILE)


def _walk(place: _Place) -> Iterator[Path]:
    unreadable: list[OSError] = []
    for current, names, files in os.walk(place.folder, onerror=unreadable.append):
        folder = Path(current)
        names[:] = [name for name in names if not is_leftover(name) and _leads_on(folder / name, place)]
        yield from (folder / name for name in files if not is_leftover(name))
        yield from (folder / name for name in names if _leads_out(folder / name, place))
    yield from (Path(error.filename) for error in unreadable)


def _leads_on(folder: Path, place: _Place) -> bool:
    """Whether files that match the pattern may lie below the folder."""
    parts = folder.relative_to(place.folder).parts
    return not place.pattern or any(matches(parts, place.pattern[:end]) for end in range(1, len(place.pattern)))


def _leads_out(path: Path, place: _Place) -> bool:
    return path.is_symlink() and not path.resolve().is_relative_to(place.folder.resolve())


def _described(path: Path, place: _Place, root: Path) -> SourceFile:
    folder = path.parent.name if path.parent != place.folder or place.pattern or place.name else ""
    locator, folder = _printable(path.relative_to(root).as_posix()), _printable(folder)
    try:
        status = path.stat()
    except OSError as error:
        return LocalFile(locator, "0-0", 0, folder, Refusal("unreadable", reason_of(error)), path=path)
    refusal = _refusal(path, place, status.st_mode)
    fingerprint = f"{status.st_size}-{status.st_mtime_ns}"
    return LocalFile(locator, fingerprint, status.st_size, folder, refusal, path=path)


def _refusal(path: Path, place: _Place, mode: int) -> Refusal | None:
    if not place.name and _leads_out(path, place):
        return Refusal("outside-the-source", f"a link to {_printable(str(path.resolve()))}; name that path itself")
    if stat.S_ISDIR(mode):
        return Refusal("unreadable", "the folder cannot be entered")
    return None if stat.S_ISREG(mode) else Refusal("not-a-file", "a pipe, a socket or a device")


def _printable(name: str) -> str:
    """A file name whose bytes are no UTF-8 keeps them as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
