"""Are strategies different over many streams? Mean ranks, Friedman's test, and signed ranks against one of them.

Source: Demšar (2006), "Statistical comparisons of classifiers over multiple data sets"; Holm (1979) for the correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mean ranks (1 is best), Friedman's p-value, and p-values against the reference, corrected after Holm."""

    ranks: Mapping[str, float]
    friedman: float
    against: Mapping[str, float]


def compare(values: Mapping[str, Sequence[float]], reference: str) -> Comparison:
    """Compare strategies over the same blocks, such as streams: higher values are better, three strategies or more.

    Signed ranks (Wilcoxon 1945, two-sided) compare the reference with each other strategy.

    >>> found = compare({"a": [3, 4, 5, 6, 7, 8], "b": [1, 2, 3, 4, 5, 6], "c": [2, 3, 4, 5, 6, 7]}, "a")
    >>> found.ranks["a"], round(found.friedman, 4), found.against["b"]
    (1.0, 0.0025, 0.0625)
    """
    from scipy.stats import friedmanchisquare, rankdata, wilcoxon

    names = list(values)
    table = np.array([values[name] for name in names], np.float64)
    ranks = rankdata(-table, axis=0).mean(axis=1)
    raw = {
        name: float(wilcoxon(table[names.index(reference)], row).pvalue)
        for name, row in zip(names, table, strict=True)
        if name != reference and (row != table[names.index(reference)]).any()
    }
    return Comparison(
        {name: float(rank) for name, rank in zip(names, ranks, strict=True)},
        float(friedmanchisquare(*table).pvalue),
        holm(raw),
    )


def holm(raw: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected for their number, step by step from the smallest.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    found: dict[str, float] = {}
    least = 0.0
    for place, name in enumerate(sorted(raw, key=raw.__getitem__)):
        least = max(least, min(1.0, raw[name] * (len(raw) - place)))
        found[name] = least
    return found
