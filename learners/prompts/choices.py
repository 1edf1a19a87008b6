"""What a selection says about each item: components that it picks, or a weight for every component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch


class Choice(Protocol):
    """How the components were chosen for a batch of items, each item for itself."""

    def read(self, values: torch.Tensor) -> torch.Tensor:
        """Return the prompts of each item, from values of shape (components, ...)."""
        ...

    def uses(self) -> torch.Tensor:
        """Return how much each item used each component, at least 0: float64 of shape (items, components)."""
        ...


@dataclass(frozen=True, slots=True)
class Picks:
    """The numbers of the components picked for each item, the best first: (items, picked).

    `similarities` are the cosines with all keys, (items, components), through which keys can be taught.
    """

    indices: torch.Tensor
    similarities: torch.Tensor

    def read(self, values: torch.Tensor) -> torch.Tensor:
        """Return the picked values: shape (items, picked, ...), the same bits in every batch."""
        return values[self.indices]

    def uses(self) -> torch.Tensor:
        """Count one for each component that was picked."""
        none = torch.zeros(self.similarities.shape, dtype=torch.float64, device=self.indices.device)
        return none.scatter(1, self.indices, 1.0)

    def hits(self, components: torch.Tensor) -> torch.Tensor:
        """Say for each item whether its first pick is the component given for it: the quality of the retrieval."""
        return self.indices[:, 0] == components


@dataclass(frozen=True, slots=True)
class Mixture:
    """A weight of each component for each item, of either sign: (items, components)."""

    weights: torch.Tensor

    def read(self, values: torch.Tensor) -> torch.Tensor:
        """Return the weighted sums of all values: shape (items, ...), equal to rounding whatever the batch.

        CODA-Prompt (arXiv 2211.13218), section 4: P = sum over m of a_m P_m.
        """
        flat = self.weights @ values.flatten(start_dim=1)
        return flat.reshape(len(flat), *values.shape[1:])

    def uses(self) -> torch.Tensor:
        """Share one count among the components, by the size of their weights; none where all weights are zero."""
        sizes = self.weights.detach().abs().double()
        return sizes / sizes.sum(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
