"""What a continual learner is judged by. Libraries differ in these formulas, so each figure carries its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.errors import BadDataError
from curate.learners.label_map import columns_of
from curate.learners.numerics import Array, Floats

FORMULAS = {
    "accuracy": "share of items whose most probable class is the label",
    "final accuracy": "mean over j of R[T,j]",
    "average incremental accuracy": "mean over t of the mean over j<=t of R[t,j]",
    "forgetting": "mean over j<T of (max over j<=l<T of R[l,j]) - R[T,j]",
    "backward transfer": "mean over j<T of R[T,j] - R[j,j]",
    "forward transfer": "mean over j>1 of R[j-1,j] - b[j], b[j] = 1 / classes known before task j",
    "minimum accuracy": "mean over j<T of min over j<=l<=T of R[l,j]",
}
"""R[t,j] is the accuracy on task j after learning task t of T; every accuracy is a share in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A named figure with the formula by which it came about."""

    name: str
    value: float
    formula: str


def accuracy(probabilities: Floats, classes: tuple[str, ...], labels: Sequence[str]) -> float:
    """Return the share of items whose most probable class is the label; a label that is no class counts as wrong.

    Raises:
        BadDataError: no items, or not as many labels as items.
    """
    return float(_hits(probabilities, classes, labels).mean())


def accuracy_per_class(probabilities: Floats, classes: tuple[str, ...], labels: Sequence[str]) -> dict[str, float]:
    """Return the accuracy among the items of each label that occurs, by label in sorted order.

    Raises:
        BadDataError: no items, or not as many labels as items.
    """
    hits = _hits(probabilities, classes, labels)
    names = np.array(labels, dtype=np.str_)
    return {str(name): float(hits[names == name].mean()) for name in np.unique(names)}


def _hits(probabilities: Floats, classes: tuple[str, ...], labels: Sequence[str]) -> Array:
    if probabilities.shape != (len(labels), len(classes)) or not len(labels):
        shape = f"{probabilities.shape} for {len(labels)} labels and {len(classes)} classes"
        raise BadDataError(f"accuracy needs items, and probabilities of their shape, not {shape}")
    return np.asarray(probabilities.argmax(axis=1) == columns_of(classes, labels))


class AccuracyMatrix:
    """R[t,j], the accuracy on task j after learning task t, filled row by row; tasks not met yet are left out.

    >>> matrix = AccuracyMatrix()
    >>> matrix.add([1.0])
    >>> matrix.add([0.5, 0.9])
    >>> matrix.final_accuracy, matrix.forgetting, matrix.backward_transfer
    (0.7, 0.5, -0.5)
    """

    def __init__(self) -> None:
        self._rows: list[list[float]] = []
        self._ahead: list[float] = []

    def add(self, accuracies: Sequence[float], *, ahead: float | None = None, chance: float | None = None) -> None:
        """Add the row of one more task: the accuracies on all tasks so far, the new one last.

        `ahead` is the accuracy on the new task before it was learned, and `chance` what guessing among the classes that
        were known then would reach; without both the task does not count for the forward transfer.

        Raises:
            BadDataError: not one accuracy for each task so far.
        """
        if len(accuracies) != len(self._rows) + 1:
            message = f"row {len(self._rows) + 1} of an accuracy matrix needs as many values, not {len(accuracies)}"
            raise BadDataError(message, unchanged="the matrix")
        if self._rows and ahead is not None and chance is not None:
            self._ahead.append(ahead - chance)
        self._rows.append([float(value) for value in accuracies])

    @property
    def rows(self) -> tuple[tuple[float, ...], ...]:
        """The lower triangle of R, one row for each task learned."""
        return tuple(tuple(row) for row in self._rows)

    @property
    def final_accuracy(self) -> float:
        """The mean accuracy over all tasks at the end; NaN before the first."""
        return _mean(self._rows[-1] if self._rows else [])

    @property
    def average_incremental_accuracy(self) -> float:
        """The mean, over the time so far, of the mean accuracy over the tasks met by then; NaN before the first."""
        return _mean([_mean(row) for row in self._rows])

    @property
    def forgetting(self) -> float:
        """How far each earlier task has fallen from its best; NaN for a single task, and never negative by much."""
        last = len(self._rows) - 1
        return _mean([max(row[task] for row in self._rows[task:last]) - self._rows[last][task] for task in range(last)])

    @property
    def backward_transfer(self) -> float:
        """How much each earlier task has changed since it was learned; NaN for a single task."""
        last = len(self._rows) - 1
        return _mean([self._rows[last][task] - self._rows[task][task] for task in range(last)])

    @property
    def forward_transfer(self) -> float:
        """How far what was learned before helps with a new task (Lopez-Paz and Ranzato 2017); NaN where none was asked.

        Where every task brings classes of its own this is minus chance, for nobody names a class before it is met.
        """
        return _mean(self._ahead)

    @property
    def minimum_accuracy(self) -> float:
        """How low each earlier task has ever stood since it was learned (De Lange et al. 2023); NaN for one task."""
        last = len(self._rows) - 1
        return _mean([min(row[task] for row in self._rows[task:]) for task in range(last)])

    def metrics(self) -> tuple[Metric, ...]:
        """Return every figure that is defined so far, with its formula."""
        found = {
            "final accuracy": self.final_accuracy,
            "average incremental accuracy": self.average_incremental_accuracy,
            "forgetting": self.forgetting,
            "backward transfer": self.backward_transfer,
            "forward transfer": self.forward_transfer,
            "minimum accuracy": self.minimum_accuracy,
        }
        return tuple(Metric(name, value, FORMULAS[name]) for name, value in found.items() if not np.isnan(value))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
