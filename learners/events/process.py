"""What likelihood, thinning and prediction need of a point process in torch, whatever its intensity is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import nn

from curate.errors import BadDataError
from curate.learners.events.batches import Batch, Clock
from curate.learners.events.quadrature import Rule
from curate.learners.events.sequences import EventSequences


class State(Protocol):
    """What a process knows at the beginning of intervals: of everything before, and of nothing after."""

    def at(self, positions: torch.Tensor) -> Self:
        """Return the state at some positions of each sequence, an int64 tensor of (sequences, positions)."""
        ...


Known = TypeVar("Known", bound=State)


class PointProcess(nn.Module, ABC, Generic[Known]):
    """A marked point process whose intensities follow from the events before; times are in ticks of its clock.

    Intervals are those of a `Batch`: what is known at position i is the events before i, and its intensities hold until
    event i. `elapsed` is the time since an interval's beginning, of shape (sequences, positions, times).
    """

    def __init__(self, type_count: int, clock: Clock) -> None:
        super().__init__()
        self.type_count, self.clock = type_count, clock

    @abstractmethod
    def encode(self, batch: Batch) -> Known:
        """Return what is known at the beginning of every interval."""

    @abstractmethod
    def intensities(self, state: Known, elapsed: torch.Tensor) -> torch.Tensor:
        """Return each type's intensity while no event comes: (sequences, positions, times, types)."""

    @abstractmethod
    def bounds(self, state: Known, elapsed: torch.Tensor) -> torch.Tensor:
        """Return what the sum of the intensities cannot exceed from then on, while no event comes; like `elapsed`."""

    def evaluate(self, state: Known, durations: torch.Tensor, rule: Rule) -> tuple[torch.Tensor, torch.Tensor]:
        """Return intensities at the end of each interval, and their integrals: (sequences, positions, types) both."""
        places, weights = rule.places(durations)
        elapsed = torch.cat([durations[..., None] * places, durations[..., None]], dim=2)
        found = self.intensities(state, elapsed)
        integrals = (found[:, :, :-1] * weights[..., None]).sum(dim=2) * durations[..., None]
        return found[:, :, -1], integrals

    def batch(self, sequences: EventSequences) -> Batch:
        """Put sequences on the process's clock and device.

        Raises:
            BadDataError: another unit, or more types than the process knows.
        """
        if sequences.type_count > self.type_count:
            raise BadDataError(f"the model knows {self.type_count} types of events, not {sequences.type_count}")
        return Batch.of(sequences, self.clock, next(self.parameters()))
