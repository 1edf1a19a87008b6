"""A piece of text of a known kind, and how long files become pieces of a reasonable length."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

SHORTEST, LONGEST = 200, 4000
_AIM = 1200
_SURROGATE = re.compile("[\ud800-\udfff]")
Element = TypeVar("Element")


@dataclass(frozen=True, slots=True)
class Piece:
    """One text of a known kind; `path` says where on this machine it was found."""

    kind: str
    path: str
    text: str

    @property
    def fits(self) -> bool:
        """Whether the text is long enough to say anything, short enough to compare, and can be written as UTF-8."""
        return SHORTEST <= len(self.text) <= LONGEST and not _SURROGATE.search(self.text)


def evenly(elements: Sequence[Element], limit: int) -> list[Element]:
    """Take at most `limit` elements, spread evenly over the sequence, in its order.

    >>> evenly("abcdef", 3)
    ['a', 'c', 'e']
    """
    if len(elements) <= limit:
        return list(elements)
    return [elements[place * len(elements) // limit] for place in range(limit)]


def read(file: Path) -> str:
    """Read a text file with line ends as LF; one that is not UTF-8, or unreadable, is as good as empty."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def paragraphs(text: str) -> Iterator[str]:
    r"""Join neighbouring paragraphs until a chunk is about 1,200 characters long.

    >>> [len(chunk) for chunk in paragraphs("x" * 900 + "\n\n" + "y" * 900 + "\n\n" + "z" * 900)]
    [1802, 900]
    """
    chunk: list[str] = []
    length = 0
    for paragraph in re.split(r"\n[ \t]*\n", text):
        chunk.append(paragraph.rstrip())
        length += len(paragraph) + 2
        if length >= _AIM:
            yield "\n\n".join(chunk).strip("\n")
            chunk, length = [], 0
    if chunk:
        yield "\n\n".join(chunk).strip("\n")


def chunked(kind: str, path: str, text: str) -> Iterator[Piece]:
    """Cut a text into pieces of whole paragraphs, leaving out those that do not fit."""
    return fitting(Piece(kind, f"{path}#{place}", chunk) for place, chunk in enumerate(paragraphs(text)))


def fitting(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Leave out the pieces that are too short or too long."""
    return (piece for piece in pieces if piece.fits)
