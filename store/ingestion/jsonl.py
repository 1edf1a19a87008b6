"""JSON Lines: one object a line, read as a stream."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from curate.store.ingestion.batches import Chunk, assemble, row_locators
from curate.store.ingestion.canonical import BYTE_ORDER_MARK, canonical_json
from curate.store.ingestion.files import SourceFile
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import Refusal, RefusedFileError, excerpt
from curate.types import Modality

_CHUNK_ROWS = 16_384
_CHUNK_BYTES = 16 * 2**20
_SKIPPED_BYTES = 2**20
_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_EVENTS = pa.list_(pa.struct([("time", pa.float64()), ("type", pa.float64())]))
_decode = json.JSONDecoder(parse_constant=lambda _: None).decode
_Line = tuple[int, bytes | None]


class _Row(NamedTuple):
    """What one line says: content as the modality's Python value, the rest as strings."""

    content: Any
    identifier: str | None
    label: str | None
    metadata: str


def read_jsonl(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield tables of rows, one for each line that is not blank; a row's number is its line's, counted from 0.

    NaN and Infinity, which Python writes and JSON lacks, read as null. A line above `mapping.item_bytes` is refused
    without being loaded whole. A key may be absent: no label, no entity, no such metadata, and only without content is
    the line refused.

    Raises:
        OSError: the file cannot be read.
    """
    with file.path.open("rb") as stream:
        for lines in _chunks(_lines(stream, mapping.item_bytes, start_row)):
            yield assemble(_parsed(lines, file, mapping), file, mapping)


def _lines(stream: BinaryIO, limit: int, start_row: int) -> Iterator[_Line]:
    """The lines that are not blank, with their numbers; None stands for one above the limit."""
    for row in count():
        line = stream.readline(limit + 1)
        if not line:
            return
        too_long = len(line) > limit and not line.endswith(b"\n")
        if too_long:
            _skip_line(stream)
        if row >= start_row and (too_long or not _blank(line)):
            yield row, None if too_long else line


def _skip_line(stream: BinaryIO) -> None:
    while (piece := stream.readline(_SKIPPED_BYTES)) and not piece.endswith(b"\n"):
        pass


def _blank(line: bytes) -> bool:
    return not line.removeprefix(BYTE_ORDER_MARK.encode()).strip()


def _chunks(lines: Iterator[_Line]) -> Iterator[list[_Line]]:
    chunk: list[_Line] = []
    size = 0
    for row, line in lines:
        chunk.append((row, line))
        size += len(line or b"")
        if len(chunk) >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _parsed(lines: list[_Line], file: SourceFile, mapping: Mapping) -> Chunk:
    refusals: dict[int, Refusal] = {}
    parsed: list[_Row] = []
    for position, (_, line) in enumerate(lines):
        try:
            parsed.append(_row(line, mapping))
        except RefusedFileError as error:
            refusals[position] = error.refusal
            parsed.append(_Row(None, None, None, ""))
    content, identifiers, labels, metadata = zip(*parsed, strict=True)
    rows = np.fromiter((row for row, _ in lines), np.int64, len(lines))
    return Chunk(
        rows,
        row_locators(file, rows),
        _ARRAY_OF[mapping.modality](content),
        pa.array(identifiers, pa.string()),
        pa.array(labels, pa.string()),
        pa.array(metadata, pa.string()),
        refusals,
    )


def _row(line: bytes | None, mapping: Mapping) -> _Row:
    if line is None:
        raise RefusedFileError("too-large", f"more than {mapping.item_bytes} bytes")
    document = _document(line)
    metadata = {name: document[name] for name in mapping.metadata if name in document}
    row = _Row(
        _CONTENT_OF[mapping.modality](document.get(mapping.content), mapping.content),
        _scalar(document.get(mapping.identifier), "invalid-identifier"),
        _scalar(document.get(mapping.label_column), "invalid-label"),
        canonical_json(metadata) if mapping.metadata else "",
    )
    if _LONE_SURROGATE.search(line):
        _refuse_lone_surrogates(row)
    return row


def _document(line: bytes) -> dict[str, Any]:
    line = line.strip()
    try:
        document = _decode(line.decode("utf-8").lstrip(BYTE_ORDER_MARK))
    except UnicodeDecodeError as error:
        near = excerpt(line[max(0, error.start - 20) : error.start + 20])
        raise RefusedFileError("not-utf-8", f"the line is no UTF-8 at byte {error.start}, near {near}") from error
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at column {error.colno}; the line begins {excerpt(line)}"
        raise RefusedFileError("broken-json", detail) from error
    except (ValueError, RecursionError) as error:
        detail = f"nested too deeply, or a number too long; the line begins {excerpt(line)}"
        raise RefusedFileError("broken-json", detail) from error
    if not isinstance(document, dict):
        raise RefusedFileError("not-an-object", f"the line begins {excerpt(line)}")
    return document


def _scalar(value: Any, reason: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        raise RefusedFileError(reason, f"{excerpt(canonical_json(value))} is no single value")
    return canonical_json(value)


def _text(value: Any, name: str) -> bytes:
    if value is None:
        raise RefusedFileError("missing-text", f"the line has no {name!r}")
    if not isinstance(value, str):
        raise RefusedFileError("not-text", f"{name!r} is {excerpt(canonical_json(value))}, no text")
    return value.encode("utf-8", "surrogatepass")


def _events(value: Any, name: str) -> list[tuple[float, float]]:
    if value is None:
        raise RefusedFileError("missing-events", f"the line has no {name!r}")
    if not isinstance(value, list):
        raise RefusedFileError("invalid-events", f"{name!r} is no list of events")
    return [_event(entry, index) for index, entry in enumerate(value)]


def _event(entry: Any, index: int) -> tuple[float, float]:
    pair = [entry.get("time"), entry.get("type")] if isinstance(entry, dict) else entry
    if not isinstance(pair, list) or len(pair) != 2 or not all(map(_is_number, pair)):
        raise RefusedFileError("invalid-events", f"event {index + 1} is {excerpt(canonical_json(entry))}")
    try:
        return float(pair[0]), float(pair[1])
    except OverflowError:
        return math.inf, math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse_lone_surrogates(row: _Row) -> None:
    parts = [row.identifier or "", row.label or "", row.metadata]
    content = row.content if isinstance(row.content, bytes) else b""
    try:
        "".join(parts).encode()
        content.decode()
    except UnicodeError as error:
        raise RefusedFileError("not-utf-8", "an escape stands for half a character (a lone surrogate)") from error


def _event_lists(sequences: tuple[list[tuple[float, float]] | None, ...]) -> pa.Array:
    named = (
        [{"time": time, "type": kind} for time, kind in pairs] if pairs is not None else None for pairs in sequences
    )
    return pa.array(named, _EVENTS)


_CONTENT_OF: dict[Modality, Callable[[Any, str], Any]] = {"text": _text, "events": _events}
_ARRAY_OF: dict[Modality, Callable[[Any], pa.Array]] = {
    "text": lambda texts: pa.array(texts, pa.binary()),
    "events": _event_lists,
}
