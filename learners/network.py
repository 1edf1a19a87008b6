"""A small network that just goes on learning, bare or with replay: the baselines that the bottleneck stands against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curate.learners.base import BaseLearner
from curate.learners.numerics import Array, Features, Floats, Integers, shuffled_batches, smoothed_error, softmax
from curate.learners.parameters import Parameters


@dataclass(frozen=True, slots=True)
class NetworkParameters(Parameters):
    """`hidden` units; passes over an increment, items in a step, learning rate; `memory`: items kept for replay."""

    hidden: int = 128
    passes: int = 20
    batch_size: int = 32
    learning_rate: float = 0.1
    memory: int = 0

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("hidden", "passes", "batch_size", "learning_rate")


@dataclass(frozen=True, slots=True)
class ReplayParameters(NetworkParameters):
    """The network's parameters, with room for 200 items."""

    memory: int = 200


class SequentialNetwork(BaseLearner):
    """One hidden layer by plain gradient descent on each increment in turn; without a memory it forgets all.

    With a memory, every step learns as many kept items as new ones; the memory is an even sample of all that came
    (reservoir sampling, Vitter 1985; "experience replay", Chaudhry et al. 2019, arXiv 1902.10486).
    """

    name = "sequential-network"

    def __init__(self, parameters: NetworkParameters | None = None) -> None:
        self.parameters = parameters or NetworkParameters()
        super().__init__(self.parameters)
        self._clear()

    def _clear(self) -> None:
        self._first, self._second = np.zeros((0, 0)), np.zeros((0, 0))
        self._kept, self._kept_targets = np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.int64)
        self._seen = np.zeros(1, dtype=np.int64)

    def _learn(self, features: Features, targets: Integers) -> None:
        self._widen(features.shape[1])
        for _ in range(self.parameters.passes):
            for batch in shuffled_batches(len(features), self.parameters.batch_size, self._generator):
                self._descend(*self._with_kept(features[batch], targets[batch]))
        self._keep(features, targets)

    def _widen(self, dimension: int) -> None:
        hidden = self.parameters.hidden
        if not self._first.size:
            spread = np.sqrt(2.0 / (dimension + 1))
            self._first = spread * self._generator.standard_normal((dimension + 1, hidden))
            self._second = np.zeros((hidden + 1, 0))
        self._second = np.pad(self._second, ((0, 0), (0, len(self.classes) - self._second.shape[1])))

    def _with_kept(self, features: Features, targets: Integers) -> tuple[Features, Integers]:
        if not len(self._kept):
            return features, targets
        chosen = self._generator.integers(0, len(self._kept), len(features))
        return np.concatenate([features, self._kept[chosen]]), np.concatenate([targets, self._kept_targets[chosen]])

    def _descend(self, features: Features, targets: Integers) -> None:
        inputs, hidden = self._hidden(features)
        error = smoothed_error(hidden @ self._second, targets, smoothing=0.0) / len(features)
        back = (error @ self._second[:-1].T) * (hidden[:, :-1] > 0.0)
        self._second -= self.parameters.learning_rate * (hidden.T @ error)
        self._first -= self.parameters.learning_rate * (inputs.T @ back)

    def _hidden(self, features: Features) -> tuple[Floats, Floats]:
        inputs = np.pad(features.astype(np.float64), ((0, 0), (0, 1)), constant_values=1.0)
        active = np.maximum(inputs @ self._first, 0.0)
        return inputs, np.pad(active, ((0, 0), (0, 1)), constant_values=1.0)

    def _keep(self, features: Features, targets: Integers) -> None:
        room = self.parameters.memory
        if not room:
            return
        if not self._kept.size:
            self._kept = np.zeros((0, features.shape[1]), dtype=np.float32)
        free = min(room - len(self._kept), len(features))
        self._kept = np.concatenate([self._kept, features[:free]])
        self._kept_targets = np.concatenate([self._kept_targets, targets[:free]])
        self._seen += free
        for row in range(free, len(features)):
            self._seen += 1
            place = int(self._generator.integers(0, int(self._seen[0])))
            if place < room:
                self._kept[place], self._kept_targets[place] = features[row], targets[row]

    def _predict(self, features: Features) -> Floats:
        return softmax(self._hidden(features)[1] @ self._second)

    def _arrays(self) -> dict[str, Array]:
        return {
            "first": self._first,
            "second": self._second,
            "kept": self._kept,
            "kept_targets": self._kept_targets,
            "seen": self._seen,
        }

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._first, self._second = arrays["first"].copy(), arrays["second"].copy()
        self._kept, self._kept_targets = arrays["kept"].copy(), arrays["kept_targets"].copy()
        self._seen = arrays["seen"].copy()


class Replay(SequentialNetwork):
    """The network with a memory of the past."""

    name = "replay"

    def __init__(self, parameters: ReplayParameters | None = None) -> None:
        super().__init__(parameters or ReplayParameters())
