"""Plain lines: each that is not blank is a text, read as a stream."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from curate.store.ingestion.batches import Chunk, row_locators
from curate.store.ingestion.canonical import BYTE_ORDER_MARK
from curate.store.ingestion.lines import Line, read_lines, too_long
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.source_file import SourceFile


def read_text_lines(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield tables of rows as `read_lines` does; each line is a text, and one that is too long is refused."""
    return read_lines(file, mapping, start_row, _chunk)


def _chunk(lines: list[Line], file: SourceFile, mapping: Mapping) -> Chunk:
    numbers = [line.number for line in lines]
    refusals = {at: too_long(mapping).refusal for at, line in enumerate(lines) if line.content is None}
    contents = pa.array([_text(line) for line in lines], pa.binary())
    return Chunk(np.array(numbers, np.int64), row_locators(file, numbers), contents, refusals=refusals)


def _text(line: Line) -> bytes | None:
    """The line without its end, and the file's first one without a byte order mark."""
    if line.content is None:
        return None
    text = line.content.removesuffix(b"\n").removesuffix(b"\r")
    return text.removeprefix(BYTE_ORDER_MARK.encode()) if line.number == 0 else text
