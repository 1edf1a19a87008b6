"""What L2P, DualPrompt and CODA-Prompt share as learners: a frozen transformer, pools, a head, and class masks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from curate.errors import ConfigurationError
from curate.learners.base import BaseLearner
from curate.learners.inputs import checked_features
from curate.learners.numerics import Array, Features, Floats, Integers, shuffled_batches, softmax
from curate.learners.prompts.choices import Choice
from curate.learners.prompts.parameters import PromptParameters
from curate.learners.prompts.pool import PromptPool
from curate.learners.prompts.queries import class_query
from curate.learners.prompts.transformer import PromptedTransformer, Prompts
from curate.learners.prompts.usage import Usage

ITEMS_AT_ONCE = 16
"""Items go through the transformer in batches of just this size, filled up: no item's prediction depends on others."""
_LEAST_VARIANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Prompted:
    """The prompts for a batch, how the pool's components were chosen for it, and what the choice adds to the loss."""

    prompts: Prompts
    choice: Choice
    loss: torch.Tensor


class PromptLearner(BaseLearner):
    """Teaches prompts for a frozen transformer, and a linear head on what it then says.

    An increment with classes never met begins a part of the pool, as the subclass says; another one goes on teaching
    what is live. The loss compares the classes of the increment only (the papers' class mask), so no head row of
    another class ever moves. `predict` compares all classes, each item for itself and without a task id.
    With `mean_head` a new row begins as m / v, with a bias of -m'm / 2v, where m is its class's mean and v the variance
    within classes, of what is read before the increment is taught: an equal Gaussian for each class.

    Costs two passes without gradient of each item, and a forward and a backward pass for each of `passes`.
    """

    def __init__(self, transformer: PromptedTransformer, parameters: PromptParameters) -> None:
        super().__init__(parameters, bound_to={"transformer": transformer.identity})
        self._transformer, self._rates = transformer, parameters
        self._dimension = transformer.dimension
        self._weight = nn.Parameter(torch.zeros(0, transformer.width))
        self._bias = nn.Parameter(torch.zeros(0))

    @abstractmethod
    def _begin(self, queries: torch.Tensor) -> None:
        """Make room in the pools for an increment with classes never met."""

    @abstractmethod
    def _prompted(self, queries: torch.Tensor, *, learning: bool) -> Prompted:
        """Return the prompts for items with these queries."""

    @abstractmethod
    def _pools(self) -> dict[str, PromptPool[Any]]:
        """Return the pools, the one that is chosen from first."""

    def _read(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what the head reads of an item's tokens: its [CLS], unless the subclass says otherwise."""
        return class_query(tokens)

    def usage_of(self, features: Features) -> Usage:
        """Count which components these items would use: a pool of which few are used has learned little.

        Raises:
            BadDataError: features that are not finite or not as many as the transformer takes.
        """
        features = checked_features(features, self._dimension)
        usage = Usage()
        usage.grow(len(self._chosen_from))
        with torch.inference_mode():
            for inputs, count in self._filled(features):
                uses = self._chosen(inputs).choice.uses()[:count]
                usage.counts = usage.counts + uses.sum(dim=0)
        return usage

    @property
    def _chosen_from(self) -> PromptPool[Any]:
        return next(iter(self._pools().values()))

    def _chosen(self, inputs: torch.Tensor) -> Prompted:
        for pool in self._pools().values():
            pool.eval()
        return self._prompted(class_query(self._transformer.tokens(inputs)), learning=False)

    def _learn(self, features: Features, targets: Integers) -> None:
        inputs, queries = self._transformer.inputs(features), torch.from_numpy(self._queries(features))
        met = len(self._bias)
        if targets.max() >= met:
            self._begin(queries)
            self._widen()
            if self._rates.mean_head:
                self._begin_at_means(features, targets, met)
        self._teach(inputs, queries, targets)

    def _widen(self) -> None:
        more = len(self.classes) - len(self._bias)
        self._weight = nn.Parameter(nn.functional.pad(self._weight.detach(), (0, 0, 0, more)))
        self._bias = nn.Parameter(nn.functional.pad(self._bias.detach(), (0, more)))

    def _begin_at_means(self, features: Features, targets: Integers, met: int) -> None:
        """Let the head's new rows tell nearest class means, in what the transformer says before it is taught."""
        made = self._features(features).astype(np.float64)
        means = np.stack([made[targets == column].mean(axis=0) for column in range(met, len(self.classes))])
        fresh = targets >= met
        variance = max(float(np.square(made[fresh] - means[targets[fresh] - met]).mean()), _LEAST_VARIANCE)
        with torch.no_grad():
            self._weight[met:] = torch.from_numpy(means / variance)
            self._bias[met:] = torch.from_numpy(-0.5 * np.square(means).sum(axis=1) / variance)

    def _teach(self, inputs: torch.Tensor, queries: torch.Tensor, targets: Integers) -> None:
        present, places = np.unique(targets, return_inverse=True)
        mask, rows = torch.from_numpy(present), torch.from_numpy(places)
        for pool in self._pools().values():
            pool.train()
        taught = [part for pool in self._pools().values() for part in pool.parameters() if part.numel()]
        taught += [self._weight, self._bias]
        optimiser = torch.optim.Adam(taught, self._rates.learning_rate)
        batches = -(-len(rows) // self._rates.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self._rates.passes * batches)
        for _ in range(self._rates.passes):
            for batch in map(torch.from_numpy, shuffled_batches(len(rows), self._rates.batch_size, self._generator)):
                optimiser.zero_grad()
                self._loss(inputs[batch], queries[batch], rows[batch], mask).backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(taught, self._rates.clip)
                optimiser.step()
                schedule.step()

    def _loss(
        self, inputs: torch.Tensor, queries: torch.Tensor, rows: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        prompted = self._prompted(queries, learning=True)
        self._chosen_from.record(prompted.choice)
        features = self._read(self._transformer.tokens(inputs, prompted.prompts))
        logits = nn.functional.linear(features, self._weight[mask], self._bias[mask])
        return nn.functional.cross_entropy(logits, rows) + prompted.loss

    def _predict(self, features: Features) -> Floats:
        weight, bias = (part.detach().double() for part in (self._weight, self._bias))
        made = torch.from_numpy(self._features(features)).double()
        return softmax((made[:, None] * weight).sum(dim=2).add(bias).numpy())

    def _features(self, features: Features) -> Features:
        with torch.inference_mode():
            parts = [
                self._read(self._transformer.tokens(inputs, self._chosen(inputs).prompts))[:count].numpy()
                for inputs, count in self._filled(features)
            ]
        return np.concatenate(parts)

    def _queries(self, features: Features) -> Features:
        with torch.inference_mode():
            parts = [
                class_query(self._transformer.tokens(inputs))[:count].numpy()
                for inputs, count in self._filled(features)
            ]
        return np.concatenate(parts)

    def _filled(self, features: Features) -> list[tuple[torch.Tensor, int]]:
        """Cut items into inputs of one size, and say how many of each are items."""
        starts = range(0, len(features), ITEMS_AT_ONCE)
        parts = [features[start : start + ITEMS_AT_ONCE] for start in starts]
        room = [np.pad(part, ((0, ITEMS_AT_ONCE - len(part)), (0, 0))) for part in parts]
        return [(self._transformer.inputs(filled), len(part)) for filled, part in zip(room, parts, strict=True)]

    def _prefixed_layers(self, layers: int) -> int:
        if layers > self._transformer.layers:
            raise ConfigurationError(f"prompts for {layers} layers do not fit {self._transformer.layers} layers")
        return layers

    def _arrays(self) -> dict[str, Array]:
        head = {"head/weight": self._weight.detach().numpy().copy(), "head/bias": self._bias.detach().numpy().copy()}
        pools = {f"{name}/{part}": row for name, pool in self._pools().items() for part, row in pool.arrays().items()}
        return {**head, **pools}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._weight = nn.Parameter(torch.from_numpy(arrays["head/weight"].copy()))
        self._bias = nn.Parameter(torch.from_numpy(arrays["head/bias"].copy()))
        for name, pool in self._pools().items():
            own = f"{name}/"
            pool.restore({part.removeprefix(own): row for part, row in arrays.items() if part.startswith(own)})
