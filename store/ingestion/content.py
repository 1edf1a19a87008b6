"""From arrived content to canonical content: per modality its item ids and sizes, and what is refused and why.

Every function takes one chunk's content column, in which null stands for "nothing there", and adds to `refusals`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.store.ingestion.canonical import (
    EVENT,
    canonical_image,
    canonical_texts,
    content_bytes,
    events_ids,
    image_id,
    text_ids,
)
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import Refusal, Refusals, excerpt, refuse
from curate.store.schema import EVENTS
from curate.types import Modality

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_Array = np.ndarray[Any, Any]
_INT32 = np.iinfo(np.int32)
_FREE_PIXELS, _PIXELS_PER_BYTE = 16_000_000, 500
_SCANS, _SCAN_MARK = 100, b"\xff\xda"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Content(NamedTuple):
    """Three arrays of one length: item ids, what the store keeps, and the size of the canonical content in bytes."""

    item_id: pa.Array
    stored: pa.Array
    size: pa.Array


def text_content(values: pa.BinaryArray, mapping: Mapping, refusals: Refusals) -> Content:
    """Canonical texts from bytes in UTF-8; the size is that of the canonical UTF-8."""
    refuse(refusals, _mask(values.is_null()), "missing-text", "there is no text")
    _refuse_large(values, mapping, refusals)
    if b"\0" in content_bytes(values):
        holds_nul = _mask(pc.fill_null(pc.match_substring(values, b"\0"), False))
        refuse(refusals, holds_nul, "binary", lambda position: _binary_detail(values[position].as_py()))
    texts = canonical_texts(utf8(_without(values, refusals), refusals))
    blank = pc.or_(pc.equal(pc.binary_length(texts), 0), pc.utf8_is_space(texts))
    refuse(refusals, _mask(pc.fill_null(blank, False)), "empty-text", "the text is empty or white space only")
    return Content(text_ids(texts), texts, pc.binary_length(texts).cast(pa.int64()))


def utf8(values: pa.BinaryArray, refusals: Refusals, name: str = "the text") -> pa.StringArray:
    """Bytes as strings; what is no UTF-8 is refused and becomes empty."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        pass
    faults = {position: _utf8_fault(value or b"", name) for position, value in enumerate(values.to_pylist())}
    bad = {position: fault for position, fault in faults.items() if fault is not None}
    for position, fault in bad.items():
        refusals.setdefault(position, fault)
    return _without(values, bad).cast(pa.string())


def image_content(values: pa.BinaryArray, mapping: Mapping, refusals: Refusals) -> Content:
    """Images as they arrived, with ids of their decoded pixels; the size is that of the stored bytes.

    Costs a full decoding each; one decoded image is in memory at a time.
    """
    refuse(refusals, _mask(values.is_null()), "missing-image", "there are no image bytes")
    _refuse_large(values, mapping, refusals)
    identifiers: list[str | None] = [None] * len(values)
    for position, value in enumerate(values):
        if position not in refusals:
            found = _decoded_id(value.as_py(), mapping.image_pixels)
            if isinstance(found, Refusal):
                refusals[position] = found
            else:
                identifiers[position] = found
    return Content(pa.array(identifiers, pa.string()), values, pc.binary_length(values).cast(pa.int64()))


def events_content(values: pa.Array, mapping: Mapping, refusals: Refusals) -> Content:
    """Event sequences from any list of structs with a numeric `time` and a numeric `type`.

    The order is kept as it is: whether time may run backwards is a question of quality, not of parsing. The size is 12
    bytes an event.
    """
    flat = values.flatten()
    times, types = _numbers(flat.field("time")), _numbers(flat.field("type"))
    bad = _mask(flat.is_null()) | _mask(flat.field("time").is_null()) | _mask(flat.field("type").is_null())
    bad |= ~np.isfinite(times) | (types < _INT32.min) | (types > _INT32.max) | (np.floor(types) != types)
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    bad_sequences = np.zeros(len(values), bool)
    bad_sequences[np.repeat(np.arange(len(values)), lengths)[bad]] = True
    refuse(refusals, _mask(values.is_null()), "missing-events", "there is no sequence")
    refuse(refusals, lengths == 0, "empty-events", "the sequence has no event")
    refuse(
        refusals,
        lengths * EVENT.itemsize > mapping.item_bytes,
        "too-large",
        lambda at: f"{lengths[at]} events of 12 bytes",
    )
    detail = "a time is missing or not finite, or a type is no 32-bit integer"
    refuse(refusals, bad_sequences, "invalid-events", detail)
    events = _event_lists(np.where(bad, 0.0, times), np.where(bad, 0, types), lengths)
    return Content(events_ids(events, mapping.time_unit), events, pa.array(lengths * EVENT.itemsize))


