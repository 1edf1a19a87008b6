"""Plain lines: each that is not blank is a text, read as a stream."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from curate.store.ingestion.batches import Chunk, assemble, chunked, row_locators
from curate.store.ingestion.canonical import BYTE_ORDER_MARK
from curate.store.ingestion.lines import Line, is_blank, numbered_lines, too_long
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.source_file import SourceFile
from curate.store.ingestion.streams import unpacked


def read_text_lines(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
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
            yield assemble(_chunk(chunk, file, mapping), file, mapping)


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
