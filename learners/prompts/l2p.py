"""L2P: a pool of prompt tokens, of which each item picks the nearest, put before its own."""

from __future__ import annotations

import torch

from curate.learners.prompts.choices import Picks
from curate.learners.prompts.first_keys import keys_among
from curate.learners.prompts.key_loss import key_loss
from curate.learners.prompts.learner import Prompted, PromptLearner
from curate.learners.prompts.parameters import L2PParameters
from curate.learners.prompts.pool import PoolShape, PromptPool
from curate.learners.prompts.selection import Nearest, RarelyUsed
from curate.learners.prompts.transformer import PromptedTransformer, Prompts


class L2P(PromptLearner):
    """Learning to Prompt: all increments teach one pool, and the head reads the mean of the prompts' own tokens.

    Unlike the released code, the keys begin among the first increment's queries, components that were used seldom are
    preferred while learning (its section 4.2, off there), and no vote over a batch picks.
    Source: Wang et al., CVPR 2022, arXiv 2112.08654.
    """

    name = "l2p"

    def __init__(self, transformer: PromptedTransformer, parameters: L2PParameters | None = None) -> None:
        self.parameters = given = parameters or L2PParameters()
        super().__init__(transformer, given)
        shape = PoolShape(transformer.width, (given.length, transformer.width), spread=given.spread)
        selection = RarelyUsed(given.picked) if given.rarely else Nearest(given.picked)
        self.pool: PromptPool[Picks] = PromptPool(shape, selection, seed=given.seed)

    def _begin(self, queries: torch.Tensor) -> None:
        count = self.parameters.components
        if not len(self.pool):
            enough = len(queries) >= count
            self.pool.grow(count, keys=keys_among(queries.numpy(), count, self._generator) if enough else None)

    def _prompted(self, queries: torch.Tensor, *, learning: bool) -> Prompted:
        picks = self.pool.choose(queries)
        tokens = picks.read(self.pool.values).flatten(start_dim=1, end_dim=2)
        return Prompted(Prompts(tokens), picks, self.parameters.key_weight * key_loss(picks))

    def _read(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens[:, : self.parameters.picked * self.parameters.length].mean(dim=1)

    def _pools(self) -> dict[str, PromptPool[Picks]]:
        return {"pool": self.pool}
