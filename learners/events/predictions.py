"""What is expected of the next event, and how well it was foreseen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.errors import BadDataError
from curate.learners.events.sequences import EventSequences
from curate.learners.numerics import Floats, Integers


@dataclass(frozen=True, slots=True)
class Predictions:
    """The time to the next event and its type, each in an array of the same shape, in the sequences' unit.

    mean_gaps: the mean of the possible gaps, the best guess in squared error. median_gaps: the best in absolute error.
    type_shares: the probability of each type, with (…, types). beyond: the share of draws that had no event up to the
    horizon; they count as gaps of that length, so where this is not 0 the means are too small.
    """

    mean_gaps: Floats
    median_gaps: Floats
    type_shares: Floats
    beyond: Floats

    @property
    def types(self) -> Integers:
        """The most probable type."""
        found: Integers = self.type_shares.argmax(axis=-1)
        return found


@dataclass(frozen=True, slots=True)
class Scores:
    """Share of wrong types; root mean square of the mean's, and mean absolute of the median's, errors, in the unit."""

    type_error: float
    root_mean_square: float
    mean_absolute: float
    events: int


def score(predictions: Predictions, sequences: EventSequences) -> Scores:
    """Compare predictions of every event, of shape (sequences, longest), with the events that are not given.

    Raises:
        BadDataError: no event is to be predicted.
    """
    counted = sequences.counted
    if not counted.any():
        raise BadDataError("every event of the sequences is given: there is none to predict")
    gaps = sequences.gaps[counted]
    return Scores(
        type_error=float(np.mean(predictions.types[counted] != sequences.types[counted])),
        root_mean_square=float(np.sqrt(np.mean((predictions.mean_gaps[counted] - gaps) ** 2))),
        mean_absolute=float(np.mean(np.abs(predictions.median_gaps[counted] - gaps))),
        events=int(counted.sum()),
    )
