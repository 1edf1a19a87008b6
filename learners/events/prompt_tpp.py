"""PromptTPP: prompts and network are taught in turns, increment by increment, and no past event is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from curate.errors import ConfigurationError
from curate.learners.events.attentive import AttentiveHawkes, AttentiveParameters
from curate.learners.events.batches import Clock
from curate.learners.events.learner import EventLearner, EventParameters, network_arrays, restore_network
from curate.learners.events.prompted import PromptedHawkes
from curate.learners.events.sequences import EventSequences
from curate.learners.events.training import fit
from curate.learners.numerics import Array
from curate.learners.prompts.first_keys import keys_among


@dataclass(frozen=True, slots=True)
class PromptTPPParameters(EventParameters):
    """The released sizes: 10 components of 5 tokens, of which 5 are picked, and the key loss's weight of 0.1.

    history: where an increment has less given, so many of each sequence's first events are, for without them there is
    no query. Raises ConfigurationError where more are picked than there are.
    """

    time_width: int = 16
    layers: int = 2
    heads: int = 2
    components: int = 10
    picked: int = 5
    length: int = 5
    key_weight: float = 0.1
    history: int = 10

    def __post_init__(self) -> None:
        EventParameters.__post_init__(self)
        self.require_positive("components", "picked", "length", "history")
        if self.picked > self.components:
            raise ConfigurationError("the learner's parameter picked must be at most its components")


class PromptTPP(EventLearner[PromptedHawkes]):
    """Xue et al., NeurIPS 2023, arXiv 2310.04993, as described there, which the released code is not.

    The first increment teaches the network without prompts. Then passes teach the pool, with its keys, and the network
    in turns, each with an optimiser of its own. Keys begin among the first increment's queries rather than at random,
    where one or two would take all.

    `evenness` logs for each increment how evenly it used the components, from 0 to 1.
    """

    name = "prompt-tpp"

    def __init__(self, type_count: int, parameters: PromptTPPParameters | None = None) -> None:
        self.parameters = parameters or PromptTPPParameters()
        super().__init__(type_count, self.parameters)
        self.evenness: list[float] = []

    def _made(self, clock: Clock) -> PromptedHawkes:
        given = self.parameters
        sizes = AttentiveParameters(
            width=given.width, time_width=given.time_width, layers=given.layers, heads=given.heads, seed=given.seed
        )
        base = AttentiveHawkes(self.type_count, clock, sizes)
        return PromptedHawkes(
            base, components=given.components, picked=given.picked, length=given.length, seed=given.seed
        )

    def _learn(self, process: PromptedHawkes, increment: EventSequences) -> None:
        enough = np.maximum(increment.given, self.parameters.history)
        given = replace(increment, given=np.minimum(enough, increment.lengths))
        process.train()
        if not len(process.pool):
            fit(process, increment, self._training(), turns=[list(process.base.parameters())])
            self._begin(process, given)
        if given.counted.any():
            self._take_turns(process, given)
        process.eval()

    def _take_turns(self, process: PromptedHawkes, given: EventSequences) -> None:
        process.pool.usage.reset()
        turns = [list(process.pool.parameters()), list(process.base.parameters())]
        parameters = replace(self._training(), passes=self.parameters.passes)
        fit(process, given, parameters, turns=turns, penalty=lambda: self._key_loss(process))
        self.evenness.append(process.pool.usage.evenness())

    def _key_loss(self, process: PromptedHawkes) -> torch.Tensor:
        return self.parameters.key_weight * process.last_key_loss

    def _begin(self, process: PromptedHawkes, given: EventSequences) -> None:
        queries = process.queries(process.batch(given)).numpy()
        count = self.parameters.components
        generator = np.random.default_rng(self.parameters.seed)
        process.pool.grow(count, keys=keys_among(queries, count, generator) if len(queries) >= count else None)

    def _arrays(self, process: PromptedHawkes) -> dict[str, Array]:
        pool = {f"pool/{name}": array for name, array in process.pool.arrays().items()}
        return {**network_arrays(process), **pool, "evenness": np.array(self.evenness)}

    def _restore(self, process: PromptedHawkes, arrays: Mapping[str, Array]) -> None:
        restore_network(process, arrays)
        process.pool.restore(
            {name.removeprefix("pool/"): array for name, array in arrays.items() if name.startswith("pool/")}
        )
        process.eval()
        self.evenness = arrays["evenness"].tolist()
