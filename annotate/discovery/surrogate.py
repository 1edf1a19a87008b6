"""A classifier on features that takes over from the model: it learns the model's assignments, and knows when to ask.

Kernel ridge regression on one-hot attributes, in its dual form: for some hundred items it is solved at once, needs no
tuning, and its scores calibrate well by one temperature (`curate.annotate.calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.annotate.calibration import Temperature, abstention_threshold, fit_temperature

FEWEST = 50
"""Below so many assigned items nothing is worth being called a measured agreement."""
_FOLDS = 5
_RIDGE = 0.1
_SHARPNESS = 8.0
Features = NDArray[np.float32]
Numbers = NDArray[np.float64]
Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A fitted classifier of one dimension, unknown among its classes.

    `agreement` is the share of items outside the fitted fold about which it says what the model said; it decides only
    where its confidence is at least `threshold`: there it agreed with the model in `sure_agreement` of the items, which
    were the share `sure` of all. A threshold of infinity means that it never decides.
    """

    classes: tuple[str, ...]
    weights: Numbers
    centre: Numbers
    temperature: Temperature
    threshold: float
    items: int
    agreement: float
    sure: float
    sure_agreement: float

    def predict(self, features: Features) -> tuple[list[str], Numbers]:
        """Return the likeliest attribute of each item, and how likely it is that the model says the same."""
        probabilities = self.temperature(_squashed((features - self.centre) @ self.weights))
        best = probabilities.argmax(axis=1)
        return [self.classes[place] for place in best], probabilities[np.arange(len(best)), best]


def fit_surrogate(features: Features, attributes: Sequence[str], bar: float, seed: int = 0) -> Surrogate | None:
    """Return a classifier that agrees with the model with at least the probability `bar` where it decides.

    Temperature and threshold come from predictions about folds that were not learned from; the threshold is that of
    `abstention_threshold`, at 95 %. None for fewer than 50 items or a single attribute: then there is nothing to
    measure. Cost: items ** 3 for each of 5 folds.
    """
    classes, targets = np.unique(np.array(attributes, np.str_), return_inverse=True)
    if len(targets) < FEWEST or len(classes) < 2:
        return None
    scores = _out_of_fold(features.astype(np.float64), targets, len(classes), seed)
    temperature = fit_temperature(scores, targets)
    probabilities = temperature(scores)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    threshold = abstention_threshold(confidence, right, bar)
    sure = confidence >= threshold
    centre = features.mean(axis=0, dtype=np.float64)
    return Surrogate(
        tuple(map(str, classes)),
        _weights(features - centre, targets, len(classes)),
        centre,
        temperature,
        threshold,
        len(targets),
        float(right.mean()),
        float(sure.mean()),
        float(right[sure].mean()) if sure.any() else 0.0,
    )


def _out_of_fold(features: Numbers, targets: Positions, classes: int, seed: int) -> Numbers:
    fold = np.random.default_rng(seed).permutation(len(targets)) % _FOLDS
    scores = np.empty((len(targets), classes))
    for number in range(_FOLDS):
        outside = fold == number
        centre = features[~outside].mean(axis=0)
        weights = _weights(features[~outside] - centre, targets[~outside], classes)
        scores[outside] = _squashed((features[outside] - centre) @ weights)
    return scores


def _weights(features: Numbers, targets: Positions, classes: int) -> Numbers:
    """Solve ridge regression in the space of the items, of which there are fewer than features, more often than not."""
    kernel = features @ features.T
    ridge = _RIDGE * max(float(np.trace(kernel)) / len(targets), 1e-9)
    coefficients = np.linalg.solve(kernel + ridge * np.eye(len(targets)), np.eye(classes)[targets] - 1.0 / classes)
    weights: Numbers = features.T @ coefficients
    return weights


def _squashed(scores: Numbers) -> Numbers:
    weights = np.exp(_SHARPNESS * (scores - scores.max(axis=1, keepdims=True)))
    probabilities: Numbers = weights / weights.sum(axis=1, keepdims=True)
    return probabilities
