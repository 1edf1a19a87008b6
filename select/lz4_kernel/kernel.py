"""The two kernels behind one function: `pairs` where its preparations pay, and `plain` for the rest.

Both parse a source once and go on from there for every target: the one byte by byte, as LZ4 does; the other has made
the targets ready and touches only what the source changes in them. Their sizes are the same, so that either can do
the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from curate.select.lz4_kernel import pairs, parse, plain, targets
from curate.select.lz4_kernel.parse import LONGEST
from curate.select.packing import Texts, packed

__all__ = ["LONGEST", "SAMPLE", "sizer"]
SAMPLE = "".join(module.__doc__ or "" for module in (parse, pairs, plain, targets)).encode()
"""A text with repetitions, to compare the kernels with the library."""
_TARGETS_WORTH_PREPARING = 8
Sizes = tuple[NDArray[np.int32], NDArray[np.int32]]


def sizer(documents: Sequence[bytes]) -> Callable[[Texts], Sizes]:
    """Return a function from sources to C(x) of shape (sources,) and C(x + t) of shape (sources, targets), in bytes.

    No source and target may have more than `LONGEST` bytes together. Several threads may call it at once.
    """
    laid = packed(documents)
    lengths = laid.lengths
    fit = lengths.min() >= targets.SHORTEST and lengths.max() <= targets.LONGEST
    if len(documents) < _TARGETS_WORTH_PREPARING or not fit:
        return lambda sources: plain.pair_sizes(sources, laid)
    prepared = targets.prepared(laid)

    def sizes(sources: Texts) -> Sizes:
        short = np.flatnonzero(sources.lengths < pairs.SHORTEST_SOURCE)
        if not len(short):
            return pairs.pair_sizes(sources, prepared)
        texts = sources.as_bytes()
        long = np.flatnonzero(sources.lengths >= pairs.SHORTEST_SOURCE)
        alone, joint = plain.pair_sizes(packed([texts[row] for row in short]), laid)
        others = pairs.pair_sizes(packed([texts[row] for row in long]), prepared)
        order = np.argsort(np.concatenate([short, long]))
        return np.concatenate([alone, others[0]])[order], np.concatenate([joint, others[1]])[order]

    return sizes
