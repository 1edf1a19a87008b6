"""Coverage: an order in which each next text adds the most of what the target has and the texts before it lack.

A set of texts S that holds each byte n-gram g of the target c_g(S) times is worth

    f(S) = sum over g of q_g log(s + c_g(S))

where q_g is the share of g in the target: up to constants the negative cross-entropy of the target under the n-gram
counts of S. It is monotone and submodular (Kirchhoff and Bilmes, "Submodularity for Data Selection in Machine
Translation", 2014), so the greedy order by gain for each byte of text is near the best there is, and a lazy queue finds
it without asking every text in every turn (Minoux, "Accelerated greedy algorithms for maximizing submodular set
functions", 1978).
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import BadDataError
from curate.select.byte_ngrams import byte_ngrams

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

SIZES = (3, 4, 5)
SMOOTHING = 0.1
_KERNEL = "curate.select.coverage_kernel"
_NGRAMS_WORTH_THE_KERNEL = 200_000
"""With fewer n-grams NumPy is done before numba is imported and the machine code loaded."""


class _Shared(NamedTuple):
    """What each text shares with the target: numbers of n-grams and their counts, those of text i from `starts[i]`."""

    ngrams: NDArray[np.int64]
    counts: NDArray[np.float64]
    starts: NDArray[np.int64]
    weights: NDArray[np.float64]


def coverage_order(
    texts: Sequence[str | None], targets: Sequence[str], relevance: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Return the positions of all texts in greedy order; of equal gains the first comes first.

    Each gain for a byte is multiplied by the text's relevance, at least 0, where that is given; NaN counts as 0.
    Cost: a sort of the texts' n-grams, some 1 µs a byte; then some 30 µs a kilobyte and turn in which a text is asked
    anew, of which there are few for each text (1 ms without numba). Memory: some 150 bytes for each byte of text.

    Raises:
        BadDataError: no target is as long as an n-gram, or the relevance is not one number for each text.

    >>> pool = ["rain fell", "def area(w, h):", "def area(w, h):", "return w"]
    >>> coverage_order(pool, ["def area(w): return w"]).tolist()
    [3, 1, 2, 0]
    """
    import numpy as np

    shared = _shared(texts, [targets] if isinstance(targets, str) else targets)
    lengths = np.array([max(len((text or "").encode("utf-8", "surrogatepass")), 1) for text in texts], np.float64)
    factors = _relevance(relevance, len(texts)) / lengths
    kernel = _kernel(len(shared.ngrams))
    greedy = kernel.greedy if kernel else _greedy
    covered = np.full(len(shared.weights), SMOOTHING)
    return np.asarray(greedy(shared.ngrams, shared.counts, shared.starts, shared.weights, factors, covered), np.int64)


def _relevance(relevance: NDArray[np.float64] | None, texts: int) -> NDArray[np.float64]:
    import numpy as np

    values = np.ones(texts) if relevance is None else np.nan_to_num(np.asarray(relevance, np.float64), nan=0.0)
    if values.shape != (texts,) or (values < 0).any():
        raise BadDataError(
            f"a relevance of shape {values.shape} is not one number, 0 or more, for each of {texts} texts"
        )
    return values


def _greedy(
    ngrams: NDArray[np.int64],
    counts: NDArray[np.float64],
    starts: NDArray[np.int64],
    weights: NDArray[np.float64],
    factors: NDArray[np.float64],
    covered: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Do the kernel's work in Python."""
    import numpy as np

    parts = [slice(a, b) for a, b in pairwise(starts.tolist())]

    def gain(text: int) -> float:
        found = ngrams[parts[text]]
        return float(weights[found] @ np.log1p(counts[parts[text]] / covered[found]) * factors[text])

    queue = [(-gain(text), text) for text in range(len(parts))]
    heapq.heapify(queue)
    order = []
    while queue:
        _, text = heapq.heappop(queue)
        renewed = -gain(text)
        if queue and renewed > queue[0][0]:
            heapq.heappush(queue, (renewed, text))
            continue
        order.append(text)
        covered[ngrams[parts[text]]] += counts[parts[text]]
    return np.array(order, np.int64)


def _kernel(size: int) -> ModuleType | None:
    """Return the kernel if numba is installed and `size` n-grams are worth it."""
    if size < _NGRAMS_WORTH_THE_KERNEL and _KERNEL not in sys.modules:
        return None
    try:
        import numba

        from curate.select import coverage_kernel
    except ImportError:
        return None
    settings: Any = numba.config
    return None if settings.DISABLE_JIT else coverage_kernel


def _shared(texts: Sequence[str | None], targets: Sequence[str]) -> _Shared:
    import numpy as np

    keys, weights, first = [], [], 0
    for size in SIZES:
        known, amounts = np.unique(byte_ngrams(targets, size)[0], return_counts=True)
        if not len(known):
            raise BadDataError(f"no target has {size} bytes", hint="give a target with some text")
        values, starts = byte_ngrams(texts, size)
        owners = np.repeat(np.arange(len(texts)), np.diff(starts))
        place = np.minimum(np.searchsorted(known, values), len(known) - 1)
        found = known[place] == values
        keys.append(np.stack([owners[found], place[found] + first]))
        weights.append(amounts)
        first += len(known)
    pairs = np.concatenate(keys, axis=1)
    joined, counts = np.unique(pairs[0] * first + pairs[1], return_counts=True)
    borders = np.searchsorted(joined, np.arange(len(texts) + 1) * first)
    share = np.concatenate(weights).astype(np.float64)
    return _Shared(joined % first, counts.astype(np.float64), borders, share / share.sum())
