"""The flywheel over arrays: annotate, audit, gate, queue, consensus, retrain, and again, within a budget of answers.

People are a protocol: `SimulatedPeople` stand in for them in tests and benchmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.annotate.audits import BELIEF
from curate.annotate.gate import Accuracy, Correction, Verdict, judge, level_of_look
from curate.annotate.priorities import audit_gain, training_gain, typical_items
from curate.annotate.turning import Features, Fit, People, Positions, Turning


@dataclass(frozen=True, slots=True)
class WheelSettings:
    """How the wheel spends: the bar and the error rate of its gate, and the answers of each kind.

    `first` training answers and `pilot` audits an attribute to begin with; then `batch` at a time. `audit_share` of the
    budget is for audits. `noise` is how often a person is taken to err. `closed`: claims are about the items at hand.
    """

    bar: float = 0.85
    error_rate: float = 0.05
    correction: Correction = "two-stage"
    first: int = 20
    batch: int = 10
    pilot: int = 10
    audit_batch: int = 10
    audit_share: float = 0.6
    noise: float = 0.0
    looks: int = 1
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Turned:
    """Where the wheel stands: answers bought, and for each attribute its accuracy by audits and the gate's verdict."""

    answers: int
    accuracies: Sequence[Accuracy]
    verdicts: Sequence[Verdict]


def attributes_of(
    features: Features, reserve: Positions, values: Sequence[int], settings: WheelSettings, fit: Fit, people: People,
    generator: np.random.Generator, second: Fit | None = None,
) -> list[Turning]:  # fmt: skip
    """Return the attributes before anybody has answered, each with its own random order of the reserve."""
    return [
        Turning(
            number,
            features,
            generator.permutation(reserve),
            count,
            settings.noise,
            fit,
            people,
            second=second,
            closed=settings.closed,
        )
        for number, count in enumerate(values)
    ]


def turn_wheel(
    attributes: Sequence[Turning], budget: int, settings: WheelSettings, generator: np.random.Generator
) -> Turned:
    """Spend a budget of answers, audits and repeats counted, and return what the gate says in the end.

    Training answers go, a batch at a time, to the attribute whose error they lower most, and there to the items worth
    most; then audits go to where they most raise the chance of a pass, and the gate looks. With several looks the
    audits' share is split evenly among them.
    """
    spent = _begin(attributes, settings, generator)
    while spent + settings.batch <= budget * (1 - settings.audit_share) + settings.pilot * len(attributes):
        beliefs = _beliefs(attributes)
        gains = [training_gain(1 - belief, entry.trained) for belief, entry in zip(beliefs, attributes, strict=True)]
        spent += _train(attributes[int(np.argmax(gains))], settings.batch)
    passed: dict[int, Verdict] = {}
    accuracies = [attribute.accuracy() for attribute in attributes]
    for look in range(1, settings.looks + 1):
        level = level_of_look(look, settings.error_rate, settings.looks)
        waiting = [attribute for attribute in attributes if attribute.number not in passed]
        spent += _audit(waiting, (budget - spent) // (settings.looks - look + 1), level, settings)
        accuracies = [attribute.accuracy() for attribute in attributes]
        verdicts = _look([accuracies[entry.number] for entry in waiting], level, settings)
        for attribute, verdict in zip(waiting, verdicts, strict=True):
            if verdict.passed or look == settings.looks:
                passed[attribute.number] = verdict
    return Turned(spent, accuracies, [passed[attribute.number] for attribute in attributes])


def _begin(attributes: Sequence[Turning], settings: WheelSettings, generator: np.random.Generator) -> int:
    """Ask everything about the same few typical items, and audit a little."""
    free = np.flatnonzero(attributes[0].open)
    items = free[typical_items(attributes[0].features[free], settings.first, generator)]
    spent = 0
    for attribute in attributes:
        spent += attribute.ask(items)
        attribute.retrain()
        spent += attribute.audit(settings.pilot) + attribute.settle()
    return spent


def _train(attribute: Turning, count: int) -> int:
    asked = attribute.ask_best(count)
    attribute.retrain()
    return asked + attribute.settle()


def _beliefs(attributes: Sequence[Turning]) -> list[float]:
    """The accuracies that the budget is shared out by: audits, drawn towards the mean of all attributes."""
    seen = [attribute.accuracy() for attribute in attributes]
    mean = (sum(entry.right for entry in seen) + 1) / (sum(entry.audited for entry in seen) + 1)
    return [(entry.value * entry.effective + BELIEF * mean) / (entry.effective + BELIEF) for entry in seen]


def _audit(attributes: Sequence[Turning], budget: int, level: float, settings: WheelSettings) -> int:
    """Buy audits one batch at a time where they are worth most."""

    def gain(attribute: Turning, belief: float) -> float:
        if attribute.audited >= len(attribute.reserve):
            return -1.0
        weight = attribute.audited + BELIEF
        return audit_gain(belief, weight, attribute.audited, settings.bar, level / 2, attribute.pool)

    spent = 0
    while attributes and spent + settings.audit_batch <= budget:
        gains = [gain(*pair) for pair in zip(attributes, _beliefs(attributes), strict=True)]
        best = attributes[int(np.argmax(gains))]
        if max(gains) < 0:
            break
        spent += best.audit(settings.audit_batch) + best.settle()
    return spent


def _look(accuracies: Sequence[Accuracy], level: float, settings: WheelSettings) -> list[Verdict]:
    return judge(accuracies, settings.bar, level, settings.correction)


def turn_by_point_estimates(
    attributes: Sequence[Turning], settings: WheelSettings, generator: np.random.Generator,
    gold: int = 100, batch: int = 30, rounds: int = 6,
) -> Turned:  # fmt: skip
    """Turn the wheel as CosmicMan does (Li et al. 2024): the peer, not the method of this house.

    Each round people answer a random batch for every attribute whose accuracy on its gold items, the same in every
    round, is below the bar; one whose share right reaches the bar has passed for good.
    """
    spent = sum(attribute.audit(gold) for attribute in attributes)
    passed: set[int] = set()
    for _ in range(rounds):
        for attribute in attributes:
            if attribute.number in passed:
                continue
            fresh = np.flatnonzero(attribute.open & (attribute.answers == 0))
            spent += attribute.ask(generator.choice(fresh, min(batch, len(fresh)), replace=False))
            attribute.retrain()
            if attribute.accuracy().right >= settings.bar * gold:
                passed.add(attribute.number)
    accuracies = [attribute.accuracy() for attribute in attributes]
    verdicts = [
        Verdict(attribute.number in passed, entry.value, 1.0)
        for attribute, entry in zip(attributes, accuracies, strict=True)
    ]
    return Turned(spent, accuracies, verdicts)
