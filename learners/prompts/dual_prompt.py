"""DualPrompt: general prefixes that all increments teach, and an expert prefix for each, found by its key."""

from __future__ import annotations

import torch

from curate.learners.prompts.choices import Picks
from curate.learners.prompts.key_loss import key_loss
from curate.learners.prompts.learner import Prompted, PromptLearner
from curate.learners.prompts.parameters import DualPromptParameters
from curate.learners.prompts.pool import PoolShape, PromptPool
from curate.learners.prompts.selection import Nearest
from curate.learners.prompts.transformer import PromptedTransformer, Prompts, by_layer


class DualPrompt(PromptLearner):
    """While learning an item gets its increment's expert, in `predict` the expert whose key is nearest to its query.

    With `means` the keys are not taught: each is the mean of its increment's queries.
    Source: Wang et al., ECCV 2022, arXiv 2204.04799.
    """

    name = "dual-prompt"

    def __init__(self, transformer: PromptedTransformer, parameters: DualPromptParameters | None = None) -> None:
        self.parameters = given = parameters or DualPromptParameters()
        super().__init__(transformer, given)
        self._prefixed_layers(given.general_layers + given.expert_layers)
        self.general = self._prefixes(given.general_layers, given.general_length)
        self.experts = self._prefixes(given.expert_layers, given.expert_length)

    def _prefixes(self, layers: int, length: int) -> PromptPool[Picks]:
        width = self._transformer.width
        shape = PoolShape(width, (layers, 2, length, width), spread=self.parameters.spread)
        return PromptPool(shape, Nearest(1), seed=self.parameters.seed)

    def _begin(self, queries: torch.Tensor) -> None:
        if not len(self.general):
            self.general.grow(1)
        self.experts.grow(1)
        if self.parameters.means:
            self.experts.follow(self.experts.live[0], queries)

    def _prompted(self, queries: torch.Tensor, *, learning: bool) -> Prompted:
        picks = self.experts.choose(queries)
        if learning:
            own = torch.full((len(queries),), self.experts.live[0])
            picks = self.experts.given(queries, own)
        first = self.parameters.general_layers
        general = self.general.values.expand(len(queries), *self.general.shape.value)
        expert = picks.read(self.experts.values)[:, 0]
        weight = 0.0 if self.parameters.means else self.parameters.key_weight
        return Prompted(
            Prompts(prefixes={**by_layer(general), **by_layer(expert, first)}), picks, weight * key_loss(picks)
        )

    def _pools(self) -> dict[str, PromptPool[Picks]]:
        return {"experts": self.experts, "general": self.general}
