"""CSV: a header, then one record a line or, where quotes hold line ends, several lines; read as a stream."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curate.store.ingestion.batches import Chunk, assemble, chunked, row_locators
from curate.store.ingestion.canonical import BYTE_ORDER_MARK
from curate.store.ingestion.content import utf8
from curate.store.ingestion.lines import Line, is_blank, numbered_lines, too_long
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.metadata import json_objects
from curate.store.ingestion.shapes import Refusal, Refusals, RefusedFileError, excerpt
from curate.store.ingestion.source_file import SourceFile
from curate.store.ingestion.streams import unpacked_text

_DELIMITERS = (",", ";", "\t", "|")
_RECORD_LINES = 100_000
_FREE_LINES, _READINGS = 200_000, 4


class _Record(NamedTuple):
    """One record by its first line: its fields, or why it has none; `size` counts the bytes of all its lines."""

    number: int
    fields: list[str]
    size: int
    refusal: Refusal | None = None


def read_delimited(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield tables of rows, one for each record; a row's number is that of its first line, counted from 0.

    The first line that is not blank is the header; the delimiter is that of comma, semicolon, tab and bar by which it
    has the content's column. Quotes are doubled within quotes. The file may be packed with gzip or zstd, and be
    UTF-16 with its byte order mark.

    Where quotes do not close within `mapping.item_bytes` and 100,000 lines, or the number of fields is not the
    header's, the record's first line alone is refused and reading goes on with the next line: one missing quote costs
    one line. Quotes can be set so that each line seems to begin a record without an end: where more than 200,000 lines
    and four times all lines would be read again for it, the lines of such a record are refused together.

    Raises:
        RefusedFileError: the header lacks a column or has one twice, or the rest of a packed file is damaged.
        OSError: the file cannot be read.
    """
    with file.open() as packed:
        lines = numbered_lines(unpacked_text(packed, file.locator), mapping.item_bytes)
        header = next((line for line in lines if not is_blank(line)), None)
        if header is None:
            return
        columns, delimiter = _header(header, mapping)
        records = _Records(lines, delimiter, len(columns), mapping)
        wanted = (record for record in records if record.number >= start_row)
        for chunk in chunked(wanted, lambda record: record.size):
            yield assemble(_chunk(chunk, columns, file, mapping), file, mapping)


def _header(line: Line, mapping: Mapping) -> tuple[list[str], str]:
    if line.content is None:
        raise too_long(mapping)
    text = _decoded(line.content).lstrip(BYTE_ORDER_MARK)
    splits = {delimiter: _split(text, delimiter) for delimiter in _DELIMITERS}
    fitting = [delimiter for delimiter in _DELIMITERS if mapping.content in splits[delimiter]]
    delimiter = fitting[0] if fitting else max(_DELIMITERS, key=lambda each: len(splits[each]))
    columns = splits[delimiter]
    for name in (mapping.content, *mapping.beside_content):
        if name not in columns:
            listed = excerpt(", ".join(columns))
            raise RefusedFileError("missing-column", f"there is no column {name!r}; the header has {listed}")
        if columns.count(name) > 1:
            raise RefusedFileError("ambiguous-column", f"there are {columns.count(name)} columns {name!r}")
    return columns, delimiter


def _split(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


class _Records:
    """The records of some lines, with a way back: where one fails, all its lines but the first are read again."""

    def __init__(self, lines: Iterator[Line], delimiter: str, width: int, mapping: Mapping) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._width = width
        self._mapping = mapping
        self._again: deque[Line] = deque()
        self._taken: list[Line] = []
        self._size = self._fresh = self._reread = 0
        csv.field_size_limit(max(csv.field_size_limit(), mapping.item_bytes))

    def __iter__(self) -> Iterator[_Record]:
        reader = self._reader()
        while True:
            self._taken, self._size = [], 0
            try:
                fields = next(reader, None)
            except csv.Error as error:
                yield self._refused("broken-csv", str(error))
                reader = self._reader()
                continue
            if fields is None:
                return
            if len(fields) == self._width:
                yield _Record(self._taken[0].number, fields, self._size)
            elif fields:
                yield self._refused("wrong-columns", f"{len(fields)} columns where the header has {self._width}")
                reader = self._reader()

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._texts(), delimiter=self._delimiter, strict=True)

    def _texts(self) -> Iterator[str]:
        for line in chain(self._put_back(), self._new()):
            self._taken.append(line)
            self._size += line.size
            if line.content is None or self._size > self._mapping.item_bytes or len(self._taken) > _RECORD_LINES:
                limits = f"{self._mapping.item_bytes} bytes and {_RECORD_LINES} lines"
                raise csv.Error(f"the record does not end within {limits}")
            yield _decoded(line.content)

    def _put_back(self) -> Iterator[Line]:
        while self._again:
            yield self._again.popleft()

    def _new(self) -> Iterator[Line]:
        for line in self._lines:
            self._fresh += 1
            yield line

    def _refused(self, reason: str, detail: str) -> _Record:
        first, *others = self._taken
        if self._reread + len(others) > _FREE_LINES + _READINGS * self._fresh:
            detail = f"{detail}; {len(others)} lines after it are refused with it, for they may belong to it"
        else:
            self._reread += len(others)
            self._again.extendleft(reversed(others))
        if first.content is None:
            return _Record(first.number, [], 0, too_long(self._mapping).refusal)
        words = f"{detail}; the line is {excerpt(first.content.rstrip())}"
        return _Record(first.number, [], first.size, Refusal(reason, words))


def _decoded(content: bytes) -> str:
    """Bytes that are no UTF-8 stay as surrogates, so that only the field that holds them is refused."""
    return content.decode("utf-8", "surrogateescape")


def _chunk(records: list[_Record], columns: list[str], file: SourceFile, mapping: Mapping) -> Chunk:
    refusals: Refusals = {at: record.refusal for at, record in enumerate(records) if record.refusal is not None}
    numbers = [record.number for record in records]

    def values(name: str) -> pa.Array:
        index = columns.index(name)
        return _binaries([record.fields[index] if record.fields else None for record in records])

    def texts(name: str) -> pa.Array | None:
        return utf8(values(name), refusals, name) if name else None

    metadata = {name: utf8(values(name), refusals, name) for name in mapping.metadata}
    return Chunk(
        np.array(numbers, np.int64),
        row_locators(file, numbers),
        values(mapping.content),
        texts(mapping.identifier),
        texts(mapping.label_column),
        texts(mapping.licence_column),
        json_objects(metadata, refusals) if metadata else None,
        refusals,
    )


def _binaries(values: list[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string()).cast(pa.binary())
    except UnicodeEncodeError:
        encoded = [value if value is None else value.encode("utf-8", "surrogateescape") for value in values]
        return pa.array(encoded, pa.binary())
