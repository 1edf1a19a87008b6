"""Teaching a point process by the likelihood of sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from curate.learners.events.likelihood import log_likelihood
from curate.learners.events.process import PointProcess
from curate.learners.events.quadrature import RandomRule
from curate.learners.events.sequences import EventSequences
from curate.learners.numerics import Floats, Integers, shuffled_batches
from curate.learners.parameters import Parameters

_SORTED_TOGETHER = 16
"""Batches whose sequences are sorted by length, so that little of a batch is padding."""


@dataclass(frozen=True, slots=True)
class TrainingParameters(Parameters):
    """Passes over the sequences, sequences in a batch, Adam's rate, places in an integral, bound of a gradient.

    falling: 1 to let the rate fall to 0 over all passes, with a cosine.
    """

    passes: int = 20
    batch_size: int = 32
    learning_rate: float = 3e-3
    nodes: int = 5
    gradient_clip: float = 5.0
    falling: int = 0

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("passes", "batch_size", "learning_rate", "nodes", "gradient_clip")


def fit(
    process: PointProcess[Any],
    sequences: EventSequences,
    parameters: TrainingParameters | None = None,
    *,
    turns: Sequence[Sequence[nn.Parameter]] = (),
    penalty: Callable[[], torch.Tensor] | None = None,
) -> Floats:
    """Raise the log-likelihood per event by Adam; return each pass's, as it was met: (passes,).

    Integrals are taken at random places, so their expectation is right and no network can dodge the nodes of a rule.
    `turns` are groups of parameters, of which each pass teaches one, in turn; by default one group of all. `penalty` is
    added to the loss. What is taught by no group is left as it was.
    """
    chosen = parameters or TrainingParameters()
    groups = [_Group(group, chosen.learning_rate) for group in turns or [list(process.parameters())]]
    rule = RandomRule(torch.Generator().manual_seed(chosen.seed), chosen.nodes)
    generator = np.random.default_rng(chosen.seed)
    met = np.zeros(chosen.passes)
    for number in range(chosen.passes):
        group, total = groups[number % len(groups)], 0.0
        if chosen.falling:
            group.slow_down(number / chosen.passes)
        for rows in batches_by_length(sequences.lengths, chosen.batch_size, generator):
            found = log_likelihood(process, process.batch(sequences.select(rows)), rule)
            loss = -found.per_event if penalty is None else penalty() - found.per_event
            process.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            group.step(chosen.gradient_clip)
            total += float(found.of_sequences.sum().detach())
        met[number] = total / max(int(sequences.counted.sum()), 1)
    return met


class _Group:
    """Parameters that are taught together, with an optimiser of their own."""

    def __init__(self, taught: Sequence[nn.Parameter], rate: float) -> None:
        self._taught, self._rate = taught, rate
        self._optimiser = torch.optim.Adam(taught, lr=rate)

    def slow_down(self, done: float) -> None:
        """Set the rate by the share of the passes that is done."""
        for settings in self._optimiser.param_groups:
            settings["lr"] = self._rate * (1 + np.cos(np.pi * done)) / 2

    def step(self, clip: float) -> None:
        """Take one step along the gradients that there are."""
        nn.utils.clip_grad_norm_(self._taught, clip)
        self._optimiser.step()


def batches_by_length(lengths: Integers, batch_size: int, generator: np.random.Generator) -> Iterator[Integers]:
    """Yield batches of rows in a random order, each of sequences of about the same length."""
    found: list[Integers] = []
    for group in shuffled_batches(len(lengths), batch_size * _SORTED_TOGETHER, generator):
        rising = group[np.argsort(lengths[group], kind="stable")]
        found += np.array_split(rising, -(-len(rising) // batch_size))
    yield from (found[place] for place in generator.permutation(len(found)))
