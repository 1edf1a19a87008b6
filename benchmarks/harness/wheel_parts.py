"""What the flywheel's two benchmarks share: the annotator that is fitted, and what came of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.annotate.turning import Features, Numbers, Positions, Predict


@dataclass(frozen=True, slots=True)
class KernelMachine:
    """Ridge regression on a Gaussian kernel: the wheel's second opinion, which narrows intervals and labels nothing."""

    width: float = 0.05
    ridge: float = 0.1
    sharpness: float = 4.0

    def __call__(self, features: Features, values: Positions, count: int) -> Predict:
        """Return what gives probabilities, the softmax of the scores."""
        wanted = np.eye(count)[values] - 1 / count
        weights = np.linalg.solve(self._kernel(features, features) + self.ridge * np.eye(len(features)), wanted)

        def predict(asked: Features) -> Numbers:
            scores = np.exp(self.sharpness * (self._kernel(asked, features) @ weights))
            result: Numbers = scores / scores.sum(axis=1, keepdims=True)
            return result

        return predict

    def _kernel(self, some: Features, others: Features) -> Numbers:
        squares = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * some @ others.T
        result: Numbers = np.exp(-self.width * np.maximum(squares, 0).astype(np.float64))
        return result


@dataclass(frozen=True, slots=True)
class LogisticRegression:
    """Fits scikit-learn's logistic regression with the inverse strength `strength` of its penalty."""

    strength: float = 1.0
    iterations: int = 200

    def __call__(self, features: Features, values: Positions, count: int) -> Predict:
        """Return what gives probabilities; a value that was never seen has none, one value alone has nearly all."""
        seen = np.unique(values)
        model: Any = None
        if len(seen) > 1:
            from sklearn.linear_model import LogisticRegression as Model

            model = Model(C=self.strength, max_iter=self.iterations).fit(features, values)

        def predict(asked: Features) -> Numbers:
            spread = np.full((len(asked), count), 0.01 / count)
            spread[:, seen] += 0.99 * (model.predict_proba(asked) if model else 1.0)
            return spread

        return predict
