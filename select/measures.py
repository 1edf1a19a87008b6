"""What a selection is worth, measured cheaply: without training anything that is larger than a table of n-grams.

Intervals come from a bootstrap over the units that a figure is drawn from, named with each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from curate.errors import BadDataError
from curate.select.held_out import Bits
from curate.select.importance import SMOOTHING, WORD_PAIRS, Features
from curate.statistics import Interval, bootstrap_interval, spearman, wilson_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.select.hashed_ngrams import HashedNgrams

RESAMPLES = 300


def kl_reduction(
    selected: Sequence[str | None],
    pool: Sequence[str | None],
    targets: Sequence[str],
    features: Features = WORD_PAIRS,
    *,
    seed: int = 0,
) -> Interval:
    """Return KL(target || pool) - KL(target || selected) in nats, over hashed n-grams; higher is better (DSIR, 4.2).

    Every bucket's count is raised by 0.5 on each side. The interval draws the selected texts, and is one for what a
    selection of this size has on average. A draw repeats texts and so has fewer words, which makes its reduction lower
    than the selection's (Efron and Tibshirani 1993, chapter 10); by how much the middle draw is lower is taken off.

    Raises:
        BadDataError: selection, pool or target has no n-gram.

    >>> code, prose = "def area(w, h): return w * h", "rain fell on the harbour"
    >>> kl_reduction([code], [code, prose], ["def perimeter(w, h): return 2 * (w + h)"]).value > 0
    True
    """
    import numpy as np

    target, raw, chosen = features.of(targets), features.of(pool), features.of(selected)
    if not (len(target.values) and len(raw.values) and len(chosen.values)):
        raise BadDataError("selection, pool and target must each have a word in them")
    wanted = _shares(target.counts())
    before = float(wanted @ np.log(_shares(raw.counts())))

    def reduction(counts: NDArray[np.float64]) -> float:
        return float(wanted @ np.log(_shares(counts))) - before

    value = reduction(chosen.counts().astype(np.float64))
    draws = np.array([reduction(counts) for counts in _drawn_counts(chosen, len(selected), seed)])
    low, middle, high = np.quantile(draws, [0.025, 0.5, 0.975])
    return Interval(value + float(low - middle), value, value + float(high - middle))


def _drawn_counts(chosen: HashedNgrams, texts: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield what the buckets hold where as many texts are drawn from the chosen ones, with replacement."""
    import numpy as np

    generator = np.random.default_rng(seed)
    owners = np.repeat(np.arange(texts), chosen.lengths())
    for _ in range(RESAMPLES):
        times = np.bincount(generator.integers(0, texts, texts), minlength=texts)
        yield np.bincount(chosen.values, times[owners], chosen.buckets).astype(np.float64)


def bits_per_character(bits: Bits, *, seed: int = 0) -> Interval:
    """Return the bits per character of held-out texts; the interval draws those texts."""
    import numpy as np

    return bootstrap_interval(
        np.column_stack(bits),
        lambda rows: float(rows[:, 0].sum() / rows[:, 1].sum()),
        resamples=RESAMPLES,
        seed=seed,
    )


def shares_by_source(sources: Sequence[str]) -> Mapping[str, Interval]:
    """Return the share of each source among selected items, the largest first, with Wilson's interval.

    >>> print(shares_by_source(["web", "web", "books"])["web"])
    0.6667 [0.2077, 0.9385]
    """
    counts: dict[str, int] = {}
    for source in sources:
        counts[source] = counts.get(source, 0) + 1
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return {source: wilson_interval(count, len(sources)) for source, count in ordered}


def length_bias(scores: NDArray[np.float64], lengths: Sequence[int] | NDArray[np.int64], *, seed: int = 0) -> Interval:
    """Return Spearman's correlation of score and length, in [-1, 1]; the interval draws items.

    Items whose score is NaN are left out. Near 0 length plays no part; near -1 the score is brevity by another name.

    Raises:
        BadDataError: no item has a score, or the lengths differ.
    """
    import numpy as np

    known = ~np.isnan(scores)
    pairs = np.column_stack([scores, np.asarray(lengths, np.float64)])[known]
    return bootstrap_interval(pairs, lambda rows: spearman(rows[:, 0], rows[:, 1]), resamples=RESAMPLES, seed=seed)


def precision_at(wanted: NDArray[np.bool_], scores: NDArray[np.float64], count: int) -> float:
    """Return the share of wanted items among the `count` best; NaN is never among the best."""
    import numpy as np

    best = best_of(scores, count)
    return float(np.mean(wanted[best])) if len(best) else float("nan")


def best_of(scores: NDArray[np.float64], count: int | None = None) -> NDArray[np.int64]:
    """Return the positions of the best scores, the best first, the first of equals first; NaN is never among them.

    >>> import numpy as np
    >>> best_of(np.array([0.1, np.nan, 0.3, 0.3]), 3).tolist()
    [2, 3, 0]
    """
    import numpy as np

    known = np.flatnonzero(~np.isnan(scores))
    return known[np.argsort(-scores[known], kind="stable")][:count]


def overlap(first: NDArray[np.float64], second: NDArray[np.float64], count: int, *, seed: int = 0) -> Interval:
    """Return the share of the `count` best of one score that are also among the `count` best of another.

    Where one score has fewer best, the share is of the longer list. The interval draws the items of the first.

    Raises:
        BadDataError: the first score has no best at all.

    >>> import numpy as np
    >>> print(overlap(np.array([3.0, 2.0, 1.0]), np.array([3.0, 1.0, 2.0]), 1))
    1 [1, 1]
    """
    import numpy as np

    one, other = best_of(first, count), best_of(second, count)
    share = np.isin(one, other) * (len(one) / max(len(one), len(other), 1))
    return bootstrap_interval(share, resamples=RESAMPLES, seed=seed)


def _shares(counts: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    raised: NDArray[np.float64] = (counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts))
    return raised
