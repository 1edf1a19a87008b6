"""How evenly the components are used: a pool in which two of many take all has learned little."""

from __future__ import annotations

import math

import torch
from torch import nn

from curate.learners.prompts.choices import Choice


class Usage(nn.Module):
    """Counts what was chosen, in float64: exact for picks."""

    counts: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(0, dtype=torch.float64))

    def record(self, choice: Choice) -> None:
        """Count the uses of a batch; how items are cut into batches makes no difference."""
        self.counts += choice.uses().sum(dim=0)

    def grow(self, components: int) -> None:
        """Make room for new components, never used."""
        self.counts = torch.cat([self.counts, self.counts.new_zeros(components)])

    def reset(self) -> None:
        """Begin to count anew, for an increment or a test of its own."""
        self.counts = torch.zeros_like(self.counts)

    def shares(self) -> torch.Tensor:
        """Return each component's share of all uses, as if each had been used once more: (components,), sum 1."""
        return (self.counts + 1.0) / (self.counts.sum() + len(self.counts))

    def entropy(self) -> float:
        """Return the entropy of the uses in nats, from 0 (one takes all) to the logarithm of the components' number."""
        used = self.counts[self.counts > 0]
        if not len(used):
            return 0.0
        shares = used / used.sum()
        return min(max(0.0, -float((shares * shares.log()).sum())), math.log(len(self.counts)))

    def evenness(self) -> float:
        """Return the entropy as a share of its maximum, from 0 to 1; the only component of a pool is evenly used."""
        return self.entropy() / math.log(len(self.counts)) if len(self.counts) > 1 else 1.0

    def unused(self) -> int:
        """Count the components that nothing has used."""
        return int((self.counts == 0).sum())
