"""A recurrent neural Hawkes process that a vector of modulations changes, at each position another if need be."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curate.learners.events.batches import Batch, Clock
from curate.learners.events.process import PointProcess
from curate.learners.events.recurrent import FadingMemory, RecurrentHawkes, RecurrentParameters


@dataclass(frozen=True, slots=True)
class ModulatedMemory:
    """What is remembered, and the head that reads it: weight (…, types, width), bias (…, types), … as in the memory."""

    fading: FadingMemory
    weight: torch.Tensor
    bias: torch.Tensor

    def at(self, positions: torch.Tensor) -> ModulatedMemory:
        """See `State`."""
        rows = torch.arange(len(positions), device=positions.device)[:, None]
        return ModulatedMemory(self.fading.at(positions), self.weight[rows, positions], self.bias[rows, positions])


class ModulatedHawkes(PointProcess[ModulatedMemory]):
    """A `RecurrentHawkes`, its `base`, with feature-wise linear modulation (Perez et al., AAAI 2018, arXiv 1709.07871).

    A modulation holds, one after the other, a scale and a shift for each number that an event gives to the gates, and
    what is added to the head's weight and bias. Zeros change nothing. It is of shape (modulation,), or of (sequences,
    positions, modulation) where what is known at a position decides; `encode` without one is the process as it is.
    """

    def __init__(self, type_count: int, clock: Clock, parameters: RecurrentParameters | None = None) -> None:
        super().__init__(type_count, clock)
        self.base = RecurrentHawkes(type_count, clock, parameters)

    @property
    def modulation(self) -> int:
        """How many numbers a modulation has."""
        return sum(self._sizes())

    def encode(self, batch: Batch, modulation: torch.Tensor | None = None) -> ModulatedMemory:
        """Go through the events one by one, all sequences together."""
        given = self.base.from_event(self.base.embedding(self.base.happened(batch)))
        chosen = given.new_zeros(self.modulation) if modulation is None else modulation
        scale, shift, weight, bias = torch.split(chosen, self._sizes(), dim=-1)
        head = self.base.head.linear
        shape = given.shape[:2]
        return ModulatedMemory(
            fading=self.base.remembered(given * (1 + scale) + shift, batch),
            weight=(head.weight + weight.view(*weight.shape[:-1], *head.weight.shape)).expand(*shape, -1, -1),
            bias=(head.bias + bias).expand(*shape, -1),
        )

    def intensities(self, state: ModulatedMemory, elapsed: torch.Tensor) -> torch.Tensor:
        """See `RecurrentHawkes`."""
        scores = state.fading.shown(elapsed) @ state.weight.transpose(2, 3) + state.bias[:, :, None]
        return self.base.head.positive(scores)

    def bounds(self, state: ModulatedMemory, elapsed: torch.Tensor) -> torch.Tensor:
        """See `RecurrentHawkes`."""
        low, high = state.fading.reach(elapsed)
        turned = state.weight.transpose(2, 3)
        scores = high @ turned.clamp(min=0) + low @ turned.clamp(max=0) + state.bias[:, :, None]
        return self.base.head.positive(scores).sum(dim=3)

    def _sizes(self) -> list[int]:
        gates, head = self.base.from_event.out_features, self.base.head.linear
        return [gates, gates, head.weight.numel(), head.bias.numel()]
