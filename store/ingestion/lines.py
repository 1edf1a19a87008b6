"""Files of lines: read as a stream, with their numbers, none of them loaded beyond a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from curate.store.ingestion.batches import Chunk, assemble, chunked
from curate.store.ingestion.canonical import BYTE_ORDER_MARK
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import RefusedFileError
from curate.store.ingestion.source_file import SourceFile
from curate.store.ingestion.streams import unpacked_text

_SKIPPED_BYTES = 2**20


class Line(NamedTuple):
    """One line: its number, counted from 0, and its bytes with their end; None stands for more than the limit."""

    number: int
    content: bytes | None

    @property
    def size(self) -> int:
        """The bytes that it holds in memory."""
        return len(self.content or b"")


def read_lines(
    file: SourceFile, mapping: Mapping, start_row: int, chunk_of: Callable[[list[Line], SourceFile, Mapping], Chunk]
) -> Iterator[pa.Table]:
    """Yield tables of rows, one for each line that is not blank; a row's number is its line's, counted from 0.

    The file may be packed with gzip or zstd, and be UTF-16 with its byte order mark. A line above `mapping.item_bytes`
    comes without its content.

    Raises:
        RefusedFileError: the rest of a packed file is damaged, missing or a bomb.
        OSError: the file cannot be read.
    """
    with file.open() as packed:
        lines = numbered_lines(unpacked_text(packed, file.locator), mapping.item_bytes)
        wanted = (line for line in lines if line.number >= start_row and not is_blank(line))
        for chunk in chunked(wanted, lambda line: line.size):
            yield assemble(chunk_of(chunk, file, mapping), file, mapping)


def numbered_lines(stream: BinaryIO, limit: int) -> Iterator[Line]:
    """Yield all lines, blank ones too."""
    for number in count():
        content = stream.readline(limit + 1)
        if not content:
            return
        too_long = len(content) > limit and not content.endswith(b"\n")
        if too_long:
            _skip_line(stream)
        yield Line(number, None if too_long else content)


def is_blank(line: Line) -> bool:
    """Whether there is nothing but white space, and perhaps a byte order mark."""
    return line.content is not None and not line.content.removeprefix(BYTE_ORDER_MARK.encode()).strip()


def too_long(mapping: Mapping) -> RefusedFileError:
    """Return the refusal of a line above the limit."""
    return RefusedFileError("too-large", f"more than {mapping.item_bytes} bytes")


def _skip_line(stream: BinaryIO) -> None:
    while (piece := stream.readline(_SKIPPED_BYTES)) and not piece.endswith(b"\n"):
        pass
