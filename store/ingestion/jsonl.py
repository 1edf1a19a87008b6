"""JSON Lines: one object a line, read as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from curate.store.ingestion.batches import Chunk, row_locators
from curate.store.ingestion.documents import documents_chunk, json_document
from curate.store.ingestion.lines import Line, read_lines, too_long
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.source_file import SourceFile


def read_jsonl(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield tables of rows as `read_lines` does; each line is an object, and one that is too long is refused."""
    return read_lines(file, mapping, start_row, _parsed)


def _parsed(lines: list[Line], file: SourceFile, mapping: Mapping) -> Chunk:
    numbers = [line.number for line in lines]
    return documents_chunk(numbers, row_locators(file, numbers), lines, partial(_document, mapping), mapping)


def _document(mapping: Mapping, line: Line) -> dict[str, Any]:
    if line.content is None:
        raise too_long(mapping)
    return json_document(line.content)
