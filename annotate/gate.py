"""The flywheel's gate: which attributes an annotator gets right often enough, as far as random audits can show.

An audit is an item drawn at random that a person answered without seeing the proposal, and that never trains anything.
An attribute passes when the lower bound of its accuracy clears the bar. Three things would make such a gate pass what
it should not, and each has its answer here:

- **Many attributes.** Benjamini and Hochberg (1995), by default in its two-stage form, over the attributes of one look
  holds the expected share of false passes among the passes (the false discovery rate); Holm (1979) holds the chance of
  any false pass, and passes less.
- **Many looks.** Each look spends a part of the error rate, and the parts sum to the rate. For a union of looks the
  shares add up, whatever the looks have to do with each other: the false passes of all looks over all passes are at
  most the sum over looks of that look's share. So a look is valid after every retraining, and looks are worth planning.
- **Reuse of audits.** They train nothing, so all audits so far judge the annotator of today. What leaks from them is
  only which attributes were still asked about; `benchmarks/flywheel.py` measures what that costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, pi, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curate.errors import BadDataError
from curate.statistics import Interval, wilson_interval

Booleans = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Method = Literal["wilson", "prediction-powered"]
Correction = Literal["two-stage", "benjamini-hochberg", "holm"]
FEWEST_AUDITS, FEWEST_WRONG = 50, 5
"""Below these the prediction-powered interval, which rests on a normal approximation, is not used."""
MOST_GAIN = 2.0
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What audits say about an annotator's accuracy: `value`, worth as much as `effective` plain audits.

    Bounds are Wilson's for that many. With the method "wilson" `value` is the share right, and `effective` is `audited`
    unless the audits are a large part of a finite pool.
    """

    audited: int
    right: int
    value: float
    effective: float
    method: Method = "wilson"

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the two-sided interval; without audits it is [0, 1]."""
        if self.effective == self.audited:
            return wilson_interval(self.right, self.audited, confidence=confidence)
        low, high = _score_bounds(self.value, self.effective, (1 - confidence) / 2)
        return Interval(low, self.value, high, confidence)

    def low(self, level: float) -> float:
        """Return the lower bound that a true accuracy falls below with a chance of at most `level`."""
        return _score_bounds(self.value, self.effective, level)[0] if self.audited else 0.0

    def p_value(self, bar: float) -> float:
        """Return how probable so good a result is if the true accuracy is the bar: the score test behind `low`."""
        if not self.audited:
            return 1.0
        return 1 - _NORMAL.cdf((self.value - bar) / sqrt(bar * (1 - bar) / self.effective))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's word on one attribute: whether it passed, and the lower bound at its corrected level."""

    passed: bool
    low: float
    level: float


def accuracy(
    right: Booleans, expected: Numbers | None = None, population: Numbers | None = None, *, pool: int | None = None
) -> Accuracy:
    """Estimate accuracy from audits, by prediction-powered inference where that is valid and narrower, else by Wilson.

    Args:
        right: for each audit whether the annotator was right.
        expected: for each audit how probable the annotator held it to be right, in [0, 1].
        population: the same for a random sample of items, or for the whole pool.
        pool: how many items the audits were drawn from, without replacement, where the claim is about these items only;
            audits of a large part of them say more (Cochran 1977, section 2.6). None: about whatever arrives, too.

    PPI++ (Angelopoulos, Duchi and Zrnic 2023) with its power tuning: the mean of right - c * expected over the audits
    plus c times the mean of `population`, with the c that varies least; it is unbiased however wrong the confidences
    are. Its variance is expressed as a number of plain audits, of which Wilson's interval is taken, so that bounds stay
    within [0, 1]. Few audits (fewer than 50), few errors (fewer than 5), or a gain below 3 % mean Wilson.

    Raises:
        BadDataError: `expected` has another length than `right`.
    """
    drawn = _drawn(len(right), pool)
    value = float(right.mean()) if len(right) else 0.5
    plain = Accuracy(len(right), int(right.sum()), value, len(right) * drawn)
    if expected is None or population is None or not len(population):
        return plain
    if len(expected) != len(right):
        raise BadDataError(f"{len(right)} audits have {len(expected)} confidences")
    if len(right) < FEWEST_AUDITS or not FEWEST_WRONG <= int(right.sum()) <= len(right) - FEWEST_WRONG:
        return plain
    others = len(population) if pool is None else np.inf
    return _prediction_powered(plain, right.astype(np.float64), expected, population, others)


def _drawn(audited: int, pool: int | None) -> float:
    """How many times more an audit says because it was drawn from a finite pool; a census of it stays finite."""
    return 1.0 if pool is None or pool < 2 else (pool - 1) / max(pool - audited, 1)


