"""A linear classifier that just goes on learning: the baseline that shows what forgetting looks like."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curate.learners.base import BaseLearner
from curate.learners.numerics import Array, Features, Floats, Integers, shuffled_batches, smoothed_error, softmax
from curate.learners.parameters import Parameters


@dataclass(frozen=True, slots=True)
class LinearParameters(Parameters):
    """Passes over an increment, items in one step of descent, and the learning rate."""

    passes: int = 20
    batch_size: int = 32
    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("passes", "batch_size", "learning_rate")


class SequentialLinear(BaseLearner):
    """Softmax regression by plain gradient descent on each increment in turn; it forgets, and is meant to."""

    name = "sequential-linear"

    def __init__(self, parameters: LinearParameters | None = None) -> None:
        self.parameters = parameters or LinearParameters()
        super().__init__(self.parameters)
        self._weights = np.zeros((0, 0))

    def _learn(self, features: Features, targets: Integers) -> None:
        inputs = _with_constant(features)
        known = self._weights.reshape(inputs.shape[1], -1)
        self._weights = np.pad(known, ((0, 0), (0, len(self.classes) - known.shape[1])))
        for _ in range(self.parameters.passes):
            for batch in shuffled_batches(len(inputs), self.parameters.batch_size, self._generator):
                self._descend(inputs[batch], targets[batch])

    def _descend(self, inputs: Floats, targets: Integers) -> None:
        error = smoothed_error(inputs @ self._weights, targets, smoothing=0.0)
        self._weights -= self.parameters.learning_rate / len(inputs) * (inputs.T @ error)

    def _predict(self, features: Features) -> Floats:
        return softmax(_with_constant(features) @ self._weights)

    def _arrays(self) -> dict[str, Array]:
        return {"weights": self._weights}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._weights = arrays["weights"].copy()


def _with_constant(features: Features) -> Floats:
    return np.pad(features.astype(np.float64), ((0, 0), (0, 1)), constant_values=1.0)
