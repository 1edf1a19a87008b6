"""Weights of tasks that make them converge at one pace: CoBa (Gong et al., EMNLP 2024, arXiv 2410.06741)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curate.errors import BadDataError
from curate.learners.multitask.parameters import ConvergenceParameters
from curate.learners.numerics import Floats

_FLOOR = 0.1


class ConvergenceBalancer:
    """Weighs tasks by the slopes of their validation losses, each divided by its first value.

    While all converge, who lags is heard more (the relative scores). When the worst task's slope comes to a standstill,
    weight goes to those that still converge, measured by their own history (the absolute scores), for they have not
    begun to overfit. A task that gets less than a tenth of an equal share brings all nearer to equal shares.

    The paper's formulas; the authors' code sharpens the weights once more by a softmax, which is left out here.
    Costs a least-squares slope a task and the slopes of the window.
    """

    def __init__(self, tasks: int, parameters: ConvergenceParameters | None = None) -> None:
        self.parameters = parameters or ConvergenceParameters()
        self.weights: Floats = np.full(tasks, 1 / tasks)
        self._first: Floats | None = None
        self._losses: list[Floats] = []
        self._slopes: list[Floats] = []
        self._worst: list[float] = []
        self._seen = 0

    def observe(self, losses: Sequence[float] | Floats) -> Floats:
        """Take each task's validation loss after a step, and return the weights of the next: they sum to 1.

        Raises:
            BadDataError: not one finite loss above 0 for each task. Nothing is changed.
        """
        found = np.asarray(losses, np.float64)
        if found.shape != self.weights.shape or not np.isfinite(found).all() or found.min() <= 0:
            raise BadDataError(f"{len(self.weights)} tasks need as many validation losses above 0, not {losses}")
        if self._first is None:
            self._first = found
        self._seen += 1
        self._losses = [*self._losses, found / self._first][-self.parameters.window :]
        if len(self._losses) > 1:
            slopes = _slopes(np.stack(self._losses))
            if self._seen >= self.parameters.warm_up:
                self._weigh(slopes)
        return self.weights

    def _weigh(self, slopes: Floats) -> None:
        self._slopes = [*self._slopes, slopes][-self.parameters.window :]
        self._worst.append(float(slopes.max()))
        factor = divergence_factor(np.array(self._worst), self.parameters.sharpness)
        mixed = factor * relative_scores(slopes) + (1 - factor) * absolute_scores(np.stack(self._slopes))
        floor = _FLOOR / len(mixed)
        self.weights = mixed * (1 - floor * len(mixed)) + floor if mixed.min() < floor else mixed


def relative_scores(slopes: Floats) -> Floats:
    """Return how slowly each task converges beside the others: their sum is 1, the largest lags most.

    >>> relative_scores(np.array([-1.0, -1.0]))
    array([0.5, 0.5])
    """
    return _softmax(len(slopes) * _over_sum(slopes, np.abs(slopes).sum()))


def absolute_scores(history: Floats) -> Floats:
    """Return how fast each task converges beside its own past (steps, tasks), the last step last: their sum is 1."""
    steps = len(history)
    return _softmax(-steps * _over_sum(history[-1], np.abs(history).sum(axis=0)))


def divergence_factor(worst: Floats, sharpness: float) -> float:
    """Return how much the relative scores count, from the largest slope of each step: 1 while it falls as it did.

    >>> divergence_factor(np.array([-1.0, -1.0, -1.0]), 5.0)
    1.0
    """
    steps = len(worst)
    pace = -steps * _over_sum(worst, np.abs(worst).sum())
    return float(min(steps * _softmax(sharpness * pace)[-1], 1.0))


def _slopes(losses: Floats) -> Floats:
    """Least-squares slopes of columns over evenly spaced rows."""
    times = np.arange(len(losses)) - (len(losses) - 1) / 2
    found: Floats = times @ losses / (times @ times)
    return found


def _over_sum(values: Floats, total: Floats) -> Floats:
    """Values divided by their total; where that is nothing, nothing moves, and all are equal."""
    return np.divide(values, total, out=np.zeros_like(values), where=total > 0)


def _softmax(logits: Floats) -> Floats:
    raised: Floats = np.exp(logits - logits.max())
    raised /= raised.sum()
    return raised
