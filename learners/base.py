"""What all learners share: checking of input, the label map, and saving and loading of everything that matters."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from curate.errors import ConfigurationError, UsageError
from curate.learners.inputs import checked_features, checked_labels
from curate.learners.label_map import columns_of, widened
from curate.learners.numerics import Array, Features, Floats, Integers
from curate.learners.parameters import Parameters
from curate.learners.state_file import pack, unpack


class BaseLearner(ABC):
    """A `curate.types.Learner` whose subclass only learns and predicts on input that is known to be good.

    Each subclass sets `name` and `format` (raise it when the meaning of the state changes) and implements the five
    methods with an underscore. `version` changes whenever the name, the format or a parameter does.
    """

    name: str
    format: int = 1

    def __init__(self, parameters: Parameters, *, bound_to: Mapping[str, str] | None = None) -> None:
        """`bound_to` names by a hash what else the state belongs to, such as a frozen network."""
        self._parameter_values = {**parameters.as_mapping(), **(bound_to or {})}
        self.version = f"{self.name}/{self.format}+{_fingerprint(self._parameter_values)}"
        self._generator = np.random.default_rng(parameters.seed)
        self._classes: tuple[str, ...] = ()
        self._dimension: int | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The label map: column k of `predict` belongs to `classes[k]`; it only grows at the end."""
        return self._classes

    @property
    def initialised(self) -> bool:
        """Whether the learner has seen all the unlabelled features that it wants to see before it learns."""
        return True

    @property
    def parameters_kept(self) -> int:
        """How many numbers the state holds, of whatever size."""
        return sum(array.size for array in self._arrays().values())

    def initialise(self, features: Features) -> None:
        """Look at unlabelled features before the first `learn`; most learners need nothing of the kind."""
        checked_features(features, self._dimension)

    def learn(self, features: Features, labels: Sequence[str]) -> None:
        """Learn one increment: float32 of shape (items, dimension), and a name for each item.

        No task boundary is needed. Names that are new widen the label map at its end, sorted within the increment. An
        empty increment changes nothing.

        Raises:
            BadDataError: features that are not finite or of another dimension than before, or labels that do not fit.
        """
        features = checked_features(features, self._dimension)
        names = checked_labels(labels, len(features))
        if not names:
            return
        self._dimension = features.shape[1]
        self._classes = widened(self._classes, names)
        self._learn(features, columns_of(self._classes, names))

    def predict(self, features: Features) -> Floats:
        """Return probabilities: float64 of shape (items, classes), rows summing to 1, whatever the size of the batch.

        Raises:
            UsageError: nothing was learned yet.
            BadDataError: features that are not finite or of another dimension than learned.
        """
        if not self._classes:
            raise UsageError(f"the learner {self.name} has learned nothing yet", hint="learn an increment first")
        features = checked_features(features, self._dimension)
        if not len(features):
            return np.zeros((0, len(self._classes)))
        return self._predict(features)

    def state(self) -> bytes:
        """Return everything that later learning and predicting depend on, as deterministic safetensors bytes.

        Equal states are equal bytes, so their SHA-256 can name them; a learner that loads them goes on bit for bit.
        """
        header = {
            "learner": self.name,
            "format": self.format,
            "parameters": self._parameter_values,
            "classes": list(self._classes),
            "dimension": self._dimension,
            "generator": self._generator.bit_generator.state,
        }
        return pack(header, self._arrays())

    def load(self, state: bytes) -> None:
        """Go back to a state that `state` returned; whatever is refused leaves the learner as it was.

        Raises:
            StoreError: the bytes are corrupt.
            ConfigurationError: the state belongs to another learner, format or parameters.
        """
        header, arrays = unpack(state)
        self._refuse_other(header)
        self._restore(arrays)
        self._classes = tuple(header["classes"])
        self._dimension = header["dimension"]
        self._generator.bit_generator.state = header["generator"]

    def _refuse_other(self, header: Mapping[str, Any]) -> None:
        mine = {"learner": self.name, "format": self.format, **self._parameter_values}
        other = {"learner": header["learner"], "format": header["format"], **header["parameters"]}
        differences = [
            f"{name} is {other.get(name)!r} there and {mine.get(name)!r} here"
            for name in sorted(mine.keys() | other.keys())
            if mine.get(name) != other.get(name)
        ]
        if differences:
            raise ConfigurationError(
                f"this state does not belong to this learner: {'; '.join(differences)}",
                hint="set the learner back as it was, or begin a new one under another name",
                unchanged="the learner",
            )

    @abstractmethod
    def _learn(self, features: Features, targets: Integers) -> None:
        """Learn items whose classes are the columns `targets`; `classes` is already widened."""

    @abstractmethod
    def _predict(self, features: Features) -> Floats:
        """Return probabilities over `classes` for at least one item."""

    @abstractmethod
    def _arrays(self) -> dict[str, Array]:
        """Return the arrays of the state; none before there is anything to keep."""

    @abstractmethod
    def _restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over what `_arrays` returned."""


def _fingerprint(parameters: Mapping[str, Any]) -> str:
    return sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:8]
