"""Which examples a step sees, and how fast it learns: functions of its number, so that a resume needs no more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from curate.errors import BadDataError
from curate.learners.adapters.parameters import FitParameters
from curate.learners.numerics import Integers


@dataclass(frozen=True, slots=True)
class Schedule:
    """The order of `examples` examples under given parameters; steps are counted from 0."""

    examples: int
    parameters: FitParameters
    learning_rate: float

    def __post_init__(self) -> None:
        if not self.examples:
            raise BadDataError("there is nothing to fit an adapter to", hint="no text has two tokens or more")

    @property
    def steps_a_pass(self) -> int:
        """How many steps go through all examples once; the last of them may be smaller."""
        return -(-self.examples // (self.parameters.batch_size * self.parameters.accumulation))

    @property
    def steps(self) -> int:
        """How many steps there are in all."""
        whole = self.steps_a_pass * self.parameters.passes
        return min(whole, self.parameters.steps or whole)

    def batches(self, step: int) -> list[Integers]:
        """Return the rows of each forward pass of a step, in an order of their own in each pass."""
        turn, place = divmod(step, self.steps_a_pass)
        order = np.random.default_rng((self.parameters.seed, turn)).permutation(self.examples)
        size = self.parameters.batch_size
        first = place * size * self.parameters.accumulation
        rows = order[first : first + size * self.parameters.accumulation]
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: it rises in a line, and falls to nearly zero with a cosine."""
        rising = math.ceil(self.parameters.warm_up * self.steps)
        if step < rising:
            return self.learning_rate * (step + 1) / (rising + 1)
        return self.learning_rate * (1 + math.cos(math.pi * (step - rising) / (self.steps - rising))) / 2


def ended_by(tokens: int, sizes: Sequence[int], parameters: FitParameters) -> FitParameters:
    """Return the parameters with as many steps as it takes to learn so many tokens, if they have that many.

    `sizes` are the tokens of each example.

    >>> ended_by(7, [2, 2, 2, 2], FitParameters(batch_size=1, passes=3)).steps
    4
    """
    schedule = Schedule(len(sizes), parameters, 0.0)
    counted = np.asarray(sizes)
    learned = 0
    for step in range(schedule.steps):
        learned += sum(int(counted[rows].sum()) for rows in schedule.batches(step))
        if learned >= tokens:
            return replace(parameters, steps=step + 1)
    return parameters
