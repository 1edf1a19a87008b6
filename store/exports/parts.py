"""Shards and row groups: where to cut the rows of an export, which is a function of their splits and sizes."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from curate.types import SPLITS

GROUP_BYTES = 32 * 2**20
GROUP_ROWS = 100_000
_ROW_BYTES = 100  # of what a row has besides its content
_Integers = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one shard: its split, and where its row groups begin and end among all rows of the export."""

    split: str
    borders: tuple[int, ...]

    @property
    def rows(self) -> int:
        """How many rows the shard has."""
        return self.borders[-1] - self.borders[0]


def cut_parts(splits: _Integers, sizes: _Integers, shard_bytes: int) -> tuple[Part, ...]:
    """Cut ordered rows into shards of about equal size, a split at a time, and these into row groups.

    `splits` are positions in `SPLITS`, ascending; `sizes` are bytes of content.
    """
    sizes = sizes.astype(np.int64) + _ROW_BYTES
    ends = [0, *(int(np.searchsorted(splits, code, side="right")) for code in range(len(SPLITS)))]
    found = []
    for split, (start, stop) in zip(SPLITS, pairwise(ends), strict=True):
        for first, last in pairwise(_even_borders(sizes[start:stop], shard_bytes)):
            groups = _borders(sizes[start + first : start + last], GROUP_BYTES, GROUP_ROWS)
            found.append(Part(split, tuple(start + first + border for border in groups)))
    return tuple(found)


def _even_borders(sizes: _Integers, most_bytes: int) -> list[int]:
    """Cut a run of rows into as few even pieces as `most_bytes` allows; a piece may be larger by one row.

    >>> _even_borders(np.array([3, 3, 3, 3, 3]), 10)
    [0, 3, 5]
    """
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    pieces = -(-total // most_bytes)
    shares = np.arange(1, pieces) * (total / max(1, pieces))
    return sorted({0, len(sizes), *(int(border) for border in np.searchsorted(ends, shares) + 1)})


def _borders(sizes: _Integers, most_bytes: int, most_rows: int) -> list[int]:
    """Cut a run of rows wherever the next one would make the piece too large; a piece has at least one row.

    >>> _borders(np.array([3, 3, 3, 9, 1]), 6, 10)
    [0, 2, 3, 4, 5]
    """
    ends = np.cumsum(sizes)
    borders = [0]
    while borders[-1] < len(sizes):
        start = borders[-1]
        before = int(ends[start - 1]) if start else 0
        fitting = int(np.searchsorted(ends, before + most_bytes, side="right"))
        borders.append(min(max(fitting, start + 1), start + most_rows))
    return borders
