"""JSON files: the objects of one array, or objects one after the other, read as a stream."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from curate.store.ingestion.batches import Chunk, assemble, chunked, row_locators
from curate.store.ingestion.canonical import BYTE_ORDER_MARK
from curate.store.ingestion.documents import documents_chunk, json_document
from curate.store.ingestion.lines import too_long
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import Refusal, RefusedFileError
from curate.store.ingestion.source_file import SourceFile
from curate.store.ingestion.streams import unpacked_text

_PIECE_BYTES = 2**20
_SOMETHING = re.compile(rb"[^\s,]")
_IN_STRING = re.compile(rb'["\n]|\\[^\n]')
_IN_CONTAINER = re.compile(rb'["{}\[\]]')
_IN_WORD = re.compile(rb'[\s,"{}\[\]]')
_UNENDED = Refusal("broken-json", "the file ends, and the array does not")


class Value(NamedTuple):
    """One value: the how-manieth of the file from 0 on, the line it begins in from 1 on, and its bytes or a refusal."""

    number: int
    line: int
    content: bytes | Refusal

    @property
    def size(self) -> int:
        """The bytes that it holds in memory."""
        return len(self.content) if isinstance(self.content, bytes) else 0


def read_json(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield tables of rows, one for each value of the file's arrays, or of those that lie one after the other in it.

    A row's number is its value's, counted from 0; what is refused says its line, too. The file may be packed with gzip
    or zstd, and be UTF-16 with its byte order mark. A missing quote costs the rest of its line, a missing bracket one
    value; an object that lacks its closing brace is refused with all that follows it.

    Memory: a value above `mapping.item_bytes` is refused without being held.

    Raises:
        RefusedFileError: the rest of a packed file is damaged, missing or a bomb.
        OSError: the file cannot be read.
    """
    with file.open() as packed:
        values = _Values(unpacked_text(packed, file.locator), mapping)
        wanted = (value for value in values if value.number >= start_row)
        for chunk in chunked(wanted, lambda value: value.size):
            rows = assemble(_parsed(chunk, file, mapping), file, mapping)
            yield _with_lines(rows, chunk)


def _parsed(values: list[Value], file: SourceFile, mapping: Mapping) -> Chunk:
    numbers = [value.number for value in values]
    return documents_chunk(numbers, row_locators(file, numbers), values, _document, mapping)


def _document(value: Value) -> dict[str, Any]:
    if isinstance(value.content, Refusal):
        raise RefusedFileError(*value.content)
    return json_document(value.content)


def _with_lines(rows: pa.Table, values: list[Value]) -> pa.Table:
    """Say in each refusal in which line its value begins."""
    if rows["reason"].null_count == rows.num_rows:
        return rows
    details = [
        detail and f"line {value.line}: {detail}"
        for detail, value in zip(rows["detail"].to_pylist(), values, strict=True)
    ]
    at = rows.column_names.index("detail")
    return rows.set_column(at, rows.schema.field(at), pa.array(details, pa.string()))


class _Values:
    """The values of a stream; at most one of them, and a piece, is held."""

    def __init__(self, stream: BinaryIO, mapping: Mapping) -> None:
        self._read = partial(stream.read, _PIECE_BYTES)
        self._mapping = mapping
        self._held = self._read().removeprefix(BYTE_ORDER_MARK.encode())
        self._at = 0
        self._line = 1

    def __iter__(self) -> Iterator[Value]:
        number, in_array = 0, False
        while mark := self._mark():
            if mark == (b"]" if in_array else b"["):
                in_array = not in_array
                self._pass(self._at + 1)
            else:
                yield self._value(number)
                number += 1
        if in_array:
            yield Value(number, self._line, _UNENDED)

    def _mark(self) -> bytes:
        """Pass white space and commas; return the byte behind them, none at the end."""
        while True:
            found = _SOMETHING.search(self._held, self._at)
            self._pass(found.start() if found else len(self._held))
            if found:
                return found.group()
            if not self._more():
                return b""

    def _value(self, number: int) -> Value:
        line, scan, too_large = self._line, _Scan(self._held[self._at]), False
        while (end := scan.end(self._held, self._at)) is None:
            if len(self._held) - self._at > self._mapping.item_bytes:
                too_large = True
                self._pass(self._at + scan.scanned)
                scan.scanned = 0
            if not self._more():
                end = len(self._held)
                break
        too_large = too_large or end - self._at > self._mapping.item_bytes
        content = self._pass(end)
        return Value(number, line, too_long(self._mapping).refusal if too_large else content)

    def _pass(self, end: int) -> bytes:
        passed = self._held[self._at : end]
        self._line += passed.count(b"\n")
        self._at = end
        return passed

    def _more(self) -> bool:
        """Hold the next piece, too; what was passed is let go."""
        piece = self._read()
        self._held, self._at = self._held[self._at :] + piece, 0
        return bool(piece)


class _Scan:
    """Looks for the end of one value, as far as it is held: `scanned` bytes of it are known not to end it.

    Braces and brackets are counted apart: whatever is missing inside, what began with one ends with its partner.
    """

    def __init__(self, first: int) -> None:
        self._closing = {ord("{"): b"}", ord("["): b"]", ord('"'): b'"'}.get(first, b"")
        self._open = {b"{": 0, b"[": 0}
        self._quoted = False
        self.scanned = 0 if self._closing else 1

    def end(self, held: bytes, start: int) -> int | None:
        """Return where the value ends that begins at `start`, None if that is not held yet."""
        position = start + self.scanned
        while (found := self._pattern.search(held, position)) is not None:
            position = found.end()
            if not self._closing or self._is_beyond(found.group()):
                return found.start()
            if self._closes(found.group()):
                return position
        self.scanned = len(held) - start - (1 if self._quoted and held.endswith(b"\\") else 0)
        return None

    @property
    def _pattern(self) -> re.Pattern[bytes]:
        if self._quoted:
            return _IN_STRING
        return _IN_CONTAINER if self._closing else _IN_WORD

    def _is_beyond(self, mark: bytes) -> bool:
        """Whether the mark is the end of the array around an object that lacks its own."""
        return mark == b"]" and not self._quoted and not self._open[b"["]

    def _closes(self, mark: bytes) -> bool:
        if mark == b"\n":
            return True
        if self._quoted:
            self._quoted = mark != b'"'
            return not self._quoted and self._closing == b'"'
        if mark == b'"':
            self._quoted = True
        elif mark in self._open:
            self._open[mark] += 1
        else:
            opening = b"{" if mark == b"}" else b"["
            self._open[opening] -= 1
            return mark == self._closing and self._open[opening] <= 0
        return False
