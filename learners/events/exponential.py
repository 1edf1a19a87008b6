"""The Hawkes process with exponential kernels as a point process in torch: closed forms, and parameters to learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import nn

from curate.learners.events.batches import Batch, Clock
from curate.learners.events.hawkes import HawkesProcess
from curate.learners.events.process import PointProcess
from curate.learners.events.quadrature import Rule


@dataclass(frozen=True, slots=True)
class Excitement:
    """What earlier events add at the beginning of intervals: (sequences, positions, types, types)."""

    added: torch.Tensor

    def at(self, positions: torch.Tensor) -> Excitement:
        """See `State`."""
        rows = torch.arange(len(positions), device=positions.device)[:, None]
        return Excitement(self.added[rows, positions])


class ExponentialHawkes(PointProcess[Excitement]):
    """A `HawkesProcess`, whose closed forms the general code is checked with, and which can be learned by likelihood.

    The logarithms of base, weights and decays are its parameters, in ticks; it begins as the process that it is given.
    """

    def __init__(self, process: HawkesProcess, clock: Clock) -> None:
        super().__init__(process.type_count, clock)
        with np.errstate(divide="ignore"):
            self.log_base = nn.Parameter(torch.from_numpy(np.log(process.base * clock.tick)))
            self.log_weights = nn.Parameter(torch.from_numpy(np.log(process.weights)))
        self.log_decays = nn.Parameter(torch.from_numpy(np.log(process.decays * clock.tick)))

    @classmethod
    def fresh(cls, type_count: int, clock: Clock) -> Self:
        """Begin with types that all excite one another a little."""
        even = np.full((type_count, type_count), 0.5 / type_count)
        return cls(HawkesProcess(even[0] / clock.tick, even, np.full_like(even, 2 / clock.tick)), clock)

    def process(self) -> HawkesProcess:
        """Return the process in the unit of the times."""
        base, weights, decays = (part.detach().double().exp().numpy() for part in self.parameters())
        return HawkesProcess(base / self.clock.tick, weights, decays / self.clock.tick)

    def encode(self, batch: Batch) -> Excitement:
        """Let the excitement fade over each interval, and jump at each event."""
        jumps = (self.log_weights + self.log_decays).exp()
        decays = self.log_decays.exp()
        happened = nn.functional.one_hot(batch.types, self.type_count).to(jumps)
        added = jumps.new_zeros((len(batch.types), *jumps.shape))
        found = [added]
        for position in range(batch.types.shape[1]):
            faded = added * torch.exp(-decays * batch.durations[:, position, None, None])
            added = faded + jumps * happened[:, position, None]
            found.append(added)
        return Excitement(torch.stack(found, dim=1))

    def intensities(self, state: Excitement, elapsed: torch.Tensor) -> torch.Tensor:
        """See `HawkesProcess`."""
        fading = torch.exp(-self.log_decays.exp() * elapsed[..., None, None])
        return self.log_base.exp() + (state.added[:, :, None] * fading).sum(dim=4)

    def bounds(self, state: Excitement, elapsed: torch.Tensor) -> torch.Tensor:
        """Without events the intensities only fall."""
        return self.intensities(state, elapsed).sum(dim=3)

    def evaluate(self, state: Excitement, durations: torch.Tensor, rule: Rule) -> tuple[torch.Tensor, torch.Tensor]:
        """Integrate in closed form; the rule is not needed."""
        decays = self.log_decays.exp()
        faded = -torch.expm1(-decays * durations[..., None, None]) / decays
        integrals = self.log_base.exp() * durations[..., None] + (state.added * faded).sum(dim=3)
        return self.intensities(state, durations[..., None])[:, :, 0], integrals
