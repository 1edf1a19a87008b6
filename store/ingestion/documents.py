"""Documents as rows: what a JSON object, or a sample put together from a tar's members, says under which name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from curate.store.ingestion.batches import Chunk
from curate.store.ingestion.canonical import BYTE_ORDER_MARK, canonical_json
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import Refusals, RefusedFileError, excerpt
from curate.types import Modality

_EVENTS = pa.list_(pa.struct([("time", pa.float64()), ("type", pa.float64())]))
_decode = json.JSONDecoder(parse_constant=lambda _: None).decode
_Entry = TypeVar("_Entry")


class _Row(NamedTuple):
    """What one document says: content as the modality's Python value, the rest as strings."""

    content: Any
    identifier: str | None
    label: str | None
    licence: str | None
    metadata: str


_NOTHING = _Row(None, None, None, None, "")


def documents_chunk(
    rows: Sequence[int],
    locators: pa.Array,
    entries: Sequence[_Entry],
    document_of: Callable[[_Entry], dict[str, Any]],
    mapping: Mapping,
) -> Chunk:
    """Turn entries into a chunk of rows; an entry of which `document_of` raises `RefusedFileError` is refused alone.

    A name may be absent from a document: no label, no entity, no such metadata; only without content is it refused.
    """
    refusals: Refusals = {}
    parsed: list[_Row] = []
    for position, entry in enumerate(entries):
        try:
            parsed.append(_row(document_of(entry), mapping))
        except RefusedFileError as error:
            refusals[position] = error.refusal
            parsed.append(_NOTHING)
    content, identifiers, labels, licences, metadata = zip(*parsed, strict=True)
    return Chunk(
        np.array(rows, np.int64),
        locators,
        _ARRAY_OF[mapping.modality](content),
        pa.array(identifiers, pa.string()),
        pa.array(labels, pa.string()),
        pa.array(licences, pa.string()),
        pa.array(metadata, pa.string()),
        refusals,
    )


def json_document(content: bytes) -> dict[str, Any]:
    """Read a JSON object; NaN and Infinity, which Python writes and JSON lacks, read as null.

    Raises:
        RefusedFileError: it is none, and why.
    """
    content = content.strip()
    try:
        document = _decode(content.decode("utf-8").lstrip(BYTE_ORDER_MARK))
    except UnicodeDecodeError as error:
        near = excerpt(content[max(0, error.start - 20) : error.start + 20])
        raise RefusedFileError("not-utf-8", f"the JSON is no UTF-8 at byte {error.start}, near {near}") from error
    except json.JSONDecodeError as error:
        detail = f"{error.msg.removesuffix(' starting at')} at column {error.colno}; it begins {excerpt(content)}"
        raise RefusedFileError("broken-json", detail) from error
    except (ValueError, RecursionError) as error:
        detail = f"nested too deeply, or a number too long; it begins {excerpt(content)}"
        raise RefusedFileError("broken-json", detail) from error
    if not isinstance(document, dict):
        raise RefusedFileError("not-an-object", f"it begins {excerpt(content)}")
    return document


def _row(document: dict[str, Any], mapping: Mapping) -> _Row:
    metadata = {name: document[name] for name in mapping.metadata if name in document}
    return _Row(
        _CONTENT_OF[mapping.modality](document.get(mapping.content), mapping.content),
        _single(document, mapping.identifier, "invalid-identifier"),
        _single(document, mapping.label_column, "invalid-label"),
        _single(document, mapping.licence_column, "invalid-licence"),
        _whole(canonical_json(metadata)) if mapping.metadata else "",
    )


def _single(document: dict[str, Any], name: str, reason: str) -> str | None:
    value = document.get(name) if name else None
    if value is None or isinstance(value, str):
        return value if value is None else _whole(value)
    if type(value) is int:
        return str(value)
    if isinstance(value, dict | list):
        raise RefusedFileError(reason, f"{excerpt(canonical_json(value))} is no single value")
    return _whole(canonical_json(value))


def _whole(text: str) -> str:
    if not text.isascii():
        _encoded(text)
    return text


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise RefusedFileError("not-utf-8", "an escape stands for half a character (a lone surrogate)") from error


def _text(value: Any, name: str) -> bytes:
    if value is None:
        raise RefusedFileError("missing-text", f"there is no {name!r}")
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise RefusedFileError("not-text", f"{name!r} is {excerpt(canonical_json(value))}, no text")
    return _encoded(value)


def _image(value: Any, name: str) -> bytes:
    if not isinstance(value, bytes):
        raise RefusedFileError("missing-image", f"there is no image and no {name!r}")
    return value


def _events(value: Any, name: str) -> list[tuple[float, float]]:
    if value is None:
        raise RefusedFileError("missing-events", f"there is no {name!r}")
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


def _event_lists(sequences: tuple[list[tuple[float, float]] | None, ...]) -> pa.Array:
    named = (
        [{"time": time, "type": kind} for time, kind in pairs] if pairs is not None else None for pairs in sequences
    )
    return pa.array(named, _EVENTS)


def _binaries(values: tuple[bytes | None, ...]) -> pa.Array:
    return pa.array(values, pa.binary())


_CONTENT_OF: dict[Modality, Callable[[Any, str], Any]] = {"text": _text, "image": _image, "events": _events}
_ARRAY_OF: dict[Modality, Callable[[Any], pa.Array]] = {
    "text": _binaries,
    "image": _binaries,
    "events": _event_lists,
}
