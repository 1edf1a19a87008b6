"""Confidences that mean what they say: temperature, isotonic regression, and the error before and after.

Confidences of two annotators are comparable only once each was calibrated on answers of people, per attribute. Those
answers must not be the gate's audits if the calibrated figures then decide about the gate; `curate.annotate.gate` uses
confidences only in a way that is right however wrong they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from curate.errors import BadDataError
from curate.statistics import wilson_interval

Numbers = NDArray[np.float64]
Positions = NDArray[np.int64]
Booleans = NDArray[np.bool_]
ClaimMap: TypeAlias = Callable[[Numbers], Numbers]
"""From confidences to calibrated ones."""
FitMap: TypeAlias = Callable[[Numbers, Booleans], ClaimMap]
COLDEST, HOTTEST = 0.05, 20.0
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True)
class Temperature:
    """Divides logarithms of probabilities by one number (Guo et al. 2017): above 1 an annotator was too sure."""

    temperature: float

    def __call__(self, probabilities: Numbers) -> Numbers:
        """Return calibrated probabilities, of the same shape (items, values)."""
        logarithms = np.log(np.clip(probabilities, 1e-12, 1.0)) / self.temperature
        weights = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
        result: Numbers = weights / weights.sum(axis=1, keepdims=True)
        return result


def fit_temperature(probabilities: Numbers, true: Positions) -> Temperature:
    """Return the temperature in [0.05, 20] of least negative log-likelihood, by golden section on its logarithm.

    The loss is convex in 1 / temperature, so there is one minimum. Cost: 40 times items * values.

    Args:
        probabilities: float64 of shape (items, values).
        true: the position of each item's true value.

    Raises:
        BadDataError: no items, or the lengths differ.
    """
    if not len(true) or len(true) != len(probabilities):
        raise BadDataError(f"{len(probabilities)} items with {len(true)} true values cannot be calibrated")

    def loss(logarithm: float) -> float:
        calibrated = Temperature(float(np.exp(logarithm)))(probabilities)
        return -float(np.log(np.maximum(calibrated[np.arange(len(true)), true], 1e-12)).mean())

    return Temperature(float(np.exp(_golden_section(loss, float(np.log(COLDEST)), float(np.log(HOTTEST))))))


def _golden_section(loss: Callable[[float], float], low: float, high: float, steps: int = 40) -> float:
    """Return where a function with one minimum is least (Kiefer 1953)."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(steps):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return (low + high) / 2


@dataclass(frozen=True, slots=True)
class Isotonic:
    """A rising map of confidences, linear between the fitted points and level outside (Zadrozny and Elkan 2002)."""

    confidences: Numbers
    shares: Numbers

    def __call__(self, confidence: Numbers) -> Numbers:
        """Return the calibrated confidences."""
        result: Numbers = np.interp(confidence, self.confidences, self.shares)
        return result


def fit_isotonic(confidence: Numbers, right: Booleans) -> Isotonic:
    """Return the rising map of least squared error, by pooling adjacent violators (Ayer et al. 1955).

    It follows any shape and overfits below a few hundred items, where a temperature is better. Cost: n log n.

    Raises:
        BadDataError: no items, or the lengths differ.

    >>> fit_isotonic(np.array([0.2, 0.4, 0.6, 0.8]), np.array([False, True, False, True]))(np.array([0.5])).tolist()
    [0.5]
    """
    if not len(right) or len(right) != len(confidence):
        raise BadDataError(f"{len(confidence)} confidences with {len(right)} outcomes cannot be calibrated")
    points, place = np.unique(confidence, return_inverse=True)
    weights = np.bincount(place).astype(np.float64)
    means = np.bincount(place, right.astype(np.float64)) / weights
    blocks: list[tuple[float, float, int]] = []
    for mean, weight in zip(means, weights, strict=True):
        block = (float(mean), float(weight), 1)
        while blocks and blocks[-1][0] >= block[0]:
            block = _pooled(blocks.pop(), block)
        blocks.append(block)
    return Isotonic(points, np.repeat([mean for mean, _, _ in blocks], [size for _, _, size in blocks]))


def _pooled(first: tuple[float, float, int], second: tuple[float, float, int]) -> tuple[float, float, int]:
    weight = first[1] + second[1]
    return (first[0] * first[1] + second[0] * second[1]) / weight, weight, first[2] + second[2]


