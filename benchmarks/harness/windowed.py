"""The learner of the streams' benchmark: nearest neighbours among the labels of a window, and its prequential run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from curate.select.stream.budgets import BudgetManager

WINDOW, NEIGHBOURS = 400, 7
_SMOOTHING = 0.5


@njit
def _probabilities(item: Any, held: Any, labels: Any, count: int, classes: int, out: Any) -> None:
    """Votes of the nearest of `count` held items, smoothed."""
    near = min(NEIGHBOURS, count)
    distances = np.full(NEIGHBOURS, np.inf)
    votes = np.zeros(NEIGHBOURS, np.int64)
    for row in range(count):
        total = 0.0
        for column in range(len(item)):
            gap = item[column] - held[row, column]
            total += gap * gap
        if total < distances[near - 1]:
            place = near - 1
            while place > 0 and distances[place - 1] > total:
                distances[place], votes[place] = distances[place - 1], votes[place - 1]
                place -= 1
            distances[place], votes[place] = total, labels[row]
    out[:] = _SMOOTHING / classes
    for place in range(near):
        out[votes[place]] += 1
    out /= near + _SMOOTHING


@njit
def _scaled(features: Any) -> Any:
    """Each item standardised by the mean and deviation of those before it and itself: nothing looks ahead."""
    found = np.zeros_like(features)
    mean, squares = np.zeros(features.shape[1]), np.zeros(features.shape[1])
    for row in range(len(features)):
        for column in range(features.shape[1]):
            gap = features[row, column] - mean[column]
            mean[column] += gap / (row + 1)
            squares[column] += gap * (features[row, column] - mean[column])
            deviation = np.sqrt(squares[column] / (row + 1))
            found[row, column] = (features[row, column] - mean[column]) / deviation if deviation > 1e-12 else 0.0
    return found


def scaled(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return standardised features; see `_scaled`."""
    found: NDArray[np.float64] = _scaled(np.ascontiguousarray(features))
    return found


def prequential(
    features: NDArray[np.float64],
    classes: NDArray[np.int64],
    manager: BudgetManager,
    utility: str,
    delay: int = 0,
) -> tuple[float, int]:
    """Predict each item, decide, learn what was asked `delay` items ago; return accuracy and labels spent.

    `features` are standardised. The utility is "margin", "least-confidence" or "entropy" of the probabilities.
    """
    number, dimensions = int(classes.max()) + 1, features.shape[1]
    held, labels = np.zeros((WINDOW, dimensions)), np.zeros(WINDOW, np.int64)
    probabilities, value = np.full(number, 1 / number), np.zeros(1)
    learnt = right = spent = 0
    waiting: list[tuple[int, int]] = []
    for place in range(len(classes)):
        while waiting and waiting[0][0] <= place:
            asked = waiting.pop(0)[1]
            held[learnt % WINDOW], labels[learnt % WINDOW] = features[asked], classes[asked]
            learnt += 1
        if learnt:
            _probabilities(features[place], held, labels, min(learnt, WINDOW), number, probabilities)
        right += int(probabilities.argmax()) == classes[place]
        value[0] = _utility(probabilities, utility)
        if manager.decide(value)[0]:
            waiting.append((place + 1 + delay, place))
            spent += 1
    return right / len(classes), spent


def _utility(probabilities: NDArray[np.float64], name: str) -> float:
    if name == "least-confidence":
        return 1 - float(probabilities.max())
    if name == "entropy":
        return -float((probabilities * np.log(probabilities)).sum() / np.log(len(probabilities)))
    ordered = np.sort(probabilities)
    return 1 - float(ordered[-1] - ordered[-2])
