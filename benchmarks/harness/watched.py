"""Strategies that learn from labels what to ask, and what to forget: they run item by item, outside of machine code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.policies import Course
from benchmarks.harness.windowed import NEIGHBOURS, WINDOW, Passed, votes
from curate.select.stream.bandit import Bandit
from curate.select.stream.budgets import BudgetManager, manager_named
from curate.select.stream.drift import detector_named
from curate.select.stream.utilities import expected_model_change, least_confidence

RANDOM_REASON = 2
_KEPT = 3 * NEIGHBOURS
"""Labels that are kept when the stream has changed."""


def with_bandit(course: Course, rate: float, seed: int) -> Passed:
    """A bandit over uncertainty, model change, novelty and chance, whose ranks the default's manager spends on."""
    arms = ["least-confidence", "expected-model-change", "novelty", "chance"]
    return _Run(course, _manager(course, rate, seed, savings=0.0), bandit=Bandit(arms, seed), seed=seed).passed()


def with_detector(course: Course, rate: float, seed: int, name: str = "adwin") -> Passed:
    """The default; where the errors on what chance drew tell of a drift, all but the newest labels are forgotten."""
    return _Run(course, _manager(course, rate, seed), detector=name, seed=seed).passed()


def _manager(course: Course, rate: float, seed: int, **more: float) -> BudgetManager:
    return manager_named("paced", rate, seed, horizon=len(course.classes), **more)


class _Run:
    def __init__(
        self, course: Course, manager: BudgetManager, *, bandit: Bandit | None = None, detector: str = "", seed: int
    ) -> None:
        self._course, self._manager, self._bandit = course, manager, bandit
        self._detector = detector_named(detector) if detector else None
        self._chance = np.random.default_rng(seed)
        self._number = int(course.classes.max()) + 1
        self._held: list[int] = []

    def passed(self) -> Passed:
        count = len(self._course.classes)
        right, reasons = np.zeros(count, np.bool_), np.zeros(count, np.int8)
        for place in range(count):
            probabilities = self._probabilities(place)
            right[place] = probabilities.argmax() == self._course.classes[place]
            utility, drawn = self._utility(place, probabilities)
            reasons[place] = self._manager.decide(utility)[0]
            if reasons[place]:
                self._learn(place, not right[place], int(reasons[place]), drawn)
        return Passed(right, reasons)

    def _probabilities(self, place: int) -> NDArray[np.float64]:
        out = np.full(self._number, 1 / self._number)
        if self._held:
            held = np.array(self._held[-WINDOW:])
            votes(self._course.features, self._course.classes, held, place, out)
        return out

    def _utility(
        self, place: int, probabilities: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], tuple[int, float] | None]:
        if not self._held:
            return np.ones(1), None
        known = least_confidence(probabilities[None])
        if self._bandit is None:
            return known, None
        item = self._course.features[place : place + 1]
        gaps = ((self._course.features[self._held[-WINDOW:]] - item) ** 2).sum(axis=1)
        change = expected_model_change(probabilities[None], item)
        rows = np.array([known, change, [gaps.min()], [self._chance.random()]])
        found, [arm], [chance] = self._bandit.utilities(rows)
        return found, (int(arm), float(chance))

    def _learn(self, place: int, wrong: bool, reason: int, drawn: tuple[int, float] | None) -> None:
        self._held.append(place)
        if self._bandit is not None and drawn is not None:
            self._bandit.reward(*drawn, float(wrong))
        told = self._detector is not None and reason == RANDOM_REASON
        if told and self._detector is not None and self._detector.update(float(wrong)) == "drift":
            self._held = self._held[-_KEPT:]
