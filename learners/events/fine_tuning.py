"""Learners without a pool, which a pool must beat: taught once, fine-tuned on, or fine-tuned with a pull back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from curate.learners.events.batches import Clock
from curate.learners.events.learner import EventLearner, EventParameters, network_arrays, restore_network
from curate.learners.events.likelihood import log_likelihood
from curate.learners.events.quadrature import GaussRule
from curate.learners.events.recurrent import RecurrentHawkes, RecurrentParameters
from curate.learners.events.sequences import EventSequences
from curate.learners.events.training import fit
from curate.learners.numerics import Array

_NODES, _TOGETHER = 6, 8
"""Places in an integral, and sequences whose gradient is squared as one."""


@dataclass(frozen=True, slots=True)
class FineTuningParameters(EventParameters):
    """`taught`: only so many first increments are learned, all with 0. `pull` towards what was learned: 0 for none.

    With `taught` 1 it is the pretrained network alone. With `pull` 1 it is elastic weight consolidation as Laplace's
    approximation has it: each weight is held by its Fisher information over all events before.
    """

    taught: int = 0
    pull: float = 0.0


class FineTunedEvents(EventLearner[RecurrentHawkes]):
    """A `RecurrentHawkes` of which each increment teaches all.

    Pull: Kirkpatrick et al., PNAS 2017, arXiv 1612.00796, with the informations of all increments added up and held at
    the newest weights (Huszár, PNAS 2018).
    """

    name = "fine-tuned-events"

    def __init__(self, type_count: int, parameters: FineTuningParameters | None = None) -> None:
        self.parameters = parameters or FineTuningParameters()
        super().__init__(type_count, self.parameters)
        self._information: dict[str, torch.Tensor] = {}

    def _made(self, clock: Clock) -> RecurrentHawkes:
        sizes = RecurrentParameters(width=self.parameters.width, seed=self.parameters.seed)
        return RecurrentHawkes(self.type_count, clock, sizes)

    def _learn(self, process: RecurrentHawkes, increment: EventSequences) -> None:
        if self.parameters.taught and self.increments >= self.parameters.taught:
            return
        events = int(increment.counted.sum())
        held = [
            (part, part.detach().clone(), self._information[name])
            for name, part in process.named_parameters()
            if name in self._information
        ]

        def pulled() -> torch.Tensor:
            moved = [(known * (part - before).square()).sum() for part, before, known in held]
            return torch.stack(moved).sum() * self.parameters.pull / (2 * events)

        fit(process, increment, self._training(), penalty=pulled if held else None)
        if self.parameters.pull:
            self._inform(process, increment)

    def _inform(self, process: RecurrentHawkes, increment: EventSequences) -> None:
        """Add the squared gradients of small groups of sequences, which are those of events where these add up to 0."""
        for rows in np.array_split(np.argsort(increment.lengths, kind="stable"), -(-len(increment) // _TOGETHER)):
            process.zero_grad()
            batch = process.batch(increment.select(rows))
            found = log_likelihood(process, batch, GaussRule(_NODES)).of_sequences.sum()
            found.backward()  # type: ignore[no-untyped-call]
            for name, part in process.named_parameters():
                if part.grad is not None:
                    before = self._information.get(name, torch.zeros_like(part))
                    self._information[name] = before + part.grad.square()

    def _arrays(self, process: RecurrentHawkes) -> dict[str, Array]:
        known = {f"information/{name}": tensor.numpy().copy() for name, tensor in self._information.items()}
        return {**network_arrays(process), **known}

    def _restore(self, process: RecurrentHawkes, arrays: Mapping[str, Array]) -> None:
        restore_network(process, arrays)
        own = "information/"
        self._information = {
            name.removeprefix(own): torch.from_numpy(array.copy())
            for name, array in arrays.items()
            if name.startswith(own)
        }
