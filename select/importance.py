"""Importance: how much likelier a text is under the target than under the raw pool (DSIR, arXiv 2302.03169).

With c_g(x) the count of n-gram bucket g in text x, and p and q the shares of the buckets in target and pool:

    log w(x) = sum over g of c_g(x) (log p_g - log q_g)

`smoothing` is added to every bucket's count on both sides (Lidstone); 0 is the form of the library `data-selection`,
which adds 1e-8 to the shares instead. The sum depends on the length: `per_ngram` divides by the number of n-grams, and
then a text is ranked by its kind alone, as in the cross-entropy difference of Moore and Lewis ("Intelligent Selection
of Language Model Training Data", 2010).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple

from curate.errors import BadDataError, UnknownNameError
from curate.select.baselines import random_scores
from curate.select.byte_ngrams import hashed_byte_ngrams
from curate.select.hashed_ngrams import BUCKETS, MOST_BUCKETS, HashedNgrams, hashed_ngrams

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

METHOD = "dsir:1"
SMOOTHING = 0.5
_FLOOR = 1e-8
Mode = Literal["gumbel", "top-k"]
MODES: tuple[Mode, ...] = ("gumbel", "top-k")


@dataclass(frozen=True, slots=True)
class Features:
    """What of a text is counted: a name, and a function from texts to their n-grams."""

    name: str
    buckets: int
    of: Callable[[Sequence[str | None]], HashedNgrams] = field(compare=False)


WORD_PAIRS = Features("words-1-2", BUCKETS, hashed_ngrams)
"""Words and pairs of words in 10,000 buckets: DSIR's own."""
TRIGRAMS = Features("bytes-3", MOST_BUCKETS, lambda texts: hashed_byte_ngrams(texts, 3))
FOUR_GRAMS = Features("bytes-4", MOST_BUCKETS, lambda texts: hashed_byte_ngrams(texts, 4))
"""Runs of three and of four bytes, each size in 65,536 buckets."""


def log_ratios(target: NDArray[np.int64], raw: NDArray[np.int64], smoothing: float = SMOOTHING) -> NDArray[np.float64]:
    """Return log p - log q of each bucket, from the counts in target and pool.

    Raises:
        BadDataError: one side has no n-gram, or the smoothing is negative.
    """
    import numpy as np

    if not 0 <= smoothing < inf or not target.sum() or not raw.sum():
        raise BadDataError(
            f"importance needs n-grams on both sides and no negative smoothing: the target has {int(target.sum())}, "
            f"the pool {int(raw.sum())}, the smoothing is {smoothing}",
            hint="give target and pool at least one text with a word in it",
        )
    if smoothing == 0:
        ratios: NDArray[np.float64] = np.log(target / target.sum() + _FLOOR) - np.log(raw / raw.sum() + _FLOOR)
        return ratios
    ratios = np.log((target + smoothing) / (target.sum() + smoothing * len(target)))
    ratios -= np.log((raw + smoothing) / (raw.sum() + smoothing * len(raw)))
    return ratios


class Importance:
    """Scores texts by importance to one target; `observe` the pool, in as many parts as it comes, and then `score`.

    Memory: the n-grams of one part. A text without any n-gram has the score NaN, as has one of fewer than
    `least_tokens` tokens (the library drops these without a word, 100 by default).
    """

    name = "importance"

    def __init__(
        self,
        targets: Sequence[str],
        features: Features = WORD_PAIRS,
        smoothing: float = SMOOTHING,
        *,
        per_ngram: bool = False,
        least_tokens: int = 0,
        target: str = "target",
    ) -> None:
        import numpy as np

        self.features, self.smoothing, self.per_ngram = features, smoothing, per_ngram
        self.least_tokens, self.target = least_tokens, target
        self._wanted = features.of([targets] if isinstance(targets, str) else targets).counts()
        self._raw = np.zeros(features.buckets, np.int64)

    @property
    def version(self) -> str:
        """What the scores depend on besides the text: method, parameters, and the counts of target and pool."""
        seen = sha256(self._wanted.tobytes() + self._raw.tobytes()).hexdigest()[:16]
        length = "per-ngram" if self.per_ngram else "sum"
        return f"{METHOD} {self.features.name} smoothing-{self.smoothing:g} {length} {seen}"

    def observe(self, texts: Sequence[str | None]) -> HashedNgrams:
        """Count a part of the pool; return its n-grams, which `weigh` takes without reading the texts again."""
        found = self.features.of(texts)
        self._raw += found.counts()
        return found

    def weigh(self, ngrams: HashedNgrams) -> NDArray[np.float64]:
        """Return the log weight of each text: float64 of shape (texts,)."""
        import numpy as np

        weights = ngrams.sums(log_ratios(self._wanted, self._raw, self.smoothing))
        lengths = ngrams.lengths()
        if self.per_ngram:
            weights = weights / np.maximum(lengths, 1)
        return np.where((lengths > 0) & (ngrams.tokens >= self.least_tokens), weights, np.nan)

    def score(self, items: pa.Table) -> NDArray[np.float64]:
        """Return one score for each row of the column `text`: a `curate.types.Selector`, once the pool is observed."""
        import numpy as np

        if "text" not in items.column_names:
            return np.full(items.num_rows, np.nan)
        return self.weigh(self.features.of(items.column("text").to_pylist()))


