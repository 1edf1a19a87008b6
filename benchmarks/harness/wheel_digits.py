"""The spec's miniature: handwritten digits with twelve derived attributes, the wheel against CosmicMan's own gate.

Half of the digits are the reserve: audits and gold items come from it, nothing in it trains, and an attribute's true
accuracy is the annotator's on all of it. The peer asks for 100 gold answers an attribute and 30 random ones a round,
for six rounds; the wheel gets as many answers as the peer used, with the same seed and the same annotator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.harness.wheel_parts import KernelMachine, LogisticRegression
from curate.annotate.turning import Features, Positions, SimulatedPeople, Turning
from curate.annotate.wheel import Turned, WheelSettings, attributes_of, turn_by_point_estimates, turn_wheel

BAR = 0.85
ATTRIBUTES = {
    "even": (0, 2, 4, 6, 8),
    "prime": (2, 3, 5, 7),
    "five or more": (5, 6, 7, 8, 9),
    "multiple of three": (0, 3, 6, 9),
    "square": (0, 1, 4, 9),
    "has a closed loop": (0, 6, 8, 9),
    "has a straight stroke": (1, 2, 4, 5, 7),
    "Fibonacci number": (0, 1, 2, 3, 5, 8),
    "four letters in English": (0, 4, 5, 9),
    "has the letter i in English": (5, 6, 8, 9),
    "a power of two": (1, 2, 4, 8),
    "looks alike upside down": (0, 1, 8),
}
"""The attributes, the same in development, which had other seeds than those that are scored."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one contender came to with one seed; `passed`, `true` and `covered` have one entry an attribute."""

    answers: int
    true: Sequence[float]
    passed: Sequence[bool]
    covered: Sequence[bool]

    @property
    def accuracy(self) -> float:
        """Mean true accuracy over the attributes."""
        return float(np.mean(self.true))

    def passes(self, low: float = 0.0, high: float = 1.01) -> int:
        """How many attributes with a true accuracy in [low, high) passed."""
        return sum(passed and low <= true < high for true, passed in zip(self.true, self.passed, strict=True))

    def between(self, low: float, high: float = 1.01) -> int:
        """How many attributes have a true accuracy in [low, high)."""
        return sum(low <= true < high for true in self.true)


def compared(seed: int, settings: WheelSettings, *, second: bool = True) -> tuple[Run, Run]:
    """Return the runs of the peer and of the wheel, which buy the same number of answers.

    With `second` a kernel machine that learns from the same answers gives the wheel's audits a second opinion.
    """
    features, truth = digits()
    reserve = np.random.default_rng(seed).permutation(len(features))[: len(features) // 2]
    people, attributes, generator = _start(seed, features, truth, reserve, settings, second=False)
    peer = turn_by_point_estimates(attributes, settings, generator)
    first = _run(peer, attributes, reserve, truth)
    people, attributes, generator = _start(seed, features, truth, reserve, settings, second=second)
    wheel = turn_wheel(attributes, peer.answers, settings, generator)
    if people.asked != wheel.answers:
        raise AssertionError(f"the wheel counted {wheel.answers} answers, people gave {people.asked}")
    return first, _run(wheel, attributes, reserve, truth)


def digits() -> tuple[Features, Positions]:
    """Return the pixels of the digits and the truth of each attribute."""
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    truth = np.stack([np.isin(digits, members) for members in ATTRIBUTES.values()], axis=1)
    return (images / 16).astype(np.float32), truth.astype(np.int64)


def _start(
    seed: int, features: Features, truth: Positions, reserve: Positions, settings: WheelSettings, *, second: bool
) -> tuple[SimulatedPeople, list[Turning], np.random.Generator]:
    people = SimulatedPeople(truth, 2, settings.noise, np.random.default_rng([seed, 1]))
    generator = np.random.default_rng([seed, 2])
    values = [2] * truth.shape[1]
    attributes = attributes_of(
        features,
        reserve,
        values,
        settings,
        LogisticRegression(),
        people,
        generator,
        KernelMachine() if second else None,
    )
    return people, attributes, generator


def _run(turned: Turned, attributes: Sequence[Turning], reserve: Positions, truth: Positions) -> Run:
    true = [
        float((entry.proposal[reserve].argmax(axis=1) == truth[reserve, entry.number]).mean()) for entry in attributes
    ]
    intervals = [entry.interval() for entry in turned.accuracies]
    covered = [not interval.excludes(value) for interval, value in zip(intervals, true, strict=True)]
    return Run(turned.answers, true, [verdict.passed for verdict in turned.verdicts], covered)
