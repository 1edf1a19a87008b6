"""The attentive neural Hawkes process: at any time it looks back at the events before, and at nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn

from curate.errors import ConfigurationError
from curate.learners.events.attention import AttentionLayer, LayerMemory, reach
from curate.learners.events.batches import Batch, Clock
from curate.learners.events.intensity import IntensityHead
from curate.learners.events.process import PointProcess
from curate.learners.events.time_code import TimeCode
from curate.learners.parameters import Parameters


@dataclass(frozen=True, slots=True)
class AttentiveParameters(Parameters):
    """`width` of a state, `time_width` of the code of a time (even), `layers`, and `heads` that share the width.

    Raises:
        ConfigurationError: a value out of range.
    """

    width: int = 32
    time_width: int = 16
    layers: int = 2
    heads: int = 2

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("width", "time_width", "layers", "heads")
        if self.width % self.heads or self.time_width % 2:
            raise ConfigurationError("width must be a multiple of heads, and time_width even")


@dataclass(frozen=True, slots=True)
class Recollection:
    """Each layer's memory, and up to which of its places each position sees: (1 or sequences, positions).

    begins: when each position's interval begins, in ticks from the origin: (sequences, positions).
    prompts: how many places, from place 1 on, hold prompts; prompted: which positions see them, (1 or sequences,
    positions).
    """

    layers: Sequence[LayerMemory]
    seen_until: torch.Tensor
    begins: torch.Tensor
    prompts: int
    prompted: torch.Tensor

    def at(self, positions: torch.Tensor) -> Recollection:
        """See `State`."""
        seen, prompted = (
            part.expand(len(positions), -1).gather(1, positions) for part in (self.seen_until, self.prompted)
        )
        return replace(self, seen_until=seen, prompted=prompted, begins=self.begins.gather(1, positions))

    def seen(self, times: int) -> torch.Tensor:
        """Return what may be seen from `times` times in each position, as `AttentionLayer` wants it."""
        places = torch.arange(self.layers[0].keys.shape[2], device=self.begins.device)
        own = (places == 0) | (places > self.prompts) | self.prompted[..., None]
        return ((places <= self.seen_until[..., None]) & own).repeat_interleave(times, dim=1)


class AttentiveHawkes(PointProcess[Recollection]):
    """The attentive neural Hawkes process of Yang, Mei and Eisner (ICLR 2022, arXiv 2201.00044).

    In each layer events look at the events before them, and a moment at the events before it, each with the code of its
    time. As in the authors' fast code, all types share a moment's state, which begins as a learned vector; the paper
    has one for each type. The origin counts as an event of a type of its own. Events are encoded once, however many
    moments ask.

    A `prefix` of shape (1 or sequences, layers, tokens, width + time_width) stands before the events in each layer's
    memory: prompts, as states with the codes of their times. Positions of a sequence see them from `prompted_from` on,
    of shape (sequences,): what prompts were chosen by is known there, and not before.
    """

    def __init__(self, type_count: int, clock: Clock, parameters: AttentiveParameters | None = None) -> None:
        super().__init__(type_count, clock)
        self.sizes = parameters or AttentiveParameters()
        width, time_width = self.sizes.width, self.sizes.time_width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.sizes.seed)
            self.embedding = nn.Embedding(type_count + 1, width)
            self.code = TimeCode(time_width)
            self.start = nn.Parameter(torch.zeros(width))
            layers = (AttentionLayer(width, time_width, self.sizes.heads) for _ in range(self.sizes.layers))
            self.layers = nn.ModuleList(layers)
            self.head = IntensityHead(width, type_count)

    def encode(
        self, batch: Batch, prefix: torch.Tensor | None = None, prompted_from: torch.Tensor | None = None
    ) -> Recollection:
        """Remember every event in every layer, each knowing of those before it."""
        states = self.embedding(nn.functional.pad(batch.types, (1, 0), value=self.type_count))
        codes = self.code(batch.begins)
        front = 0 if prefix is None else prefix.shape[2]
        places = torch.arange(states.shape[1], device=states.device)[None]
        until = places + front + 1
        prompted = (
            torch.ones_like(places, dtype=torch.bool) if prompted_from is None else places >= prompted_from[:, None]
        )
        found: list[LayerMemory] = []
        for number, layer in enumerate(self._attention()):
            tokens = torch.cat([states, codes], dim=2)
            if prefix is not None:
                tokens = torch.cat([prefix[:, number].expand(len(tokens), -1, -1), tokens], dim=1)
            found.append(layer.remember(tokens))
            if number + 1 < self.sizes.layers:
                before = Recollection(found, until - 1, batch.begins, front, prompted).seen(1)
                states = layer(states, codes, found[-1], before)
        return Recollection(found, until, batch.begins, front, prompted)

    def intensities(self, state: Recollection, elapsed: torch.Tensor) -> torch.Tensor:
        """Ask every layer in turn."""
        sequences, positions, times = elapsed.shape
        codes = self.code(state.begins[..., None] + elapsed).flatten(1, 2)
        moments = self.start.expand(sequences, positions * times, -1)
        seen = state.seen(times)
        for layer, memory in zip(self._attention(), state.layers, strict=True):
            moments = layer(moments, codes, memory, seen)
        found: torch.Tensor = self.head(moments).unflatten(1, (positions, times))
        return found

    def bounds(self, state: Recollection, elapsed: torch.Tensor) -> torch.Tensor:
        """Add up between which bounds each layer's step lies: the same from an interval's beginning on."""
        reaches = [reach(memory, state.seen_until) for memory in state.layers]
        low, high = (self.start + sum(steps) for steps in zip(*reaches, strict=True))
        return self.head.bounds(low, high)[..., None].expand(elapsed.shape)

    def _attention(self) -> list[AttentionLayer]:
        return cast(list[AttentionLayer], list(self.layers))