CONTENT_OF: dict[Modality, Callable[[pa.Array, Mapping, Refusals], Content]] = {
    "text": text_content,
    "image": image_content,
    "events": events_content,
}


def _decoded_id(content: bytes, pixels: int) -> str | Refusal:
    """Decode an image fully and return its id; the header's size is checked before any pixel is decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as image:
                width, height = image.size
                if width * height > pixels:
                    return Refusal("image-too-large", f"{width} by {height} pixels; {pixels} in all are allowed")
                if bomb := _bomb(content, width * height, image.format):
                    return bomb
                image.verify()
            with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as image:
                return image_id(canonical_image(image))
    except Image.DecompressionBombError as error:
        return Refusal("image-too-large", str(error))
    except UnidentifiedImageError:
        return Refusal("image-does-not-decode", f"no PNG, JPEG, WebP or GIF; it begins with {excerpt(content[:8])}")
    except Exception as error:  # an open set: SyntaxError, struct.error, IndexError … of Pillow's decoders
        return Refusal("image-does-not-decode", f"{type(error).__name__}: {excerpt(str(error))}")


def _bomb(content: bytes, pixels: int, kind: str | None) -> Refusal | None:
    """Why decoding would cost absurdly more than the bytes let expect: too many pixels, or a JPEG drawn many times."""
    if pixels > _FREE_PIXELS + _PIXELS_PER_BYTE * len(content):
        return Refusal("decompression-bomb", f"{len(content)} bytes say that they hold {pixels} pixels")
    scans = content.count(_SCAN_MARK) if kind == "JPEG" else 0
    return Refusal("decompression-bomb", f"a JPEG of {scans} scans, more than {_SCANS}") if scans > _SCANS else None


def _utf8_fault(value: bytes, name: str) -> Refusal | None:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        near = excerpt(value[max(0, error.start - 20) : error.start + 20])
        return Refusal("not-utf-8", f"{name} is no UTF-8 at byte {error.start}, near {near}")
    return None


def _event_lists(times: _Array, types: _Array, lengths: _Array) -> pa.ListArray:
    fields = list(EVENTS.value_type)
    structs = pa.StructArray.from_arrays(
        [pa.array(times, pa.float64()), pa.array(types.astype(np.int32))], fields=fields
    )
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), structs).cast(EVENTS)


def _numbers(values: pa.Array) -> _Array:
    """Float64, which holds every 32-bit integer exactly; nulls become NaN."""
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _refuse_large(values: pa.BinaryArray, mapping: Mapping, refusals: Refusals) -> None:
    sizes = pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
    refuse(refusals, sizes > mapping.item_bytes, "too-large", f"more than {mapping.item_bytes} bytes")


def _without(values: pa.BinaryArray, refusals: Refusals) -> pa.BinaryArray:
    """Empty the refused values. Null would not do: Arrow's kernels look at the bytes under it, and refuse them too."""
    if not refusals:
        return values
    kept = np.ones(len(values), bool)
    kept[list(refusals)] = False
    return pc.if_else(pa.array(kept), values, b"")


def _binary_detail(content: bytes) -> str:
    if content.startswith(_UTF16_MARKS):
        return "it begins like UTF-16; convert it to UTF-8"
    return f"a NUL character at byte {content.index(0)}"


def _mask(values: pa.BooleanArray) -> _Array:
    return np.asarray(values.to_numpy(zero_copy_only=False))
