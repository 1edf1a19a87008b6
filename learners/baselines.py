"""Baselines that are always shown beside a learner: a learner that one of them beats has to say so."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curate.errors import ConfigurationError
from curate.learners.base import BaseLearner
from curate.learners.numerics import Array, Features, Floats, Integers, softmax
from curate.learners.parameters import Parameters

_NO_SPREAD = 1e-12


class MajorityClass(BaseLearner):
    """Predicts how frequent each class has been so far, whatever the input.

    >>> learner = MajorityClass()
    >>> learner.learn(np.zeros((4, 1), dtype=np.float32), ["a", "b", "b", "b"])
    >>> learner.predict(np.zeros((1, 1), dtype=np.float32))
    array([[0.25, 0.75]])
    """

    name = "majority"

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters or Parameters())
        self._counts = np.zeros(0, dtype=np.int64)

    def _learn(self, features: Features, targets: Integers) -> None:
        counts = np.bincount(targets, minlength=len(self.classes))
        counts[: len(self._counts)] += self._counts
        self._counts = counts

    def _predict(self, features: Features) -> Floats:
        return np.tile(self._counts / self._counts.sum(), (len(features), 1))

    def _arrays(self) -> dict[str, Array]:
        return {"counts": self._counts}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._counts = arrays["counts"]


class GaussianClasses(BaseLearner):
    """The base of learners that see each class as a Gaussian with its own mean and a covariance common to all.

    Keeps the counts, the means, and the scatter within classes: sums of products of deviations from the class's mean,
    float64 of shape (dimension, dimension), updated in closed form (Chan et al. 1983), so nothing is ever forgotten.
    All classes count as equally likely. Costs items * dimension² for learning.
    """

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters)
        self._counts, self._means, self._scatter = np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0))

    def _learn(self, features: Features, targets: Integers) -> None:
        self._widen(len(self.classes), features.shape[1])
        for column in np.unique(targets):
            self._add(int(column), features[targets == column].astype(np.float64))

    def _widen(self, classes: int, dimension: int) -> None:
        counts, means = np.zeros(classes), np.zeros((classes, dimension))
        counts[: len(self._counts)] = self._counts
        means[: len(self._means)] = self._means.reshape(-1, dimension)
        self._counts, self._means = counts, means
        if not self._scatter.size:
            self._scatter = np.zeros((dimension, dimension))

    def _add(self, column: int, items: Floats) -> None:
        before, mean = self._counts[column], items.mean(axis=0)
        deviations, shift = items - mean, mean - self._means[column]
        after = before + len(items)
        self._scatter += deviations.T @ deviations + np.outer(shift, shift) * (before * len(items) / after)
        self._means[column] += shift * (len(items) / after)
        self._counts[column] = after

    def _predict(self, features: Features) -> Floats:
        weights = self._weights(self._scatter / self._counts.sum(), self._means)
        offsets = 0.5 * np.einsum("kd,dk->k", self._means, weights)
        return softmax(features.astype(np.float64) @ weights - offsets)

    @abstractmethod
    def _weights(self, covariance: Floats, means: Floats) -> Floats:
        """Return the inverse of the covariance, as this learner sees it, times the means: (dimension, classes)."""

    def _arrays(self) -> dict[str, Array]:
        return {"counts": self._counts, "means": self._means, "scatter": self._scatter}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._counts, self._means, self._scatter = (arrays[name].copy() for name in ("counts", "means", "scatter"))


class NearestClassMean(GaussianClasses):
    """Predicts the class whose mean is nearest; its probabilities take one variance for all classes and dimensions.

    >>> learner = NearestClassMean()
    >>> learner.learn(np.array([[0.0], [1.0], [9.0]], dtype=np.float32), ["low", "low", "high"])
    >>> learner.classes[int(learner.predict(np.array([[2.0]], dtype=np.float32)).argmax())]
    'low'
    """

    name = "nearest-class-mean"

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters or Parameters())

    def _weights(self, covariance: Floats, means: Floats) -> Floats:
        return means.T / _mean_variance(covariance)


@dataclass(frozen=True, slots=True)
class DiscriminantParameters(Parameters):
    """`shrinkage`, in (0, 1], mixes the covariance with a round one of the same mean variance."""

    shrinkage: float = 1e-2

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("shrinkage")
        if self.shrinkage > 1.0:
            raise ConfigurationError("the learner's parameter shrinkage must be at most 1")


class StreamingDiscriminant(GaussianClasses):
    """Linear discriminant analysis with a shrunk covariance, learned increment by increment.

    The covariance is the exact one over all that was learned, where the source keeps a running estimate of it.
    Source: Hayes and Kanan, CVPR workshops 2020, arXiv 1909.01520 (SLDA). Costs dimension³ for each call of `predict`.
    """

    name = "streaming-discriminant"

    def __init__(self, parameters: DiscriminantParameters | None = None) -> None:
        self.parameters = parameters or DiscriminantParameters()
        super().__init__(self.parameters)

    def _weights(self, covariance: Floats, means: Floats) -> Floats:
        share = self.parameters.shrinkage
        round_part = share * _mean_variance(covariance) * np.eye(len(covariance))
        return np.asarray(np.linalg.solve((1.0 - share) * covariance + round_part, means.T))


def _mean_variance(covariance: Floats) -> float:
    """Return the mean variance over dimensions, or 1 where nothing has spread yet (one item of each class)."""
    variance = float(np.trace(covariance)) / len(covariance)
    return variance if variance > _NO_SPREAD else 1.0


def beaten_by(accuracy: float, baselines: Mapping[str, float]) -> Sequence[str]:
    """Return the baselines that are more accurate than a learner, the best first, for its report.

    >>> beaten_by(0.93, {"majority": 0.1, "nearest-class-mean": 0.9, "streaming-discriminant": 0.95})
    ('streaming-discriminant',)
    """
    better = [name for name, value in baselines.items() if value > accuracy]
    return tuple(sorted(better, key=lambda name: (-baselines[name], name)))
