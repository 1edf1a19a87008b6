"""An attentive neural Hawkes process with prompts from a pool, chosen by what is given of a sequence."""

from __future__ import annotations

import torch

from curate.learners.events.attentive import AttentiveHawkes, Recollection
from curate.learners.events.batches import Batch
from curate.learners.events.process import PointProcess
from curate.learners.prompts.choices import Picks
from curate.learners.prompts.key_loss import key_loss
from curate.learners.prompts.pool import PoolShape, PromptPool
from curate.learners.prompts.queries import mean_query
from curate.learners.prompts.selection import Nearest


class PromptedHawkes(PointProcess[Recollection]):
    """The model of PromptTPP (Xue et al., NeurIPS 2023, arXiv 2310.04993) over an `AttentiveHawkes`, its `base`.

    The query of a sequence is the mean of its embedded events, types beside the codes of their times, over those that
    are given. The `picked` components with the largest cosines stand before the events in each layer: their structural
    part, learned for each layer, beside the temporal one, the code of when the next event is expected: the last given
    event's time and the mean gap up to it.

    Only positions behind what is given see prompts, so that no event changes anything before itself; in the released
    code it does. A sequence of which nothing is given has a query of zeros.
    """

    def __init__(self, base: AttentiveHawkes, *, components: int, picked: int, length: int, seed: int) -> None:
        super().__init__(base.type_count, base.clock)
        self.base = base
        sizes = base.sizes
        shape = PoolShape(sizes.width + sizes.time_width, (sizes.layers, length, sizes.width))
        self.pool: PromptPool[Picks] = PromptPool(shape, Nearest(picked), seed=seed)
        self.components = components
        self.last_key_loss = torch.zeros(())

    def encode(self, batch: Batch) -> Recollection:
        """Choose prompts for each sequence, count their use while learning, and remember every event."""
        if not len(self.pool):
            return self.base.encode(batch)
        picks = self.pool.choose(self.queries(batch))
        if self.training:
            self.pool.record(picks)
            self.last_key_loss = key_loss(picks)
        return self.base.encode(batch, self._prefix(picks, batch), batch.given)

    def queries(self, batch: Batch) -> torch.Tensor:
        """Return each sequence's query: (sequences, width + time_width)."""
        events = torch.cat([self.base.embedding(batch.types), self.base.code(batch.begins[:, 1:])], dim=2)
        given = torch.arange(batch.types.shape[1], device=batch.types.device) < batch.given[:, None]
        return mean_query(events.detach(), given)

    def intensities(self, state: Recollection, elapsed: torch.Tensor) -> torch.Tensor:
        """See `AttentiveHawkes`."""
        return self.base.intensities(state, elapsed)

    def bounds(self, state: Recollection, elapsed: torch.Tensor) -> torch.Tensor:
        """See `AttentiveHawkes`."""
        return self.base.bounds(state, elapsed)

    def _prefix(self, picks: Picks, batch: Batch) -> torch.Tensor:
        structural = picks.read(self.pool.values).transpose(1, 2).flatten(2, 3)
        given = batch.given[:, None]
        expected = batch.begins.gather(1, given) * (1 + 1 / given.clamp(min=1))
        temporal = self.base.code(expected)[:, :, None].expand(*structural.shape[:3], -1)
        return torch.cat([structural, temporal], dim=3)
