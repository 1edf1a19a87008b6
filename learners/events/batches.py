"""Event sequences as tensors on a model's clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from curate.errors import BadDataError
from curate.learners.events.sequences import EventSequences


@dataclass(frozen=True, slots=True)
class Clock:
    """What a model's time is counted in: `tick` of the sequences' unit, so that an event comes about every tick.

    Networks need times of about 1. Likelihoods and predictions are given in the unit, whatever the tick.
    """

    unit: str
    tick: float

    @classmethod
    def of(cls, sequences: EventSequences) -> Self:
        """Make the mean time between the events that are not given the tick; 1 where no time passes."""
        watched = np.arange(sequences.types.shape[1] + 1) >= sequences.given[:, None]
        whole, events = float((sequences.durations * watched).sum()), int(sequences.counted.sum())
        return cls(sequences.unit, whole / events if whole and events else 1.0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences of `length` events, and the `length` + 1 intervals before, between and behind them, in ticks.

    Interval 0 runs from the origin to event 0, interval i from event i - 1 to event i, and the one behind the last
    event to the end. The padding comes last and takes no time.

    types: int64 of shape (sequences, length). counted: the events that are not given. lengths: (sequences,).
    begins, durations: (sequences, length + 1), begins from the origin. watched: intervals that a likelihood is about.
    """

    types: torch.Tensor
    counted: torch.Tensor
    lengths: torch.Tensor
    begins: torch.Tensor
    durations: torch.Tensor
    watched: torch.Tensor

    @property
    def given(self) -> torch.Tensor:
        """How many events of each sequence are given: (sequences,)."""
        return self.lengths - self.counted.sum(dim=1)

    @classmethod
    def of(cls, sequences: EventSequences, clock: Clock, like: torch.Tensor) -> Self:
        """Put sequences on a clock; with the device and the precision of `like`. Gaps are taken in double precision.

        Raises:
            BadDataError: the sequences' unit is not the clock's.
        """
        if sequences.unit != clock.unit:
            raise BadDataError(f"the model's times are in {clock.unit!r}, those of the sequences in {sequences.unit!r}")
        durations = sequences.durations / clock.tick
        begins = np.pad((sequences.times - sequences.origin[:, None]) / clock.tick, ((0, 0), (1, 0)))
        intervals = np.arange(durations.shape[1])
        watched = (intervals >= sequences.given[:, None]) & (intervals <= sequences.lengths[:, None])
        return cls(
            types=torch.from_numpy(sequences.types).to(like.device),
            counted=torch.from_numpy(sequences.counted).to(like.device),
            lengths=torch.from_numpy(sequences.lengths).to(like.device),
            begins=torch.from_numpy(begins).to(like),
            durations=torch.from_numpy(durations).to(like),
            watched=torch.from_numpy(watched).to(like.device),
        )
