"""The claims about one attribute as arrays: who gave which value to which item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import BadDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Positions = NDArray[np.int64]
    Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Votes:
    """One row for each vote: position of its item, of its annotator and of its value, all int64 of one length.

    An annotator votes at most once on an item. Items without a vote are allowed, annotators without one too.

    Raises:
        BadDataError: lengths differ, a position lies outside its range, or somebody votes twice on one item.
    """

    item: Positions
    annotator: Positions
    value: Positions
    items: int
    annotators: int
    values: int

    def __post_init__(self) -> None:
        """Refuse what is no set of votes."""
        import numpy as np

        if not len(self.item) == len(self.annotator) == len(self.value):
            raise BadDataError("votes have items, annotators and values of different lengths")
        for name, column, size in self._ranges():
            if len(column) and not (column.min() >= 0 and column.max() < size):
                raise BadDataError(f"a vote's {name} lies outside of 0 to {size - 1}")
        if len(np.unique(self.item * max(self.annotators, 1) + self.annotator)) < len(self.item):
            raise BadDataError("an annotator votes twice on one item")

    def _ranges(self) -> list[tuple[str, Positions, int]]:
        return [
            ("item", self.item, self.items),
            ("annotator", self.annotator, self.annotators),
            ("value", self.value, self.values),
        ]

    def counts(self) -> NDArray[np.float64]:
        """Return how often each value was given to each item: float64 of shape (items, values)."""
        import numpy as np

        flat = np.bincount(self.item * self.values + self.value, minlength=self.items * self.values)
        result: NDArray[np.float64] = flat.reshape(self.items, self.values).astype(np.float64)
        return result

    def per_item(self) -> Positions:
        """Return the number of votes on each item."""
        import numpy as np

        return np.bincount(self.item, minlength=self.items)

    def confusion(self, posterior: Probabilities) -> NDArray[np.float64]:
        """Return expected counts (annotators, true value, given value) under a posterior of shape (items, values)."""
        import numpy as np

        shape = (self.annotators * self.values, self.values)
        given = np.zeros(shape)
        cell = self.annotator * self.values + self.value
        for true in range(self.values):
            given[:, true] = np.bincount(cell, posterior[self.item, true], minlength=shape[0])
        return given.reshape(self.annotators, self.values, self.values).transpose(0, 2, 1)

    def evidence(self, log_likelihood: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum log p(given | true) over each item's votes: (annotators, true, given) becomes (items, values)."""
        import numpy as np

        by_cell = log_likelihood.transpose(0, 2, 1).reshape(-1, self.values)
        weights = by_cell[self.annotator * self.values + self.value]
        summed = [np.bincount(self.item, weights[:, true], minlength=self.items) for true in range(self.values)]
        return np.stack(summed, axis=1) if summed else np.zeros((self.items, 0))


@dataclass(frozen=True, slots=True)
class Consensus:
    """What was drawn from votes: a posterior of shape (items, values) and each annotator's estimated accuracy."""

    method: str
    posterior: Probabilities
    skill: NDArray[np.float64]

    @property
    def value(self) -> Positions:
        """The position of each item's most probable value; the first of equals."""
        best: Any = self.posterior.argmax(axis=1)
        return best  # type: ignore[no-any-return]


def normalised(weights: NDArray[np.float64]) -> Probabilities:
    """Divide each row by its sum; a row without weight becomes uniform."""
    import numpy as np

    totals = weights.sum(axis=1, keepdims=True)
    uniform = np.full_like(weights, 1 / max(weights.shape[1], 1))
    result: Probabilities = np.divide(weights, totals, out=uniform, where=totals > 0)
    return result


def from_logarithms(logarithms: NDArray[np.float64]) -> Probabilities:
    """Return the softmax of each row."""
    import numpy as np

    shifted = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    result: Probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return result
