r"""Canonical content and item ids: equal content gets the same id whichever file or format it came in.

An item id is 64 lower-case hexadecimal digits of a SHA-256 over

- text: the UTF-8 bytes of the canonical text: leading byte order marks removed, CRLF and CR turned into LF;
- image: ``b"image\0" + mode + b"\0"``, width and height as little-endian uint32, the pixel bytes row by row. The mode
  is L, LA, RGB or RGBA; `canonical_image` says how others become one of these. The stored bytes stay as they arrived;
- events: ``b"events\0" + time unit + b"\0"``, then for each event its time as little-endian float64 and its type as
  little-endian int32.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from PIL import Image

BYTE_ORDER_MARK = "\ufeff"
EVENT = np.dtype([("time", "<f8"), ("type", "<i4")])
_GREYS = frozenset({"1", "L", "LA", "La"})
_DEEP_GREYS = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})


def canonical_text(text: str) -> str:
    r"""Return the text without leading byte order marks and with LF as its only line end.

    >>> canonical_text("\ufeffone\r\ntwo\r")
    'one\ntwo\n'
    """
    return text.lstrip(BYTE_ORDER_MARK).replace("\r\n", "\n").replace("\r", "\n")


def canonical_texts(texts: pa.StringArray) -> pa.StringArray:
    """Apply `canonical_text` to every text; texts that have neither CR nor byte order mark cost one scan."""
    content = content_bytes(texts)
    if BYTE_ORDER_MARK.encode() in content:
        texts = pc.utf8_ltrim(texts, characters=BYTE_ORDER_MARK)
    if b"\r" in content:
        texts = pc.replace_substring(texts, "\r\n", "\n")
        texts = pc.replace_substring(texts, "\r", "\n")
    return texts


def text_id(text: str) -> str:
    """Return the item id of one text."""
    return hashlib.sha256(canonical_text(text).encode()).hexdigest()


def text_ids(texts: pa.StringArray) -> pa.StringArray:
    """Return the item ids of texts that are canonical already; null stays null."""
    return _identifiers(hashlib.sha256(), content_bytes(texts), byte_offsets(texts), texts)


def events_id(events: Iterable[tuple[float, int]], time_unit: str) -> str:
    """Return the item id of one event sequence, given as pairs of time and type in the order in which they count."""
    packed = np.array(list(events), EVENT).tobytes()
    return hashlib.sha256(_events_prefix(time_unit) + packed).hexdigest()


def events_ids(events: pa.ListArray, time_unit: str) -> pa.StringArray:
    """Return the item ids of sequences of type list<struct<time: double, type: int32>>; null stays null."""
    flat = events.flatten()
    packed = np.empty(len(flat), EVENT)
    packed["time"], packed["type"] = (flat.field(name).to_numpy(zero_copy_only=False) for name in ("time", "type"))
    lengths = pc.fill_null(pc.list_value_length(events), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))) * EVENT.itemsize
    return _identifiers(hashlib.sha256(_events_prefix(time_unit)), packed.tobytes(), offsets.tolist(), events)


def image_id(image: Image.Image) -> str:
    """Return the item id of a decoded image that is canonical already."""
    header = b"image\0" + image.mode.encode() + b"\0" + struct.pack("<II", *image.size)
    return hashlib.sha256(header + image.tobytes()).hexdigest()


def canonical_image(image: Image.Image) -> Image.Image:
    """Return the picture as a viewer shows it, in mode L, LA, RGB or RGBA.

    First the EXIF orientation is applied. 1-bit becomes L; palettes and all other modes (CMYK, YCbCr, …) become RGB by
    Pillow's conversion. Where the file names a transparent colour beside the pixels, an alpha channel says so.
    Premultiplied alpha is divided out. 16-bit greys keep their upper 8 bits.
    """
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in _DEEP_GREYS:
        return Image.fromarray((np.asarray(image).clip(0, 0xFFFF) >> 8).astype(np.uint8))
    mode = _mode_of(image)
    return image if image.mode == mode else image.convert(mode)


def canonical_json(value: Any) -> str:
    """Return compact JSON with sorted keys; numbers that JSON lacks become null, other types their text.

    >>> canonical_json({"b": float("nan"), "a": [1, "é"]})
    '{"a":[1,"é"],"b":null}'
    """
    try:
        return _dump(value)
    except ValueError:
        return _dump(_without_infinities(value))


def content_bytes(array: pa.Array) -> bytes:
    """Return the bytes of all values of a string or binary array, one after the other (those under nulls too)."""
    offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset :] if len(array) else np.zeros(1, np.int32)
    start, end = int(offsets[0]), int(offsets[len(array)])
    data = array.buffers()[2]
    return data.slice(start, end - start).to_pybytes() if data is not None else b""


def byte_offsets(array: pa.Array) -> list[int]:
    """Return where each value begins in `content_bytes`, and at last where the last one ends."""
    if not len(array):
        return [0]
    offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
    result: list[int] = (offsets - offsets[0]).tolist()
    return result


def hexadecimals(digests: Sequence[bytes]) -> pa.StringArray:
    """Return SHA-256 digests as an array of their hexadecimal digits."""
    digits = b"".join(digests).hex().encode()
    offsets = np.arange(len(digests) + 1, dtype=np.int32) * 64
    return pa.StringArray.from_buffers(len(digests), pa.py_buffer(offsets), pa.py_buffer(digits))


def _identifiers(prefix: hashlib._Hash, content: bytes, offsets: list[int], values: pa.Array) -> pa.StringArray:
    """Hash each piece of the content after the prefix; copying a started hash is quicker than making a new one."""
    digests = []
    for start, end in pairwise(offsets):
        digest = prefix.copy()
        digest.update(content[start:end])
        digests.append(digest.digest())
    identifiers = hexadecimals(digests)
    return pc.if_else(values.is_valid(), identifiers, None) if values.null_count else identifiers


def _events_prefix(time_unit: str) -> bytes:
    return b"events\0" + time_unit.encode() + b"\0"


def _mode_of(image: Image.Image) -> str:
    colours = "L" if image.mode in _GREYS else "RGB"
    return colours + "A" if image.has_transparency_data else colours


def _dump(value: Any) -> str:
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_as_text
    )


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _without_infinities(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_infinities(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(entry) for entry in value]
    return value
