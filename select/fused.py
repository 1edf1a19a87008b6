"""The fused selector: relevance from three scores, spent on covering the target.

Relevance is the Borda count of alignment by compression and of three importances, of byte trigrams, of byte 4-grams
and of words and their pairs, each for each n-gram, so that length plays no part: the four agree on what kind a text is
and err apart. The ranking is the greedy order of coverage in which the gain of a text counts by its relevance to the
power of eight, so the top is of the target's kind and does not say the same again. Parts, power and the coverage's
n-grams were chosen on other targets than those that `benchmarks/selection.py` scores: functions of packages, C headers,
Wikipedia and news.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.select import alignment, importance
from curate.select.coverage import coverage_order
from curate.select.fusion import borda

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METHOD = "fused:1"
POWER = 8


@dataclass(frozen=True, slots=True)
class Fused:
    """The fused score of each text, float64 of shape (texts,), and the parts that it is made of."""

    scores: NDArray[np.float64]
    parts: Mapping[str, NDArray[np.float64]]


def fused(
    texts: Sequence[str | None], targets: Sequence[str], known: Mapping[str, NDArray[np.float64]] | None = None
) -> Fused:
    """Rank a pool for a target: 1 for the first choice, 0 for the last, NaN for a null or empty text.

    `known` are parts (`alignment`, `trigrams`, `4-grams`, `words`) that were computed before for these texts and
    targets. Scores are relative to the pool: the same text may score differently in another.
    Cost: an alignment of every text, three counts of n-grams, and the order of coverage.

    Raises:
        BadDataError: the targets hold no text, or no text of the pool does.

    >>> pool = ["def area(w, h): return w * h", "Rain fell on the harbour and the hills.", None]
    >>> fused(pool, ["def perimeter(w, h): return 2 * (w + h)"]).scores.tolist()
    [1.0, 0.0, nan]
    """
    import numpy as np

    known = known or {}
    makers: dict[str, Callable[[], NDArray[np.float64]]] = {
        "alignment": lambda: alignment.score(texts, targets),
        "trigrams": lambda: importance.log_weights(texts, targets, importance.TRIGRAMS, per_ngram=True),
        "4-grams": lambda: importance.log_weights(texts, targets, importance.FOUR_GRAMS, per_ngram=True),
        "words": lambda: importance.log_weights(texts, targets, per_ngram=True),
    }
    parts = {name: known[name] if name in known else make() for name, make in makers.items()}
    relevance = borda(list(parts.values()))
    order = coverage_order(texts, targets, relevance**POWER)
    scores = np.full(len(texts), np.nan)
    ranked = order[[bool(texts[place]) for place in order]]
    scores[ranked] = np.linspace(1, 0, len(ranked))
    return Fused(scores, parts)
