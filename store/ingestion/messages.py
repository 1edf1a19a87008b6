"""The messages of an Arrow IPC stream, with what their headers say: rows, and bytes before and after unpacking."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from curate.store.ingestion.shapes import RefusedFileError, excerpt

SCHEMA, DICTIONARY, RECORDS = 1, 2, 3
_FILE_MAGIC = b"ARROW1\0\0"
_CONTINUATION = b"\xff\xff\xff\xff"
_HEADER_BYTES = 64 * 2**20
_BODY_BYTES = 256 * 2**20
_PIECE_BYTES = 2**20
# The places of fields in the tables of Arrow's format/Message.fbs.
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_DATA = 1
_LENGTH, _NODES, _BUFFERS, _COMPRESSION = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its kind, its rows, its bytes in two pieces, and why it must not be decoded, "" if it may.

    One whose number of rows is absurd counts as one row.
    """

    kind: int
    rows: int
    header: bytes
    body: bytes
    absurd: str = ""


def messages(stream: BinaryIO) -> Iterator[Message]:
    """Yield the messages of a stream, or of a file, which is a stream between two magic words.

    A body above 256 MiB, packed or unpacked, and a batch with more rows than bytes are `absurd`; they are not loaded.
    Memory: one message.

    Raises:
        RefusedFileError: what follows is no message, or the end is missing.
    """
    prefix = stream.read(8)
    is_file = prefix == _FILE_MAGIC
    if is_file:
        prefix = stream.read(8)
    while (length := _length(prefix)) > 0:
        header = prefix + _exactly(stream, length)
        yield _message(header, stream)
        prefix = stream.read(8)
    rest, last = _rest(stream)
    if not is_file and rest:
        raise RefusedFileError("broken-arrow", f"{rest} bytes follow the stream's end mark")
    if is_file and (last[4:] != _FILE_MAGIC[:6] or rest != struct.unpack_from("<i", last)[0] + len(last)):
        raise RefusedFileError("broken-arrow", "the file begins like Arrow, and no footer follows its end mark")


def _length(prefix: bytes) -> int:
    if len(prefix) < 8:
        raise RefusedFileError("broken-arrow", "the Arrow data end without their end mark; copy them again")
    length = int(struct.unpack_from("<i", prefix, 4)[0])
    if not prefix.startswith(_CONTINUATION) or not 0 <= length <= _HEADER_BYTES:
        raise RefusedFileError("broken-arrow", f"where a message should begin is {excerpt(prefix)}")
    return length


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise RefusedFileError("broken-arrow", "the Arrow data end in the middle of a message; copy them again")
    return content


def _rest(stream: BinaryIO) -> tuple[int, bytes]:
    """How many bytes follow the end mark, and the last ten: of a file, the length of its footer and a magic word."""
    count, last = 0, b""
    while piece := stream.read(_PIECE_BYTES):
        count += len(piece)
        last = (last + piece)[-10:]
    return count, last


def _message(header: bytes, stream: BinaryIO) -> Message:
    try:
        kind, rows, column_rows, body_length, buffers = _said(header[8:])
    except (struct.error, IndexError, OverflowError) as error:
        raise RefusedFileError("broken-arrow", "the header of a message is damaged") from error
    if body_length < 0 or rows < 0:
        raise RefusedFileError("broken-arrow", f"a message says that it has {rows} rows in {body_length} bytes")
    if body_length > _BODY_BYTES:
        _skip(stream, body_length)
        detail = f"a batch takes {body_length} bytes, more than {_BODY_BYTES}; write smaller record batches"
        return Message(kind, rows, header, b"", detail)
    body = _exactly(stream, body_length)
    size = sum(_unpacked_size(body, *buffer) for buffer in buffers) if buffers else body_length
    if size > _BODY_BYTES:
        return Message(kind, rows, header, b"", f"a batch of {body_length} bytes unpacks to {size}")
    if max(rows, column_rows) > size:
        return Message(
            kind, 1, header, b"", f"a batch says that it holds {max(rows, column_rows)} rows in {size} bytes"
        )
    if rows != column_rows:
        detail = f"a batch says that it holds {rows} rows, and its first column {column_rows}"
        return Message(kind, max(rows, column_rows), header, b"", detail)
    return Message(kind, rows, header, body)


def _skip(stream: BinaryIO, size: int) -> None:
    while size > 0:
        size -= len(_exactly(stream, min(size, _PIECE_BYTES)))


def _said(table: bytes) -> tuple[int, int, int, int, list[tuple[int, int]]]:
    """A header's kind, rows, rows of the first column, body length and, if the body is packed, its buffers' places."""
    root = _reference(table, 0)
    kind = table[place] if (place := _field(table, root, _HEADER_TYPE)) else 0
    body_length = _integer(table, _field(table, root, _BODY_LENGTH))
    inner = _reference(table, _field(table, root, _HEADER))
    if kind == SCHEMA:
        return kind, 0, 0, body_length, []
    if kind == DICTIONARY:
        inner = _reference(table, _field(table, inner, _DATA))
    elif kind != RECORDS:
        raise IndexError(kind)
    rows = _integer(table, _field(table, inner, _LENGTH))
    nodes = _pairs(table, inner, _NODES)
    buffers = _pairs(table, inner, _BUFFERS) if _field(table, inner, _COMPRESSION) else []
    return kind, rows, nodes[0][0] if nodes else rows, body_length, buffers


def _pairs(table: bytes, start: int, number: int) -> list[tuple[int, int]]:
    """A field that is a vector of pairs of 64-bit integers: length and count of nulls, or place and length."""
    vector = _reference(table, _field(table, start, number))
    count = struct.unpack_from("<I", table, vector)[0]
    return list(struct.iter_unpack("<qq", table[vector + 4 :][: 16 * count]))


def _unpacked_size(body: bytes, start: int, length: int) -> int:
    """What a packed buffer says before its content; -1 there means that it is not packed."""
    if length < 8 or not 0 <= start <= len(body) - 8:
        return 0
    said = int(struct.unpack_from("<q", body, start)[0])
    return length if said < 0 else said


def _field(table: bytes, start: int, number: int) -> int:
    """Where a flatbuffer's table has a field, 0 if it has not."""
    fields = start - struct.unpack_from("<i", table, start)[0]
    at = 4 + 2 * number
    offset = struct.unpack_from("<H", table, fields + at)[0] if at < struct.unpack_from("<H", table, fields)[0] else 0
    return start + offset if offset else 0


def _reference(table: bytes, place: int) -> int:
    """Where the offset at a place leads."""
    return place + int(struct.unpack_from("<I", table, place)[0])


def _integer(table: bytes, place: int) -> int:
    return int(struct.unpack_from("<q", table, place)[0]) if place else 0
