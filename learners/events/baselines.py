"""What knows nothing of a sequence: the most frequent type, the mean gap. They stand beside every model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from curate.learners.events.predictions import Predictions
from curate.learners.events.sequences import EventSequences
from curate.learners.numerics import Floats


@dataclass(frozen=True, slots=True)
class TrivialBaseline:
    """The same prediction for every event: how frequent each type was, and how long the gaps were before.

    type_shares: (types,). mean_gap, median_gap, and `rate`, events in a unit of watched time, are in the unit `unit`.
    As a density it is a Poisson process, which is what a model's likelihood must beat.
    """

    type_shares: Floats
    mean_gap: float
    median_gap: float
    rate: float
    unit: str

    @classmethod
    def fit(cls, sequences: EventSequences) -> Self:
        """Count the events that are not given; each type is counted once more, so that none is impossible."""
        counted = sequences.counted
        counts = np.bincount(sequences.types[counted], minlength=sequences.type_count) + 1.0
        gaps = sequences.gaps[counted]
        watched = float(_watched(sequences).sum())
        return cls(
            type_shares=counts / counts.sum(),
            mean_gap=float(gaps.mean()) if len(gaps) else 0.0,
            median_gap=float(np.median(gaps)) if len(gaps) else 0.0,
            rate=max(len(gaps), 1) / watched if watched else 0.0,
            unit=sequences.unit,
        )

    def predict(self, sequences: EventSequences) -> Predictions:
        """Predict every event alike; of shape (sequences, longest)."""
        shape = sequences.types.shape
        return Predictions(
            mean_gaps=np.full(shape, self.mean_gap),
            median_gaps=np.full(shape, self.median_gap),
            type_shares=np.broadcast_to(self.type_shares, (*shape, len(self.type_shares))),
            beyond=np.zeros(shape),
        )

    def log_likelihood(self, sequences: EventSequences) -> Floats:
        """Return each sequence's log-likelihood as a Poisson process: of shape (sequences,)."""
        with np.errstate(divide="ignore"):
            logs = np.log(self.rate * self.type_shares)[sequences.types]
        found: Floats = np.where(sequences.counted, logs, 0.0).sum(axis=1) - self.rate * _watched(sequences)
        return found


def _watched(sequences: EventSequences) -> Floats:
    """How long each sequence was watched behind what is given."""
    intervals = np.arange(sequences.types.shape[1] + 1) >= sequences.given[:, None]
    found: Floats = (sequences.durations * intervals).sum(axis=1)
    return found