def log_weights(
    texts: Sequence[str | None],
    targets: Sequence[str],
    features: Features = WORD_PAIRS,
    smoothing: float = SMOOTHING,
    *,
    per_ngram: bool = False,
    least_tokens: int = 0,
) -> NDArray[np.float64]:
    """Return the log importance weight of each text of a pool: float64 of shape (texts,), higher is better.

    NaN where a text has no n-gram, or fewer tokens than `least_tokens`. Every text is read once.

    Raises:
        BadDataError: target or pool has no n-gram, or the smoothing is negative.

    >>> pool = ["def area(w, h): return w * h", "Rain fell on the harbour and the hills.", ""]
    >>> weights = log_weights(pool, ["def perimeter(w, h): return 2 * (w + h)"])
    >>> bool(weights[0] > weights[1]), bool(weights[2] == weights[2])
    (True, False)
    """
    model = Importance(targets, features, smoothing, per_ngram=per_ngram, least_tokens=least_tokens)
    return model.weigh(model.observe(texts))


def with_gumbel_noise(weights: NDArray[np.float64], item_ids: Sequence[str], seed: int = 0) -> NDArray[np.float64]:
    """Return log weights whose best are a draw without replacement, each by its weight: see `resample`.

    The noise of an item is drawn from a hash of seed and id, so it is the same in whatever batch the item comes.

    >>> import numpy as np
    >>> noisy = with_gumbel_noise(np.array([0.5, np.nan]), ["a", "b"])
    >>> bool(noisy[0] != 0.5), bool(np.isnan(noisy[1]))
    (True, True)
    """
    import numpy as np

    uniform = random_scores(item_ids, seed) + np.ldexp(0.5, -53)
    noisy: NDArray[np.float64] = weights - np.log(-np.log(uniform))
    return noisy


class Resampled(NamedTuple):
    """Positions in the order in which they were chosen, and for each the number of the target that chose it.

    `short_by` is how many of the wanted could not be chosen, since too few texts have a weight.
    """

    positions: NDArray[np.int64]
    targets: NDArray[np.int64]
    short_by: int


def resample(
    weights: NDArray[np.float64],
    count: int,
    mode: Mode = "gumbel",
    *,
    seed: int = 0,
    proportions: Sequence[float] | None = None,
) -> Resampled:
    """Choose texts by their log weights, of shape (texts,), or (texts, targets) for several targets.

    `top-k` takes the highest. `gumbel` draws without replacement, each text with the probability of its weight among
    those that are left: it adds Gumbel noise and takes the highest (Kool, van Hoof and Welling, "Stochastic Beams and
    Where to Find Them", 2019). With several targets each in its turn chooses its proportion (equal by default) of the
    count, rounded down, the last one that has any the rest, and none what another has chosen. A weight of NaN is never
    chosen.

    Raises:
        UnknownNameError: there is no such mode.
        BadDataError: the count is negative, or the proportions are not one for each target, none negative.

    >>> import numpy as np
    >>> resample(np.array([0.1, 3.0, np.nan, 2.0]), 2, "top-k").positions.tolist()
    [1, 3]
    """
    import numpy as np

    if mode not in MODES:
        raise UnknownNameError("mode", mode, MODES)
    columns = weights[:, None] if weights.ndim == 1 else weights
    wanted = _counts(count, columns.shape[1], proportions)
    generator = np.random.default_rng(seed)
    noisy = columns + generator.gumbel(size=columns.shape[::-1]).T if mode == "gumbel" else columns
    chosen = _in_their_turn(noisy, wanted)
    owners = np.repeat(np.arange(len(chosen)), [len(part) for part in chosen])
    positions = np.concatenate([np.zeros(0, np.int64), *chosen])
    return Resampled(positions, owners, count - len(positions))


def _in_their_turn(columns: NDArray[np.float64], wanted: Sequence[int]) -> list[NDArray[np.int64]]:
    """Return the best of each column, as many as are wanted of it, without what the columns before it have taken."""
    import numpy as np

    free = np.ones(len(columns), np.bool_)
    chosen = []
    for column, amount in zip(columns.T, wanted, strict=True):
        candidates = np.flatnonzero(free & ~np.isnan(column))
        best = candidates[np.argsort(-column[candidates], kind="stable")[:amount]]
        free[best] = False
        chosen.append(best)
    return chosen


def _counts(count: int, targets: int, proportions: Sequence[float] | None) -> list[int]:
    shares = [1.0] * targets if proportions is None else list(proportions)
    if count < 0 or len(shares) != targets or not min(shares, default=0) >= 0 or not 0 < sum(shares) < inf:
        raise BadDataError(f"{count} texts cannot be shared out by {shares} among {targets} targets")
    counts = [int(count * share / sum(shares)) for share in shares]
    last = max(place for place, share in enumerate(shares) if share > 0)
    counts[last] += count - sum(counts)
    return counts
