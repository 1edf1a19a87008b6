"""The learner of the streams' benchmarks, nearest neighbours among the labels of a window, and its prequential run.

A run is machine code from end to end: predict, decide, learn what came, item after item. The managers' kernels are the
product's own; what they are given is held to be what `curate.select.stream.utilities` computes (tests/benchmarks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from curate.select.stream.budgets import BudgetManager

WINDOW, NEIGHBOURS, MEMBERS = 400, 7, 5
UTILITIES = ("least-confidence", "margin", "entropy", "vote-entropy", "consensus-divergence", "disagreement",
             "expected-model-change", "expected-error-reduction")  # fmt: skip
NEVER = 2**60
"""When a label comes that nobody gives."""
_SMOOTHING = 0.5
_COMMITTEE, _CHANGE, _REDUCTION = 3, 6, 7


@dataclass(frozen=True, slots=True)
class Answers:
    """What people say to each item if they are asked, and after how many more items; NEVER where they skip."""

    labels: NDArray[np.int64]
    delays: NDArray[np.int64]

    @classmethod
    def at_once(cls, classes: NDArray[np.int64], delay: int = 0) -> Answers:
        """Return the true classes, each after `delay` more items."""
        return cls(classes, np.full(len(classes), delay))


@dataclass(frozen=True, slots=True)
class Passed:
    """What a run gave: whether each item was predicted rightly, and why it was asked about (0: not)."""

    right: NDArray[np.bool_]
    reasons: NDArray[np.int8]

    @property
    def accuracy(self) -> float:
        """The share of right predictions over all items, asked about or not."""
        return float(self.right.mean())

    @property
    def spent(self) -> int:
        """How many labels were asked for."""
        return int((self.reasons > 0).sum())

    def budget(self, rate: float) -> float:
        """Return how many labels a rate allows over the run."""
        return rate * len(self.reasons)


def prequential(
    features: NDArray[np.float64],
    classes: NDArray[np.int64],
    manager: BudgetManager,
    utility: str,
    *,
    answers: Answers | None = None,
    seed: int = 0,
    dense: NDArray[np.bool_] | None = None,
) -> Passed:
    """Predict each item, decide, learn what was answered; `features` are standardised.

    `dense` says which items may be asked about at all (see `curate.select.stream.density`); committees are bags of the
    labels that `seed` draws.
    """
    said = answers or Answers.at_once(classes)
    code = UTILITIES.index(utility)
    bags = np.random.default_rng(seed).poisson(1.0, (MEMBERS if _COMMITTEE <= code < _CHANGE else 0, len(classes)))
    allowed = np.ones(len(classes), np.bool_) if dense is None else dense
    kernel, numbers, parameters, state = manager.parts(len(classes))
    due = np.minimum(said.delays + np.arange(len(classes)) + 1, len(classes))
    right, reasons = _pass(
        features, classes, said.labels, due, allowed, bags, code, int(classes.max()) + 1, kernel, numbers, parameters,
        state,
    )  # fmt: skip
    return Passed(right, reasons)


def scaled(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return standardised features; see `_scaled`."""
    found: NDArray[np.float64] = _scaled(np.ascontiguousarray(features))
    return found


def votes(features: Any, classes: Any, held: NDArray[np.int64], place: int, out: NDArray[np.float64]) -> None:
    """Write the probabilities of an item in the eyes of the nearest held ones."""
    _vote(features, classes, held, place, np.zeros((0, len(classes)), np.int64), out)


@njit
def _pass(
    features: Any, classes: Any, said: Any, due: Any, allowed: Any, bags: Any, utility: int, number: int, kernel: Any,
    numbers: Any, parameters: Any, state: Any,
) -> Any:  # fmt: skip
    """The run; labels that come at the same time are learned in the order of their items."""
    count = len(classes)
    right, reasons, chances = np.zeros(count, np.bool_), np.zeros(count, np.int8), np.zeros(1)
    first, following = np.full(count + 1, -1), np.full(count, -1)
    held, probabilities, value = np.zeros(WINDOW, np.int64), np.full(number, 1 / number), np.ones(1)
    committee = np.zeros((len(bags), number))
    learnt = used = 0
    for place in range(count):
        come = first[place]
        while come >= 0:
            held[learnt % WINDOW] = come
            learnt += 1
            come = following[come]
        size = min(learnt, WINDOW)
        if size:
            _vote(features, said, held[:size], place, bags[:0], probabilities)
        right[place] = np.argmax(probabilities) == classes[place]
        if size and len(bags):
            for member in range(len(bags)):
                _vote(features, said, held[:size], place, bags[member : member + 1], committee[member])
        value[0] = 1
        if size and utility == _REDUCTION:
            value[0] = _reduction(_frequencies(features, said, held[:size], place, number))
        elif size:
            value[0] = _worth(utility, probabilities, committee, features[place])
        if not allowed[place]:
            value[0] = np.nan
        used += kernel(value, numbers[used:], parameters, state, reasons[place : place + 1], chances)
        if reasons[place] > 0 and due[place] < count:
            following[place] = -1
            _append(first, following, due[place], place)
    return right, reasons


