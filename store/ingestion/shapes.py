"""What readers hand out: the schemas of records and rejects, and the reasons for refusing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.errors import BadDataError
from curate.store.schema import ITEMS

_STRINGS = ("locator", "entity", "licence", "metadata", "label")
RECORDS = pa.schema([*ITEMS.columns, *((name, pa.string()) for name in _STRINGS)])
REJECTS = pa.schema([(name, pa.string()) for name in ("locator", "reason", "detail")])
ROWS = pa.schema([*RECORDS, pa.field("row", pa.int64()), *list(REJECTS)[1:]])

REASONS: dict[str, str] = {
    "absurd-size": "the file says that it holds more rows or bytes than it can hold",
    "ambiguous-column": "a column that the mapping names appears more than once",
    "binary": "the text holds a NUL character",
    "broken-arrow": "the file's Arrow structure is damaged",
    "broken-compression": "the gzip or zstd data are damaged or end too early",
    "broken-csv": "the line's quotes do not fit together",
    "broken-json": "the line or value is no JSON",
    "broken-parquet": "the file's Parquet structure is damaged",
    "broken-tar": "the tar's structure is damaged",
    "decompression-bomb": "the data unpack to absurdly more than they take",
    "empty-events": "the sequence has no event",
    "empty-text": "the text has no character other than white space",
    "erased": "the content was erased, and a tombstone keeps it out",
    "image-does-not-decode": "the bytes are no whole PNG, JPEG, WebP or GIF",
    "image-too-large": "the image has more pixels than allowed",
    "invalid-events": "an event's time is not finite or its type is no 32-bit integer",
    "invalid-identifier": "the identifier is no single value",
    "invalid-label": "the label is no single value, or no known class",
    "invalid-licence": "the licence is no single value",
    "invalid-metadata": "a metadata value cannot be written as JSON",
    "missing-column": "the file lacks a column that the mapping names",
    "missing-events": "there is no sequence",
    "missing-image": "there are no image bytes",
    "missing-text": "there is no text",
    "not-a-file": "the path is a device, a pipe or a socket",
    "not-an-image": "the column holds no bytes",
    "not-an-object": "the line or value is JSON but no object",
    "not-text": "the value is no text",
    "not-utf-8": "the bytes are no UTF-8 text",
    "outside-the-source": "a symbolic link leads out of the source's folder",
    "too-large": "the item is larger than allowed",
    "truncated-parquet": "the file begins like Parquet and lacks its end",
    "unknown-value": "the label is none of the protocol's values; the item came in without it",
    "unreadable": "the operating system would not let the file be read",
    "unsafe-member": "a member of the tar is a link or a device, or its path climbs out",
    "unsupported-format": "files of this kind hold no items of this modality",
    "wrong-columns": "the line has more or fewer columns than the header",
}
_EXCERPT = 200


class Refusal(NamedTuple):
    """Why a row or a file did not become an item: a key of `REASONS` and a sentence for a person."""

    reason: str
    detail: str


Refusals = dict[int, Refusal]
"""The refused positions of a chunk of rows."""


class RefusedFileError(BadDataError):
    """The rest of a file cannot be read; inside this package only, where it becomes one reject."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(reason, detail)


@dataclass(frozen=True, slots=True)
class Parsed:
    """One batch: `records` and `rejects` of consecutive rows.

    `next_row` is where reading may start again later; `complete` says that the file ends here.
    """

    records: pa.Table
    rejects: pa.Table
    next_row: int
    complete: bool


def refuse(refusals: Refusals, where: np.ndarray[Any, Any], reason: str, detail: str | Callable[[int], str]) -> None:
    """Refuse the positions at which the mask `where` is true; an earlier refusal of a position stands."""
    for position in np.flatnonzero(where).tolist():
        if position not in refusals:
            refusals[position] = Refusal(reason, detail if isinstance(detail, str) else detail(position))


def excerpt(content: str | bytes) -> str:
    r"""Quote the beginning of some content so that it is safe to print: at most 200 characters, controls escaped.

    >>> excerpt(b'a\x1b[2J\xff')
    "'a\\x1b[2J\\xff'"
    """
    text = content[:_EXCERPT]
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    escaped = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    room = _EXCERPT - 2
    cut = len(escaped) > room or len(content) > _EXCERPT
    return f"'{escaped[: room - 1]}…'" if cut else f"'{escaped}'"
