"""Finds the files of a source: sorted, each with a locator that stays when the project folder moves."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from curate.errors import BadDataError
from curate.store.ingestion.mapping import FORMATS_OF, FileFormat, Mapping
from curate.store.ingestion.shapes import Refusal, RefusedFileError

SUFFIXES: dict[str, FileFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".png": "images",
    ".jpg": "images",
    ".jpeg": "images",
    ".webp": "images",
    ".gif": "images",
}
_LEFTOVER = re.compile(r"\..*|.*~|#.*#|.*\.(swp|tmp|part|crdownload)|Thumbs\.db|desktop\.ini", re.DOTALL)
_WILDCARD = re.compile(r"[*?[]")
_Parts = tuple[str, ...]


class EmptySourceError(BadDataError):
    """A source's folder or pattern holds no file that could be read; it may be filled later."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source as it was when listed.

    `locator` names it in origins and rejects; `folder` is the name of the folder that it lies in, "" if that is the
    source's own. `refusal` says why it must not be read, None if it may.
    """

    path: Path
    locator: str
    size: int
    modified_ns: int
    folder: str = ""
    refusal: Refusal | None = None

    @property
    def fingerprint(self) -> str:
        """Changes whenever the file is written: its size and its modification time in nanoseconds."""
        return f"{self.size}-{self.modified_ns}"


@dataclass(frozen=True, slots=True)
class _Address:
    """Where a source lies: its own folder and, below that, one file's name, a pattern, or nothing (all of it)."""

    folder: Path
    name: str = ""
    pattern: _Parts = ()


def list_files(address: Path | str, mapping: Mapping, *, base: Path | None = None) -> list[SourceFile]:
    """List the files at a file, a folder (with all folders below it) or a glob pattern, sorted by locator.

    A relative address counts from `base`, the project folder (default: the working folder). Locators count from `base`
    if it is given and the source lies inside; otherwise from the source's own folder (of a pattern: the part before the
    first wildcard; `**` stands for any number of folders).

    A folder gives every file when the format is "auto" or "text", else those with the format's extensions; what a
    pattern or a path names is taken whatever its extension. Hidden files, editors' leftovers and unfinished downloads
    (`.*`, `*~`, `#*#`, `*.swp`, `*.tmp`, `*.part` …) are left out unless the address names that one file. Linked
    folders are not followed. A link that leads out of the source's folder, a pipe, a device, and a folder that cannot
    be entered are listed with a `refusal`, so that each ends as a reject; one file named by the address may be a link.

    Raises:
        BadDataError: nothing exists at the address.
        EmptySourceError: the folder or the pattern holds no such file.
    """
    start = _absolute(base or Path.cwd())
    place = _placed(start / Path(address).expanduser())
    found = [place.folder / place.name] if place.name else list(_chosen(place, mapping))
    if not found:
        what = "no file matches" if place.pattern else f"no file for format {mapping.format!r} lies in"
        raise EmptySourceError(
            f"{what} {str(address)!r}", hint="put files there, or correct the source's path or format"
        )
    root = start if base is not None and place.folder.is_relative_to(start) else place.folder
    return sorted((_described(path, place, root) for path in found), key=lambda file: file.locator)


def format_of(file: SourceFile, mapping: Mapping) -> FileFormat:
    """Decide how to read a file; "auto" goes by the extension, and by the modality where that says nothing.

    In a source of texts everything but JSONL and Parquet is one text, JSON included; in a source of images everything
    but Parquet is one image.

    Raises:
        RefusedFileError: such files hold no items of the modality.
    """
    if mapping.format != "auto":
        return mapping.format
    suffix = file.path.suffix.lower()
    possible = FORMATS_OF[mapping.modality]
    by_suffix = SUFFIXES.get(suffix)
    if by_suffix in possible:
        return by_suffix
    if mapping.modality == "events" or (mapping.modality == "image" and by_suffix == "jsonl"):
        raise RefusedFileError("unsupported-format", f"{suffix or 'this kind of'} files hold no {mapping.modality}")
    return possible[0]


def _placed(path: Path) -> _Address:
    path = _absolute(path)
    if os.path.lexists(path):
        return _Address(path) if path.is_dir() else _Address(path.parent, name=path.name)
    wild = next((index for index, part in enumerate(path.parts) if _WILDCARD.search(part)), len(path.parts))
    folder = Path(*path.parts[:wild])
    if not folder.is_dir() or wild == len(path.parts):
        raise BadDataError(f"nothing exists at {str(folder)!r}", hint="correct the source's path")
    pattern = path.parts[wild:]
    return _Address(folder, pattern=(*pattern, "*") if pattern[-1] == "**" else pattern)


def _absolute(path: Path) -> Path:
    """The path without `..`, links unresolved: where a link lies names a file, not where it leads."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _chosen(place: _Address, mapping: Mapping) -> Iterator[Path]:
    """The paths that a folder or pattern stands for, and the folders below that cannot be entered."""
    for path in _walk(place):
        parts = path.relative_to(place.folder).parts
        if place.pattern:
            fits = _matches(parts, place.pattern)
        else:
            fits = mapping.format in ("auto", "text") or SUFFIXES.get(path.suffix.lower()) == mapping.format
        if fits or path.is_dir():
            yield path


def _walk(place: _Address) -> Iterator[Path]:
    unreadable: list[OSError] = []
    for current, names, files in os.walk(place.folder, onerror=unreadable.append):
        folder = Path(current)
        names[:] = [name for name in names if not _LEFTOVER.fullmatch(name) and _leads_on(folder / name, place)]
        yield from (folder / name for name in files if not _LEFTOVER.fullmatch(name))
        yield from (folder / name for name in names if _leads_out(folder / name, place))
    yield from (Path(error.filename) for error in unreadable)


def _leads_on(folder: Path, place: _Address) -> bool:
    """Whether files that match the pattern may lie below the folder."""
    parts = folder.relative_to(place.folder).parts
    return not place.pattern or any(_matches(parts, place.pattern[:end]) for end in range(1, len(place.pattern)))


def _matches(parts: _Parts, pattern: _Parts) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _leads_out(path: Path, place: _Address) -> bool:
    return path.is_symlink() and not path.resolve().is_relative_to(place.folder.resolve())


def _described(path: Path, place: _Address, root: Path) -> SourceFile:
    folder = path.parent.name if path.parent != place.folder or place.pattern or place.name else ""
    locator = _printable(path.relative_to(root).as_posix())
    try:
        status = path.stat()
    except OSError as error:
        return SourceFile(path, locator, 0, 0, _printable(folder), Refusal("unreadable", reason_of(error)))
    refusal = _refusal(path, place, status.st_mode)
    return SourceFile(path, locator, status.st_size, status.st_mtime_ns, _printable(folder), refusal)


def _refusal(path: Path, place: _Address, mode: int) -> Refusal | None:
    if not place.name and _leads_out(path, place):
        return Refusal("outside-the-source", f"a link to {_printable(str(path.resolve()))}; name that path itself")
    if stat.S_ISDIR(mode):
        return Refusal("unreadable", "the folder cannot be entered")
    return None if stat.S_ISREG(mode) else Refusal("not-a-file", "a pipe, a socket or a device")


def reason_of(error: OSError) -> str:
    """Return the operating system's words, without the path (the locator says it)."""
    return error.strerror or str(error)


def _printable(name: str) -> str:
    """A file name whose bytes are no UTF-8 keeps them as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
