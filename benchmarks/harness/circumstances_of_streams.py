"""What makes real streams harder: people who skip, err or answer out of order, rare classes, and classes that are new.

Each circumstance changes a course or its answers and lets the default and random choice pass over the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.harness.policies import DEFAULT, PEERS, RANDOM, Course
from benchmarks.harness.windowed import NEVER, Answers, Passed


@dataclass(frozen=True, slots=True)
class Pair:
    """The default's run and that of random choice."""

    ours: Passed
    random: Passed


def skips(course: Course, budget: float, seed: int) -> Pair:
    """A fifth of the questions is skipped: spent, and never answered."""
    skipped = np.random.default_rng(seed).random(len(course.classes)) < 0.2
    return _both(course, budget, seed, Answers(course.classes, np.where(skipped, NEVER, 0)))


def errors(course: Course, budget: float, seed: int) -> Pair:
    """A tenth of the answers is another class."""
    chance = np.random.default_rng(seed)
    number = int(course.classes.max()) + 1
    wrong = chance.random(len(course.classes)) < 0.1
    others = (course.classes + chance.integers(1, number, len(course.classes))) % number
    return _both(course, budget, seed, Answers(np.where(wrong, others, course.classes), np.zeros_like(course.classes)))


def disorder(course: Course, budget: float, seed: int) -> Pair:
    """Each answer comes after 0 to 200 more items, whatever came before."""
    delays = np.random.default_rng(seed).integers(0, 201, len(course.classes))
    return _both(course, budget, seed, Answers(course.classes, delays))


def rarity(course: Course, budget: float, seed: int) -> Pair:
    """Of the class with the highest number, only a tenth of the items comes."""
    rare = course.classes == course.classes.max()
    kept = ~rare | (np.random.default_rng(seed).random(len(rare)) < 0.1)
    return _both(_part(course, np.flatnonzero(kept)), budget, seed)


def novelty(course: Course, budget: float, seed: int) -> Pair:
    """The class with the highest number comes in the second half only."""
    count = len(course.classes)
    new = (course.classes == course.classes.max()) & (np.arange(count) < count // 2)
    return _both(_part(course, np.flatnonzero(~new)), budget, seed)


CIRCUMSTANCES: Mapping[str, Callable[[Course, float, int], Pair]] = {
    "20 % of the questions skipped": skips,
    "10 % of the answers wrong": errors,
    "answers out of order": disorder,
    "a rare class": rarity,
    "a new class": novelty,
}


def _part(course: Course, places: np.ndarray) -> Course:
    return Course((course.features[places], course.classes[places]))


def _both(course: Course, budget: float, seed: int, answers: Answers | None = None) -> Pair:
    ours = course.passed(DEFAULT, budget, seed, answers)
    return Pair(ours, course.passed(PEERS[RANDOM], budget, seed, answers))