def _prediction_powered(
    plain: Accuracy, right: Numbers, expected: Numbers, population: Numbers, others: float
) -> Accuracy:
    audited = len(right)
    spread = float(expected.var(ddof=1)) * (1 + audited / others)
    if spread <= 0:
        return plain
    weight = min(1.0, max(0.0, float(np.cov(right, expected)[0, 1]) / spread))
    remainder = right - weight * expected
    variance = float(remainder.var(ddof=2)) / audited + weight**2 * float(population.var()) / others
    gain = float(right.var(ddof=1)) / audited / variance
    value = float(remainder.mean()) + weight * float(population.mean())
    if gain < 1.03 or not 0 < value < 1:
        return plain
    return Accuracy(audited, plain.right, value, plain.effective * min(gain, MOST_GAIN), "prediction-powered")


def _score_bounds(value: float, audits: float, level: float) -> tuple[float, float]:
    squared = _NORMAL.inv_cdf(1 - level) ** 2
    centre = (value + squared / (2 * audits)) / (1 + squared / audits)
    reach = sqrt(squared * (value * (1 - value) / audits + squared / (4 * audits**2))) / (1 + squared / audits)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def level_of_look(look: int, error_rate: float, planned: int | None = None) -> float:
    """Return what a look, counted from 1, may spend of the error rate.

    With a planned number of looks each gets an equal part, and later ones nothing; without, look k gets 6 / (pi k)**2
    of the rate, which sums to the rate over however many looks there will be.

    >>> round(level_of_look(1, 0.05), 4), round(level_of_look(2, 0.05), 4), level_of_look(1, 0.05, planned=1)
    (0.0304, 0.0076, 0.05)
    """
    if look < 1:
        raise BadDataError(f"looks are counted from 1, not from {look}")
    if planned is not None:
        return error_rate / planned if look <= planned else 0.0
    return error_rate * 6 / (pi * look) ** 2


def judge(
    accuracies: Sequence[Accuracy], bar: float, level: float, correction: Correction = "two-stage"
) -> list[Verdict]:
    """Return the verdict on each attribute of one look, in order; all attributes that are not yet passed belong in it.

    Benjamini-Hochberg's passes are those whose bound at level * passes / attributes clears the bar. The two-stage form
    runs it once at level / (1 + level), and again with only the attributes that failed counted (Benjamini, Krieger and
    Yekutieli 2006): the same false discovery rate for independent audits, and more passes. Holm's go from the surest
    on, at level / (attributes left), until one fails.
    """
    if correction == "two-stage":
        return _judge_twice(accuracies, bar, level / (1 + level))
    p_values = np.array([entry.p_value(bar) for entry in accuracies])
    order = np.argsort(p_values, kind="stable")
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    if correction == "holm":
        levels = level / (len(order) - ranks)
        failed = p_values[order] > levels[order]
        passes = int(np.argmax(failed)) if failed.any() else len(order)
    else:
        fits = p_values[order] <= level * (np.arange(len(order)) + 1) / max(len(order), 1)
        passes = int(np.flatnonzero(fits)[-1]) + 1 if fits.any() else 0
        levels = np.full(len(order), level * max(passes, 1) / max(len(order), 1))
    return [
        Verdict(bool(rank < passes and level > 0), entry.low(float(own)) if level > 0 else 0.0, float(own))
        for entry, rank, own in zip(accuracies, ranks, levels, strict=True)
    ]


def _judge_twice(accuracies: Sequence[Accuracy], bar: float, level: float) -> list[Verdict]:
    first = judge(accuracies, bar, level, "benjamini-hochberg")
    failed = sum(not verdict.passed for verdict in first)
    if failed in (0, len(first)):
        return first
    return judge(accuracies, bar, level * len(first) / failed, "benjamini-hochberg")


def audits_needed(accuracy: float, bar: float = 0.85, level: float = 0.025, power: float = 0.8) -> int | None:
    """Return how many audits an attribute of this true accuracy needs to pass with the given chance; None: no number.

    The score test's sample size (Fleiss, Levin and Paik 2003, equation 2.21 without continuity correction).

    >>> audits_needed(0.90, power=0.86), audits_needed(0.95), audits_needed(0.85)
    (420, 79, None)
    """
    if accuracy <= bar:
        return None
    accuracy = min(accuracy, 0.999)
    tested = _NORMAL.inv_cdf(1 - level) * sqrt(bar * (1 - bar))
    true = _NORMAL.inv_cdf(power) * sqrt(accuracy * (1 - accuracy))
    return ceil(((tested + true) / (accuracy - bar)) ** 2)
