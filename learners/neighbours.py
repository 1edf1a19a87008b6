"""k nearest neighbours: a baseline that keeps every item, and so forgets nothing and grows for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curate.learners.base import BaseLearner
from curate.learners.numerics import Array, Features, Floats, Integers
from curate.learners.parameters import Parameters

_BLOCK = 256  # items compared at once: bounds memory at 2 KiB for each item that is kept


@dataclass(frozen=True, slots=True)
class NeighbourParameters(Parameters):
    """`neighbours`: how many of the nearest items vote."""

    neighbours: int = 5

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("neighbours")


class NearestNeighbours(BaseLearner):
    """Predicts the share that each class has among the nearest items it was ever given; the nearest breaks a tie.

    Euclidean, exact. State and prediction grow with every item: items * kept * dimension multiplications.

    >>> learner = NearestNeighbours(NeighbourParameters(neighbours=1))
    >>> learner.learn(np.array([[0.0], [9.0]], dtype=np.float32), ["low", "high"])
    >>> learner.classes[int(learner.predict(np.array([[2.0]], dtype=np.float32)).argmax())]
    'low'
    """

    name = "nearest-neighbours"

    def __init__(self, parameters: NeighbourParameters | None = None) -> None:
        self.parameters = parameters or NeighbourParameters()
        super().__init__(self.parameters)
        self._features = np.zeros((0, 0), dtype=np.float32)
        self._targets = np.zeros(0, dtype=np.int64)

    def _learn(self, features: Features, targets: Integers) -> None:
        self._features = np.concatenate([self._features.reshape(-1, features.shape[1]), features])
        self._targets = np.concatenate([self._targets, targets])

    def _predict(self, features: Features) -> Floats:
        parts = [self._votes(features[start : start + _BLOCK]) for start in range(0, len(features), _BLOCK)]
        return np.concatenate(parts)

    def _votes(self, features: Features) -> Floats:
        kept = self._features.astype(np.float64)
        distances = 0.5 * np.square(kept).sum(axis=1) - features.astype(np.float64) @ kept.T
        # Rounded, so that which of two equally near items comes first does not depend on the size of the batch.
        order = distances.astype(np.float32).argsort(axis=1, kind="stable")
        nearest = self._targets[order[:, : self.parameters.neighbours]]
        # A vote is worth a little more, the nearer it is: too little to matter but in a tie.
        worth = 1.0 + 1e-6 * np.arange(nearest.shape[1], 0, -1)
        votes = np.zeros((len(features), len(self.classes)))
        for place, weight in enumerate(worth):
            votes[np.arange(len(features)), nearest[:, place]] += weight
        found: Floats = votes / worth.sum()
        return found

    def _arrays(self) -> dict[str, Array]:
        return {"features": self._features, "targets": self._targets}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._features, self._targets = arrays["features"], arrays["targets"]
