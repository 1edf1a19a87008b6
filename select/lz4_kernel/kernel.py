"""The two kernels behind one function: `pairs` where its preparations pay, and `plain` for the rest.

Both parse a source once and go on from there for every target: the one byte by byte, as LZ4 does; the other has made
the targets ready and touches only what the source changes in them. Their sizes are the same, so that either can do
the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from curate.select.lz4_kernel import pairs, parse, plain, targets
from curate.select.lz4_kernel.parse import LONGEST
from curate.select.packing import Texts, packed

__all__ = ["LONGEST", "SAMPLE", "sizer"]
SAMPLE = "".join(module.__doc__ or "" for module in (parse, pairs, plain, targets)).encode()
"""A text with repetitions, to compare the kernels with the library."""
_TARGETS_WORTH_PREPARING = 8
Columns = NDArray[np.int64]
Sizes = tuple[NDArray[np.int32], NDArray[np.int32]]


class Sizer(Protocol):
    """A function from sources to C(x) of shape (sources,) and C(x + t) of shape (sources, targets), in bytes.

    With `columns` only these targets are measured.
    """

    def __call__(self, sources: Texts, columns: Columns | None = None) -> Sizes:
        """Measure."""
        ...


def sizer(documents: Sequence[bytes]) -> Sizer:
    """Return what measures sources alone and followed by each of these targets.

    No source and target may have more than `LONGEST` bytes together. Several threads may call it at once.
    """
    laid = packed(documents)
    lengths = laid.lengths

    def plain_sizes(sources: Texts, columns: Columns | None = None) -> Sizes:
        return plain.pair_sizes(sources, laid if columns is None else laid.take(columns))

    fit = lengths.min() >= targets.SHORTEST and lengths.max() <= targets.LONGEST
    if len(documents) < _TARGETS_WORTH_PREPARING or not fit:
        return plain_sizes
    prepared = targets.prepared(laid)
    addresses = pairs.addresses_of(prepared)

    def sizes(sources: Texts, columns: Columns | None = None) -> Sizes:
        short = np.flatnonzero(sources.lengths < pairs.SHORTEST_SOURCE)
        if not len(short):
            return pairs.pair_sizes(sources, prepared, columns, addresses)
        texts = sources.as_bytes()
        long = np.flatnonzero(sources.lengths >= pairs.SHORTEST_SOURCE)
        alone, joint = plain_sizes(packed([texts[row] for row in short]), columns)
        others = pairs.pair_sizes(packed([texts[row] for row in long]), prepared, columns, addresses)
        order = np.argsort(np.concatenate([short, long]))
        return np.concatenate([alone, others[0]])[order], np.concatenate([joint, others[1]])[order]

    return sizes
