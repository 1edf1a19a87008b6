"""The neural Hawkes process: a recurrent network whose memory fades between events."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from curate.learners.events.batches import Batch, Clock
from curate.learners.events.intensity import IntensityHead
from curate.learners.events.process import PointProcess
from curate.learners.events.recurrence import run_through
from curate.learners.parameters import Parameters

_GATES = 7


@dataclass(frozen=True, slots=True)
class RecurrentParameters(Parameters):
    """`width`: how many numbers the network remembers, and how many stand for a type of event."""

    width: int = 32

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("width")


@dataclass(frozen=True, slots=True)
class FadingMemory:
    """Memory right after events, what it fades to, how fast, and what of it shows: (sequences, positions, width)."""

    memory: torch.Tensor
    target: torch.Tensor
    decay: torch.Tensor
    output: torch.Tensor

    def at(self, positions: torch.Tensor) -> FadingMemory:
        """See `State`."""
        rows = torch.arange(len(positions), device=positions.device)[:, None]
        return FadingMemory(*(part[rows, positions] for part in self.parts()))

    def parts(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the four tensors in order."""
        return self.memory, self.target, self.decay, self.output

    def shown(self, elapsed: torch.Tensor) -> torch.Tensor:
        """Return h after so long a time: (sequences, positions, times, width)."""
        memory, target, decay, output = (part[:, :, None] for part in self.parts())
        return output * torch.tanh(torch.lerp(target, memory, torch.exp(-decay * elapsed[..., None])))

    def reach(self, elapsed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the least and the greatest that each number of h can be from then on."""
        now, last = self.shown(elapsed), (self.output * torch.tanh(self.target))[:, :, None]
        return torch.minimum(now, last), torch.maximum(now, last)


class RecurrentHawkes(PointProcess[FadingMemory]):
    """The continuous-time LSTM of Mei and Eisner (NeurIPS 2017, arXiv 1612.09328), equations 4 to 7.

    Between events memory c fades to its target c̄: c(t) = c̄ + (c - c̄) exp(-δ (t - t_i)), and h(t) = o tanh c(t) shows.
    An event of type k, embedded as x, and h(t_i) give seven gates, four of which, i and f, ī and f̄, set c and c̄ anew:
    c ← f c(t_i) + i z and c̄ ← f̄ c̄ + ī z. The origin counts as an event of a type of its own.
    """

    def __init__(self, type_count: int, clock: Clock, parameters: RecurrentParameters | None = None) -> None:
        super().__init__(type_count, clock)
        chosen = parameters or RecurrentParameters()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(chosen.seed)
            self.embedding = nn.Embedding(type_count + 1, chosen.width)
            self.from_event = nn.Linear(chosen.width, _GATES * chosen.width)
            self.from_memory = nn.Linear(chosen.width, _GATES * chosen.width, bias=False)
            self.head = IntensityHead(chosen.width, type_count)

    def encode(self, batch: Batch) -> FadingMemory:
        """Go through the events one by one, all sequences together."""
        return self.remembered(self.from_event(self.embedding(self.happened(batch))), batch)

    def happened(self, batch: Batch) -> torch.Tensor:
        """Return the type of the event that begins each interval, the origin's own for the first."""
        return nn.functional.pad(batch.types, (1, 0), value=self.type_count)

    def remembered(self, given: torch.Tensor, batch: Batch) -> FadingMemory:
        """Return what is remembered where events give so much to the gates: (sequences, positions, 7 · width)."""
        durations = batch.durations.T[..., None]
        pairs, decay, output = run_through(given.transpose(0, 1), self.from_memory.weight, durations)
        memory, target = pairs.transpose(0, 1).chunk(2, dim=2)
        return FadingMemory(memory, target, decay.transpose(0, 1), output.transpose(0, 1))

    def intensities(self, state: FadingMemory, elapsed: torch.Tensor) -> torch.Tensor:
        """See the class."""
        found: torch.Tensor = self.head(state.shown(elapsed))
        return found

    def bounds(self, state: FadingMemory, elapsed: torch.Tensor) -> torch.Tensor:
        """Each number of h moves one way only, to o tanh c̄: it stays between (Mei and Eisner, appendix B.3)."""
        return self.head.bounds(*state.reach(elapsed))