@dataclass(frozen=True, slots=True)
class ClaimTemperature:
    """A temperature for confidences alone: what a claim leaves to the other `values` is shared among them evenly."""

    temperature: float
    values: int

    def __call__(self, confidence: Numbers) -> Numbers:
        """Return the calibrated confidences."""
        result: Numbers = Temperature(self.temperature)(_spread(confidence, self.values))[:, 0]
        return result


def fit_claim_temperature(confidence: Numbers, right: Booleans, values: int) -> ClaimTemperature:
    """Return the temperature of claims of which only the confidence is known, about an attribute of so many values.

    With two values that is all there is to know. One number is hard to overfit: it serves from some fifty answers on.

    Raises:
        BadDataError: no items, or the lengths differ.

    >>> sure, right = np.full(8, 0.99), np.array([True] * 6 + [False] * 2)
    >>> fit_claim_temperature(sure, right, 2)(sure).round(3).tolist()[0]
    0.75
    """
    fitted = fit_temperature(_spread(confidence, values), np.where(right, 0, 1))
    return ClaimTemperature(fitted.temperature, values)


def _spread(confidence: Numbers, values: int) -> Numbers:
    """Return probabilities of shape (items, values) with the claimed value first."""
    rest = (1.0 - confidence) / (values - 1)
    return np.column_stack([confidence, *[rest] * (values - 1)])


def expected_calibration_error(confidence: Numbers, right: Booleans, bins: int = 15) -> float:
    """Return the mean distance of confidence and share right over bins of equal width, weighted by their items.

    Naeini, Cooper and Hauskrecht (2015). It is above 0 even for perfect confidences when bins are thinly filled.

    >>> round(expected_calibration_error(np.array([0.9, 0.9]), np.array([True, False])), 6)
    0.4
    """
    if not len(right):
        return 0.0
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    distance = np.bincount(place, confidence, bins) - np.bincount(place, right.astype(np.float64), bins)
    return float(np.abs(distance).sum() / len(right))


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well one annotator's confidences on one attribute were calibrated, raw and by a map from other items."""

    items: int
    before: float
    after: float
    map: ClaimMap


def calibrate(
    confidence: Numbers, right: Booleans, seed: int = 0, folds: int = 5, fit: FitMap = fit_isotonic
) -> Calibration:
    """Return the map that is fitted to all items, with the calibration error before and after.

    The error after is measured on each fold with a map fitted on the others: on its own items every map looks perfect.

    Raises:
        BadDataError: fewer items than folds, or the lengths differ.
    """
    if len(right) < folds:
        raise BadDataError(f"{len(right)} answers are too few to calibrate on", hint=f"get at least {folds}")
    fold = np.random.default_rng(seed).permutation(len(right)) % folds
    mapped = np.empty(len(right))
    for number in range(folds):
        outside = fold == number
        mapped[outside] = fit(confidence[~outside], right[~outside])(confidence[outside])
    before, after = (expected_calibration_error(values, right) for values in (confidence, mapped))
    return Calibration(len(right), before, after, fit(confidence, right))


def abstention_threshold(confidence: Numbers, right: Booleans, bar: float, level: float = 0.05) -> float:
    """Return the lowest confidence from which on claims are right often enough; infinity where none is.

    The items at or above the threshold have a share right whose one-sided lower Wilson bound clears the bar. Thresholds
    are tried from the highest down, and the search stops at the first failure: fixed-sequence testing (Bauer 1991) at
    `level` overall. It begins at 30 items or, for bars above 0.85, at twice those that could clear the bar without a
    single error (49 for 0.9, 515 for 0.99), for with fewer the first error would end it; at all items where they are
    fewer. So a bar is out of reach with half of that many items, whatever they say: 25 for 0.9, 258 for 0.99.

    >>> abstention_threshold(np.linspace(0, 1, 200), np.ones(200, bool), 0.95)
    0.0
    """
    if not len(confidence):
        return float("inf")
    order = np.argsort(-confidence, kind="stable")
    values, hits = confidence[order], np.cumsum(right[order])
    perfect = NormalDist().inv_cdf(1 - level) ** 2 * bar / max(1e-9, 1 - bar)
    first, threshold = min(max(30, ceil(2 * perfect)), len(order)), float("inf")
    for items in (*range(first, len(order), 10), len(order)):
        if wilson_interval(int(hits[items - 1]), items, confidence=1 - 2 * level).low < bar:
            break
        threshold = float(values[items - 1])
    return threshold
