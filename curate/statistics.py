"""Intervals and summary figures: no figure is shown to a person without saying how sure it is.

A leaf module: every room may import it. NumPy is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from curate.errors import BadDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Statistic = Callable[[NDArray[Any]], float]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value between the bounds of its interval, at a confidence such as 0.95."""

    low: float
    value: float
    high: float
    confidence: float = 0.95

    def __str__(self) -> str:
        """Write value and bounds with four significant digits."""
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"

    def excludes(self, value: float) -> bool:
        """Whether a value lies outside the bounds."""
        return not self.low <= value <= self.high


def bootstrap_interval(
    sample: ArrayLike,
    statistic: Statistic | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2_000,
    seed: int = 0,
) -> Interval:
    """Return a statistic of a sample with its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        sample: array whose rows are the independent units; a column for each thing measured on a unit.
        statistic: maps such an array to a number; the mean by default.
        confidence: the share of intervals that hold the true value, in (0, 1).
        resamples: how often the rows are drawn with replacement.
        seed: the same seed gives the same interval.

    With fewer than about 20 rows the interval is too narrow; with one row it has no width.

    Raises:
        BadDataError: the sample is empty or holds NaN, or the confidence lies outside (0, 1).

    >>> print(bootstrap_interval([3.0, 3.0, 3.0]))
    3 [3, 3]
    """
    import numpy as np

    rows = _checked(sample)
    _check_confidence(confidence)
    measure: Statistic = statistic or (lambda values: float(np.mean(values)))
    generator = np.random.default_rng(seed)
    draws = [measure(rows[generator.integers(0, len(rows), len(rows))]) for _ in range(resamples)]
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(measure(rows)), float(high), confidence)


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    statistic: Statistic | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2_000,
    seed: int = 0,
) -> Interval:
    """Return statistic(first) - statistic(second) with its bootstrap interval, drawing pairs and never single values.

    Both are one-dimensional, of equal length, and measured on the same units: what the units share cancels out.

    Raises:
        BadDataError: the lengths differ, or as for `bootstrap_interval`.

    >>> print(paired_difference([11.0, 21.0, 31.0], [10.0, 20.0, 30.0]))
    1 [1, 1]
    """
    import numpy as np

    one, other = _checked(first), _checked(second)
    if one.ndim != 1 or one.shape != other.shape:
        raise BadDataError(f"samples of shapes {one.shape} and {other.shape} are not pairs")
    measure: Statistic = statistic or (lambda values: float(np.mean(values)))
    return bootstrap_interval(
        np.column_stack([one, other]),
        lambda pairs: measure(pairs[:, 0]) - measure(pairs[:, 1]),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def wilson_interval(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Return a share with its score interval (Wilson 1927), which holds for few trials and for shares near 0 and 1.

    No trials say nothing: the interval is then [0, 1] around 0.5.

    Raises:
        BadDataError: `successes` lies outside 0 to `trials`, or the confidence outside (0, 1).

    >>> print(wilson_interval(8, 10))
    0.8 [0.4902, 0.9433]
    """
    _check_confidence(confidence)
    if not 0 <= successes <= trials:
        raise BadDataError(f"{successes} successes do not fit {trials} trials")
    if trials == 0:
        return Interval(0.0, 0.5, 1.0, confidence)
    share = successes / trials
    squared = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    centre = (share + squared / (2 * trials)) / (1 + squared / trials)
    reach = sqrt(squared * (share * (1 - share) / trials + squared / (4 * trials**2))) / (1 + squared / trials)
    return Interval(max(0.0, min(share, centre - reach)), share, min(1.0, max(share, centre + reach)), confidence)


def median(values: ArrayLike) -> float:
    """Return the middle value, the mean of the two middle ones for an even number.

    Raises:
        BadDataError: there are no values, or NaN is among them.

    >>> median([3, 1, 2, 10])
    2.5
    """
    import numpy as np

    return float(np.median(_checked(values)))


def average_precision(relevant: Sequence[bool] | NDArray[np.bool_], scores: ArrayLike) -> float:
    """Return the average precision of ranking by score, highest first: the sum of precision times gain in recall.

    Equal scores are one step, so their order does not matter. 1 means every relevant item comes before every other;
    a random order gives about the share of relevant items.

    Args:
        relevant: for each item whether it is wanted; at least one is.
        scores: a number for each item.

    Raises:
        BadDataError: no item is relevant, the lengths differ, or NaN is among the scores.

    >>> average_precision([True, False, True], [0.9, 0.8, 0.7])
    0.8333333333333333
    """
    import numpy as np

    wanted, ranks = np.asarray(relevant, dtype=bool), -_checked(scores)
    if wanted.shape != ranks.shape or not wanted.any():
        raise BadDataError("average precision needs one score for each item, and at least one relevant item")
    order = np.argsort(ranks, kind="stable")
    last_of_its_score = np.append(np.diff(ranks[order]) != 0, True)
    found = np.cumsum(wanted[order])[last_of_its_score]
    seen = np.flatnonzero(last_of_its_score) + 1
    return float(np.sum(np.diff(found, prepend=0) * found / seen) / found[-1])


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation in [-1, 1]; equal values share their mean rank, a constant correlates 0.

    Cost: n log n.

    Raises:
        BadDataError: no values, NaN, or two lengths.

    >>> round(spearman([1, 2, 3, 4], [10, 20, 40, 30]), 3)
    0.8
    """
    import numpy as np

    ranks = [_mean_ranks(_checked(values)) for values in (first, second)]
    if len(ranks[0]) != len(ranks[1]):
        raise BadDataError(f"{len(ranks[0])} values cannot be correlated with {len(ranks[1])}")
    one, other = (values - values.mean() for values in ranks)
    spread = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / spread) if spread else 0.0


def _mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or len(array) == 0:
        raise BadDataError("there are no values to summarize")
    if np.isnan(array).any():
        raise BadDataError("NaN is among the values to summarize")
    return array


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise BadDataError(f"a confidence of {confidence} does not lie between 0 and 1")