@njit
def _append(first: Any, following: Any, time: int, place: int) -> None:
    if first[time] < 0:
        first[time] = place
        return
    last = first[time]
    while following[last] >= 0:
        last = following[last]
    following[last] = place


@njit
def _vote(features: Any, said: Any, held: Any, place: int, bag: Any, out: Any) -> None:
    """Votes of the nearest held items, smoothed; a bag says how often each item is in it."""
    distances, votes = np.full(NEIGHBOURS, np.inf), np.zeros(NEIGHBOURS, np.int64)
    found = 0
    for other in held:
        copies = bag[0, other] if len(bag) else 1
        if copies == 0:
            continue
        total = 0.0
        for column in range(features.shape[1]):
            gap = features[place, column] - features[other, column]
            total += gap * gap
        for _ in range(copies):
            if found < NEIGHBOURS:
                found += 1
            elif total >= distances[found - 1]:
                break
            slot = found - 1
            while slot > 0 and distances[slot - 1] > total:
                distances[slot], votes[slot] = distances[slot - 1], votes[slot - 1]
                slot -= 1
            distances[slot], votes[slot] = total, said[other]
    out[:] = _SMOOTHING / len(out)
    for slot in range(found):
        out[votes[slot]] += 1
    out /= found + _SMOOTHING


@njit
def _frequencies(features: Any, said: Any, held: Any, place: int, number: int) -> Any:
    """How many labels of each class lie near: kernels of the mean distance between standardised items."""
    found = np.zeros(number)
    for other in held:
        total = 0.0
        for column in range(features.shape[1]):
            gap = features[place, column] - features[other, column]
            total += gap * gap
        found[said[other]] += np.exp(-2 * total / features.shape[1])
    return found


@njit
def _worth(utility: int, probabilities: Any, committee: Any, item: Any) -> float:
    """The utility by its number in UTILITIES."""
    if utility == 0:
        return float(1 - probabilities.max())
    if utility == 1:
        ordered = np.sort(probabilities)
        return float(1 - (ordered[-1] - ordered[-2]))
    if utility == 2:
        return float(-(probabilities * np.log(probabilities)).sum() / np.log(len(probabilities)))
    if utility == _CHANGE:
        squares = (probabilities**2).sum()
        lengths = np.sqrt(np.maximum(squares - 2 * probabilities + 1, 0.0))
        return float((probabilities * lengths).sum() * np.sqrt((item**2).sum()))
    return _disagreement(utility, committee) if utility < _CHANGE else 0.0


@njit
def _disagreement(utility: int, committee: Any) -> float:
    members, number = committee.shape
    if utility == _COMMITTEE:
        shares = np.zeros(number)
        for member in range(members):
            shares[np.argmax(committee[member])] += 1 / members
        found = 0.0
        for share in shares:
            found -= share * np.log(share) if share > 0 else 0.0
        return float(found / np.log(number))
    if utility == _COMMITTEE + 1:
        mean = committee.sum(axis=0) / members
        return float((committee * np.log(committee / mean)).sum() / members)
    widest = 0.0
    for label in range(number):
        widest = max(widest, committee[:, label].max() - committee[:, label].min())
    return float(widest)


@njit
def _reduction(counts: Any) -> float:
    """The probabilistic gain of up to two labels; see `curate.select.stream.utilities.expected_error_reduction`."""
    known = counts + 0.001
    total = known.sum()
    before = 1 - known.max() / total
    once = twice = 0.0
    for one in range(len(known)):
        chance = known[one] / total
        known[one] += 1
        once += chance * (1 - known.max() / (total + 1))
        for other in range(len(known)):
            further = chance * known[other] / (total + 1)
            known[other] += 1
            twice += further * (1 - known.max() / (total + 2))
            known[other] -= 1
        known[one] -= 1
    return float(max(0.0, before - once, (before - twice) / 2))


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
