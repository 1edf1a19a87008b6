"""Which format a file has: by the mapping, or by its name's ending."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from curate.store.ingestion.mapping import FORMATS_OF, FileFormat, Mapping
from curate.store.ingestion.shapes import RefusedFileError
from curate.store.ingestion.streams import COMPRESSIONS

_SUFFIXES: dict[str, FileFormat] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".tar": "webdataset",
    ".tgz": "webdataset",
    ".png": "images",
    ".jpg": "images",
    ".jpeg": "images",
    ".webp": "images",
    ".gif": "images",
}
_LEFTOVER = re.compile(r"\..*|.*~|#.*#|.*\.(swp|tmp|part|crdownload)|Thumbs\.db|desktop\.ini", re.DOTALL)


def is_leftover(name: str) -> bool:
    """Whether a file or folder of this name is hidden, an editor's leftover or an unfinished download."""
    return _LEFTOVER.fullmatch(name) is not None


def stated_format(name: str) -> FileFormat | None:
    """Return the format that a file's name states, None if it states none.

    >>> stated_format("a/B.JSONL.gz")
    'jsonl'
    """
    return _SUFFIXES.get(_suffix(name))


def format_of(name: str, mapping: Mapping) -> FileFormat:
    """Decide how to read the file of this name; "auto" goes by the ending, and by the modality where that says nothing.

    In a source of texts everything but rows and tars is one text; in a source of images everything but tables and tars
    is one image. A JSON file holds rows: the objects of its array, or those that lie one after the other, be it one.
    With the format "text" it is one text.

    Raises:
        RefusedFileError: such files hold no items of the modality.
    """
    if mapping.format != "auto":
        return mapping.format
    possible = FORMATS_OF[mapping.modality]
    stated = stated_format(name)
    if stated in possible:
        return stated
    if mapping.modality == "events" or (mapping.modality == "image" and stated not in (None, "images")):
        what = f"{_suffix(name)} files" if _suffix(name) else "files of this kind"
        raise RefusedFileError("unsupported-format", f"{what} hold no {mapping.modality}")
    return possible[0]


def _suffix(name: str) -> str:
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in COMPRESSIONS and path.suffix != ".tgz" else path.suffix
