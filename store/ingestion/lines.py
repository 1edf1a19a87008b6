"""Lines of a stream with their numbers, none of them loaded beyond a limit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import BinaryIO, NamedTuple

from curate.store.ingestion.canonical import BYTE_ORDER_MARK
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import RefusedFileError

_SKIPPED_BYTES = 2**20


class Line(NamedTuple):
    """One line: its number, counted from 0, and its bytes with their end; None stands for more than the limit."""

    number: int
    content: bytes | None

    @property
    def size(self) -> int:
        """The bytes that it holds in memory."""
        return len(self.content or b"")


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
