"""The greedy order of coverage in machine code: the same order as `coverage`, some twenty times sooner."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile to machine code, kept on disk for the next process where there is a place to keep it."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


@_compiled
def _gain(ngrams: Any, counts: Any, weights: Any, covered: Any, begin: Any, end: Any) -> Any:
    total = 0.0
    for place in range(begin, end):
        total += weights[ngrams[place]] * np.log1p(counts[place] / covered[ngrams[place]])
    return total


@_compiled
def greedy(
    ngrams: NDArray[np.int64],
    counts: NDArray[np.float64],
    starts: NDArray[np.int64],
    weights: NDArray[np.float64],
    factors: NDArray[np.float64],
    covered: NDArray[np.float64],
) -> Any:
    """Return all texts in the order of greatest renewed gain times factor; `covered` is written over."""
    texts = len(factors)
    queue = [(0.0, 0)]
    queue.pop()
    for text in range(texts):
        gain = _gain(ngrams, counts, weights, covered, starts[text], starts[text + 1])
        queue.append((-gain * factors[text], text))
    heapq.heapify(queue)
    order = np.empty(texts, np.int64)
    done = 0
    while len(queue) > 0:
        _, text = heapq.heappop(queue)
        gain = _gain(ngrams, counts, weights, covered, starts[text], starts[text + 1])
        renewed = -gain * factors[text]
        if len(queue) > 0 and renewed > queue[0][0]:
            heapq.heappush(queue, (renewed, text))
            continue
        order[done] = text
        done += 1
        for place in range(starts[text], starts[text + 1]):
            covered[ngrams[place]] += counts[place]
    return order
