"""CODA-Prompt: prefixes that are weighted sums of components, with a new slice of them for each increment."""

from __future__ import annotations

import torch

from curate.learners.prompts.choices import Mixture
from curate.learners.prompts.learner import Prompted, PromptLearner
from curate.learners.prompts.orthogonality import orthogonality_penalty
from curate.learners.prompts.parameters import CodaPromptParameters
from curate.learners.prompts.pool import PoolShape, PromptPool
from curate.learners.prompts.selection import SoftAttention
from curate.learners.prompts.transformer import PromptedTransformer, Prompts

_APART = 1_000_003
"""Between the seeds of two layers."""


class CodaPrompt(PromptLearner):
    """Every component weighs in for every item; those of earlier increments are frozen to the bit.

    Each layer has components of its own, and all layers are asked with the same query. A new slice begins orthogonal to
    all before it, so `spread` is not used.
    Source: Smith et al., CVPR 2023, arXiv 2211.13218.
    """

    name = "coda-prompt"

    def __init__(self, transformer: PromptedTransformer, parameters: CodaPromptParameters | None = None) -> None:
        self.parameters = given = parameters or CodaPromptParameters()
        super().__init__(transformer, given)
        width = transformer.width
        shape = PoolShape(width, (2, given.length, width), attended=True, start="orthogonal")
        self.pools: tuple[PromptPool[Mixture], ...] = tuple(
            PromptPool(shape, SoftAttention(), seed=given.seed + _APART * layer)
            for layer in range(self._prefixed_layers(given.layers))
        )

    def _begin(self, queries: torch.Tensor) -> None:
        for pool in self.pools:
            pool.grow(self.parameters.components)

    def _prompted(self, queries: torch.Tensor, *, learning: bool) -> Prompted:
        mixtures = [pool.choose(queries) for pool in self.pools]
        read = [mixture.read(pool.values) for mixture, pool in zip(mixtures, self.pools, strict=True)]
        return Prompted(Prompts(prefixes=dict(enumerate(read))), mixtures[0], self._penalty())

    def _penalty(self) -> torch.Tensor:
        if not self.parameters.orthogonality:
            return torch.zeros(())
        parts = [part for pool in self.pools for part in (pool.keys, pool.values, pool.attention) if part is not None]
        return self.parameters.orthogonality * torch.stack([orthogonality_penalty(part) for part in parts]).sum()

    def _pools(self) -> dict[str, PromptPool[Mixture]]:
        return {f"layer-{layer}": pool for layer, pool in enumerate(self.pools)}
