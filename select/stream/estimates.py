"""What a stream's labels tell of the model: an accuracy that the choice of questions does not bias, and its growth.

A model is judged by what it said of an item before the item's label came (prequentially). Questions are chosen where it
is unsure, so the share of right guesses among them is far below its accuracy; weighing each by one over its propensity
undoes that (Horvitz and Thompson 1952; self-normalised as Hájek 1971; importance-weighted active learning, Beygelzimer,
Dasgupta and Langford 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.errors import BadDataError
from curate.statistics import Interval, wilson_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Booleans = NDArray[np.bool_]
    Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a run of labels bought: the accuracy while they came, and its gain over the labels before, in shares.

    `labels` is how many were answered by its end; both figures are None where no label among them was drawn by chance.
    """

    labels: int
    accuracy: Interval | None
    gain: float | None


def weighted_accuracy(right: Booleans, reasons: Sequence[str], propensities: Numbers) -> Interval | None:
    """Return the accuracy over all items from those that were asked about, with a 95 % interval.

    Where some were asked about at random whatever their utility, these alone count: what was asked about for its
    utility says nothing of items that were not, for it was bound to be asked. Otherwise all count that were drawn with
    a probability by their utility, each weighing one over it. The interval is Wilson's at the effective number of
    labels, (sum w)^2 / sum w^2. None where nothing was left to chance: then no weight can undo the choice.

    Args:
        right: whether the model had guessed right, bool of shape (labels,).
        reasons: why each was asked about; see `curate.select.stream.budgets.REASONS`.
        propensities: in (0, 1], of the same shape.

    Raises:
        BadDataError: lengths differ, or a propensity is not in (0, 1].

    >>> import numpy as np
    >>> right = np.array([True, True, False, False])
    >>> weighted_accuracy(right, ["utility"] * 4, np.array([0.1, 0.1, 0.5, 0.5])).value.__round__(3)
    0.833
    >>> weighted_accuracy(right, ["utility"] * 4, np.ones(4)) is None
    True
    """
    import numpy as np

    if not len(right) == len(reasons) == len(propensities) or ((propensities <= 0) | (propensities > 1)).any():
        raise BadDataError("each label has a reason and a propensity in (0, 1]", unchanged="nothing was estimated")
    named = np.array(reasons, dtype=object)
    drawn = named == ("random" if "random" in reasons else "utility")
    if not drawn.any() or (propensities[drawn] == 1).all():
        return None
    weights = 1 / propensities[drawn]
    value = float((weights * right[drawn]).sum() / weights.sum())
    size = int(weights.sum() ** 2 / (weights**2).sum() + 1e-9)
    bounds = wilson_interval(round(value * size), size)
    return Interval(low=min(value, bounds.low), value=value, high=max(value, bounds.high))


def purchases(right: Booleans, reasons: Sequence[str], propensities: Numbers, each: int = 100) -> list[Purchase]:
    """Return what every `each` labels bought, in their order: the marginal value of a label is a gain over `each`.

    A rest of fewer labels is left out. With drift a gain says what the labels were worth less what the stream took.
    """
    found: list[Purchase] = []
    for start in range(0, len(right) - each + 1, each):
        part = slice(start, start + each)
        accuracy = weighted_accuracy(right[part], reasons[part], propensities[part])
        before = found[-1].accuracy if found else None
        gain = accuracy.value - before.value if accuracy and before else None
        found.append(Purchase(start + each, accuracy, gain))
    return found
