"""JSON Lines: one object a line, read as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from curate.store.ingestion.batches import Chunk, assemble, chunked, row_locators
from curate.store.ingestion.documents import documents_chunk, json_document
from curate.store.ingestion.lines import Line, is_blank, numbered_lines, too_long
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.source_file import SourceFile
from curate.store.ingestion.streams import unpacked


def read_jsonl(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield tables of rows, one for each line that is not blank; a row's number is its line's, counted from 0.

    The file may be packed with gzip or zstd. A line above `mapping.item_bytes` is refused without being loaded whole.

    Raises:
        RefusedFileError: the rest of a packed file is damaged, missing or a bomb.
        OSError: the file cannot be read.
    """
    with file.open() as packed:
        lines = numbered_lines(unpacked(packed, file.locator), mapping.item_bytes)
        wanted = (line for line in lines if line.number >= start_row and not is_blank(line))
        for chunk in chunked(wanted, lambda line: line.size):
            yield assemble(_parsed(chunk, file, mapping), file, mapping)


def _parsed(lines: list[Line], file: SourceFile, mapping: Mapping) -> Chunk:
    numbers = [line.number for line in lines]
    return documents_chunk(numbers, row_locators(file, numbers), lines, partial(_document, mapping), mapping)


def _document(mapping: Mapping, line: Line) -> dict[str, Any]:
    if line.content is None:
        raise too_long(mapping)
    return json_document(line.content)
