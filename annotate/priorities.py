"""What one more answer is worth: the queue's order, in the units that the wheel spends its budget by.

- An answer about an item is worth the rise of the chance that the item's value is right (`answer_gain`). New questions
  and repeats of suspicious answers are on one scale.
- An audit of an attribute is worth the rise of the chance that the gate can pass it (`audit_gain`).
- A training answer about an attribute is worth the fall of its error along its learning curve (`training_gain`).
"""

from __future__ import annotations

from math import erf, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
STEPS = np.array([5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0])
_NORMAL = NormalDist()
_QUANTILES = np.array([_NORMAL.inv_cdf((place + 0.5) / 9) for place in range(9)])


def symmetric_noise(values: int, noise: float) -> Numbers:
    """Return p(answer | true value), float64 of shape (values, values), of a person who errs evenly."""
    likelihood = np.full((values, values), max(noise, 1e-9) / (values - 1))
    np.fill_diagonal(likelihood, 1 - noise)
    return likelihood


def answer_gain(posterior: Numbers, likelihood: Numbers) -> Numbers:
    """Return by how much one more answer would raise the chance that an item's most probable value is the true one.

    The value of information under zero-one loss (Raiffa and Schlaifer 1961): the sum over answers k of the largest
    p(value) * p(k | value), less the largest p(value). With people who never err it is 1 - max p: least confidence.

    Args:
        posterior: p(value) of each item, float64 of shape (items, values).
        likelihood: p(answer | true value), float64 of shape (values, values).

    Cost: items * values**2.

    >>> answer_gain(np.array([[0.5, 0.5], [0.9, 0.1]]), symmetric_noise(2, 0.0)).round(3).tolist()
    [0.5, 0.1]
    """
    after = np.zeros(len(posterior))
    for given in likelihood.T:
        after += (posterior * given).max(axis=1)
    gain: Numbers = np.maximum(after - posterior.max(axis=1), 0.0)
    return gain


def audit_gain(value: float, weight: float, audited: int, bar: float, level: float, pool: int | None = None) -> float:
    """Return by how much the chance to pass rises for each further audit, at the best number of further audits.

    A pass is all or nothing, so the first audits towards it may be worth nothing by themselves: what counts is the best
    rate over the next 5 to 320. The belief about the accuracy is normal around `value`, as sure as `weight` audits.
    """
    spread = sqrt(max(value * (1 - value), 1e-4) / weight)
    true = np.clip(value + spread * _QUANTILES, 0.5, 0.995)[:, None]
    after = audited + np.concatenate([[1e-9], STEPS])[None, :]
    known = audited / after
    mean = known * value + (1 - known) * true
    worth = after if pool is None else after * pool / np.maximum(pool - after, 1.0)
    deviation = np.sqrt((1 - known) * true * (1 - true) / after) + 1e-9
    needed = bar + _NORMAL.inv_cdf(1 - level) * np.sqrt(bar * (1 - bar) / worth)
    power = _cumulative((mean - needed) / deviation).mean(axis=0)
    return float(((power[1:] - power[0]) / STEPS).max())


def training_gain(error: float, answers: int) -> float:
    """Return by how much an error falls with the next training answer if it falls as a power of their number.

    The exponent, about a half, is left out: it is the same for all attributes, and only the order counts.
    """
    return error / max(answers, 1)


def typical_items(features: NDArray[np.float32], count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions of `count` items that stand for all: what to ask about before there is an annotator.

    The items nearest to the means of k-means, started as k-means++ (Arthur and Vassilvitskii 2007); typical items teach
    more than unusual ones while labels are few (Hacohen, Dekel and Weinshall 2022). Fewer come back where two means
    share their nearest item. Cost: 15 * items * count * dimensions.
    """
    squares = (features**2).sum(axis=1)

    def distances(centres: NDArray[np.float32]) -> NDArray[np.float32]:
        apart: NDArray[np.float32] = squares[:, None] - 2 * features @ centres.T + (centres**2).sum(axis=1)
        return apart

    centres = features[[int(generator.integers(len(features)))]]
    while len(centres) < min(count, len(features)):
        weights = np.maximum(distances(centres).min(axis=1).astype(np.float64), 1e-12)
        centres = np.concatenate([centres, features[[int(generator.choice(len(features), p=weights / weights.sum()))]]])
    for _ in range(15):
        nearest = distances(centres).argmin(axis=1)
        sizes = np.bincount(nearest, minlength=len(centres))
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, features)
        centres = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centres).astype(features.dtype)
    chosen: NDArray[np.int64] = np.unique(distances(centres).argmin(axis=0))
    return chosen


def _cumulative(values: Numbers) -> Numbers:
    result: Numbers = np.vectorize(lambda value: 0.5 * (1 + erf(value / sqrt(2))), otypes=[np.float64])(values)
    return result
