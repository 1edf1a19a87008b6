"""A process that finds out by the past which of its modulations fits: no task id, and nothing of the future."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from curate.learners.events.batches import Batch
from curate.learners.events.modulated import ModulatedHawkes, ModulatedMemory
from curate.learners.events.process import PointProcess
from curate.learners.prompts.choices import Mixture, Picks
from curate.learners.prompts.pool import PoolShape, PromptPool
from curate.learners.prompts.queries import running_queries
from curate.learners.prompts.selection import Nearest


class RetrievedHawkes(PointProcess[ModulatedMemory]):
    """A `ModulatedHawkes` with a pool of modulations, which each position mixes by what happened before it.

    The query of a position is the mean, over the events before, of what the base showed just before each event, laid
    into the place of that event's type: which type follows on which state. Weights are the softmax of `sharpness` times
    the number of those events times the cosine with each key: the more is known, the surer is the choice. Before the
    first event all modulations weigh the same.

    The base is asked without modulation, so keys stay right as long as it does not learn. A position costs two passes
    of the base, and of each component a cosine and a share in the mixture.
    """

    def __init__(self, modulated: ModulatedHawkes, sharpness: float, seed: int) -> None:
        super().__init__(modulated.type_count, modulated.clock)
        self.modulated, self.sharpness = modulated, sharpness
        width = modulated.base.head.linear.weight.numel()
        self.pool: PromptPool[Picks] = PromptPool(
            PoolShape(width, (modulated.modulation,), spread=0.0), Nearest(1), seed=seed
        )
        self._told: int | None = None

    @contextmanager
    def told(self, component: int) -> Iterator[None]:
        """Use one component for every position for a while: to learn, or to see what retrieval costs."""
        self._told = component
        try:
            yield
        finally:
            self._told = None

    def encode(self, batch: Batch) -> ModulatedMemory:
        """Retrieve for each position what the events before it speak for, unless the component is told."""
        if self._told is not None:
            return self.modulated.encode(batch, self.pool.values[self._told])
        if not len(self.pool):
            return self.modulated.encode(batch)
        picks, shape = self._chosen(batch)
        known = torch.arange(shape[1], device=batch.lengths.device).repeat(shape[0])
        weights = (self.sharpness * known[:, None] * picks.similarities).softmax(dim=1)
        return self.modulated.encode(batch, Mixture(weights).read(self.pool.values).view(*shape, -1))

    def queries(self, batch: Batch) -> torch.Tensor:
        """Return the query of each position, which knows of the events before it: (sequences, positions, width)."""
        base = self.modulated.base
        with torch.no_grad():
            before = base.encode(batch).shown(batch.durations[..., None])[:, :-1, 0]
            types = nn.functional.one_hot(batch.types, self.type_count).to(before)
            laid = (types[..., None] * before[:, :, None]).flatten(2)
            return nn.functional.pad(running_queries(laid), (0, 0, 1, 0))

    def last_queries(self, batch: Batch) -> torch.Tensor:
        """Return the query behind each sequence's last event: (sequences, width)."""
        rows = torch.arange(len(batch.lengths), device=batch.lengths.device)
        return self.queries(batch)[rows, batch.lengths]

    def picks(self, batch: Batch) -> torch.Tensor:
        """Return the component that weighs most at each position: (sequences, positions)."""
        picks, shape = self._chosen(batch)
        return picks.indices.view(shape)

    def intensities(self, state: ModulatedMemory, elapsed: torch.Tensor) -> torch.Tensor:
        """See `ModulatedHawkes`."""
        return self.modulated.intensities(state, elapsed)

    def bounds(self, state: ModulatedMemory, elapsed: torch.Tensor) -> torch.Tensor:
        """See `ModulatedHawkes`."""
        return self.modulated.bounds(state, elapsed)

    def _chosen(self, batch: Batch) -> tuple[Picks, tuple[int, int]]:
        queries = self.queries(batch)
        return self.pool.choose(queries.flatten(0, 1)), (queries.shape[0], queries.shape[1])
