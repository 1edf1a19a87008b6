"""Byte streams: one over any function that gives bytes, and one that unpacks gzip and zstd and falls for no bomb."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import pyarrow as pa

from curate.store.ingestion.shapes import RefusedFileError

COMPRESSIONS = {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd"}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_STEP_BYTES = 8192
FREE_BYTES = 64 * 2**20
RATIO = 200


class PulledStream(io.RawIOBase):
    """A stream to read in one go over a function that returns at most so many bytes, and none at the end."""

    def __init__(self, pull: Callable[[int], bytes]) -> None:
        self._pull = pull

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer's beginning; return with how many bytes."""
        piece = self._pull(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def unpacked(stream: BinaryIO, name: str) -> BinaryIO:
    """Return the stream, or what it holds if it begins like gzip or zstd, several members one after the other included.

    More than 64 MiB and 200 times what was read is taken for a bomb. Memory: zstd's window, at most 128 MiB.

    Raises:
        RefusedFileError: the name ends like a compressed file's, and the content does not begin like one. Reading the
            result raises it too: for damage, for a missing end, for a bomb.
    """
    head = _peeked(stream)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    stated = next((kind for suffix, kind in COMPRESSIONS.items() if name.lower().endswith(suffix)), None)
    if stated and kind is None:
        raise RefusedFileError("broken-compression", f"the name says {stated}, and the file does not begin like it")
    return stream if kind is None else io.BufferedReader(PulledStream(_Unpacker(stream, kind).read), _STEP_BYTES)


def unpacked_text(stream: BinaryIO, name: str) -> BinaryIO:
    """Return what `unpacked` returns, as UTF-8 if its byte order mark says UTF-16.

    Raises:
        RefusedFileError: as `unpacked`; reading the result also where UTF-16 ends within a character.
    """
    plain = unpacked(stream, name)
    encoding = _UTF16.get(_peeked(plain)[:2])
    return plain if encoding is None else io.BufferedReader(PulledStream(_Recoder(plain, encoding).read), _STEP_BYTES)


def _peeked(stream: BinaryIO) -> bytes:
    assert isinstance(stream, io.BufferedReader)
    return stream.peek(4)[:4]


class _Unpacker:
    """Unpacks in small steps: of what could be unpacked before damage, gzip loses up to 8 KiB and zstd up to 1 MiB."""

    def __init__(self, packed: BinaryIO, kind: str) -> None:
        self._kind = kind
        self._packed = packed
        self._given = self._taken = 0
        taken = io.BufferedReader(PulledStream(self._take))
        gives = gzip.GzipFile(fileobj=taken).read1 if kind == "gzip" else pa.CompressedInputStream(taken, kind).read
        self._unpack: Callable[[int], bytes] = gives

    def read(self, size: int) -> bytes:
        try:
            piece = self._unpack(min(size, _STEP_BYTES))
        except (OSError, EOFError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise RefusedFileError("broken-compression", f"the {self._kind} data end or break here: {error}") from error
        self._given += len(piece)
        if self._given > max(FREE_BYTES, RATIO * self._taken):
            detail = f"{self._taken} bytes of {self._kind} unpack to more than {self._given}"
            raise RefusedFileError("decompression-bomb", detail)
        return piece

    def _take(self, size: int) -> bytes:
        piece = self._packed.read(size)
        self._taken += len(piece)
        return piece


class _Recoder:
    """UTF-16 as UTF-8; half a character (a lone surrogate) becomes no UTF-8, so that only its row is refused."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder(encoding)("surrogatepass").decode
        self._ready = b""
        self._ended = False

    def read(self, size: int) -> bytes:
        while not self._ready and not self._ended:
            piece = self._stream.read(_STEP_BYTES)
            self._ended = not piece
            self._ready = self._recoded(piece)
        given, self._ready = self._ready[:size], self._ready[size:]
        return given

    def _recoded(self, piece: bytes) -> bytes:
        try:
            return self._decode(piece, final=not piece).encode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise RefusedFileError("not-utf-8", "the file begins like UTF-16, and ends within a character") from error
