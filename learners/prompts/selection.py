"""The ways to choose components for an item: the nearest, the nearest of the rarely used, or all by soft attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch

from curate.errors import ConfigurationError
from curate.learners.prompts.choices import Choice, Mixture, Picks
from curate.learners.prompts.cosine import cosines

ChoiceType_co = TypeVar("ChoiceType_co", bound=Choice, covariant=True)


@dataclass(frozen=True, slots=True)
class Components:
    """What a selection may look at: keys (components, width), CODA's attention vectors alike, and shares of the use.

    `attention` is there in pools that have it, `shares` (components,) while the pool is learning.
    """

    keys: torch.Tensor
    attention: torch.Tensor | None = None
    shares: torch.Tensor | None = None


class Selection(Protocol[ChoiceType_co]):
    """Chooses for each item by its own query: there is no vote over a batch, which would tell an item its task."""

    def __call__(self, queries: torch.Tensor, components: Components) -> ChoiceType_co:
        """Choose for queries of shape (items, width)."""
        ...


@dataclass(frozen=True, slots=True)
class Nearest:
    """Picks the `picked` components whose keys have the largest cosine with the query; of equals, the first.

    L2P (arXiv 2112.08654), section 4.1, with its distance 1 - cos; each item picks for itself.

    Raises:
        ConfigurationError: nothing is to be picked, or more components than there are.
    """

    picked: int

    def __call__(self, queries: torch.Tensor, components: Components) -> Picks:
        """Choose for queries of shape (items, width)."""
        similarities = cosines(queries, components.keys)
        return Picks(_largest(similarities.detach(), self.picked), similarities)


@dataclass(frozen=True, slots=True)
class RarelyUsed:
    """Picks near components, and while learning prefers those that were used seldom, so that none takes all.

    L2P, section 4.2: K = argmin of the sum over picked m of (1 - cos(q, k_m)) * h_m, where h_m is the share of m in
    all picks so far. Its table begins at zeros, and then nothing but the order of the components decides among those
    never used; here each has been used once before the first item came. A pool that does not learn picks the nearest.

    Raises:
        ConfigurationError: nothing is to be picked, or more components than there are.
    """

    picked: int

    def __call__(self, queries: torch.Tensor, components: Components) -> Picks:
        """Choose for queries of shape (items, width)."""
        similarities = cosines(queries, components.keys)
        if components.shares is None:
            return Picks(_largest(similarities.detach(), self.picked), similarities)
        penalised = (1.0 - similarities.detach()) * components.shares
        return Picks(_largest(-penalised, self.picked), similarities)


@dataclass(frozen=True, slots=True)
class SoftAttention:
    """Weighs every component by how well its key fits what it attends to of the query.

    CODA-Prompt (arXiv 2211.13218), section 4: a_m = cos(q * A_m, K_m), with the product element by element.

    Raises:
        ConfigurationError: the pool has no attention vectors.
    """

    def __call__(self, queries: torch.Tensor, components: Components) -> Mixture:
        """Choose for queries of shape (items, width)."""
        if components.attention is None:
            raise ConfigurationError("soft attention needs a pool with attention vectors", hint="attended=True")
        return Mixture(cosines(queries[:, None] * components.attention, components.keys))


def _largest(scores: torch.Tensor, picked: int) -> torch.Tensor:
    if not 0 < picked <= scores.shape[1]:
        raise ConfigurationError(f"{picked} components cannot be picked from {scores.shape[1]}")
    return scores.sort(dim=1, descending=True, stable=True).indices[:, :picked]  # topk leaves ties to chance
