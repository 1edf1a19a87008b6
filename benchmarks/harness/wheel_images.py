"""Ten classes of real images on the wheel: how many answers labels at 90 % take, and whether its intervals hold.

People err in 5 % of their answers, evenly among the other classes. Delivered labels are the consensus where somebody
answered, and the annotator's proposal elsewhere. Each contender buys the same audits in the end: 300 random images that
train nothing, with the repeats that settle them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.harness.cifar import WIDTHS, Images
from benchmarks.harness.wheel_parts import LogisticRegression
from curate.annotate.turning import Features, Positions, SimulatedPeople, Turning

CLASSES, NOISE = 10, 0.05
AUDITS, BATCH, GOAL = 300, 125, 0.90
COMPONENTS, WEIGHTS = 200, (1.0, 2.0, 2.0)
NEIGHBOURS, SMOOTHING = 10, 0.5
STRENGTH, ITERATIONS = 0.04, 40


@dataclass(frozen=True, slots=True)
class Interval:
    """One simulated run: whether the wheel's interval contained the truth, and its width over plain Wilson's."""

    contains: bool
    width: float
    value: float


def components(images: Images) -> Features:
    """Return the features' principal components, each image's drawn halfway to the mean of its nearest neighbours.

    Scaled to a mean square of 1. No label has a part in it, and all contenders have the same.
    """
    features = (images.features - images.features.mean(axis=0)) / (images.features.std(axis=0) + 1e-6)
    features *= np.repeat(WEIGHTS, WIDTHS).astype(np.float32)
    directions = np.linalg.svd(features[::3], full_matrices=False)[2][:COMPONENTS]
    found = _smoothed(features @ directions.T)
    scaled: Features = (found / np.sqrt((found**2).mean())).astype(np.float32)
    return scaled


def _smoothed(features: Features) -> Features:
    """Mix each row with the mean of its nearest rows by cosine, itself included (Wu et al. 2019, one propagation)."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    smooth = np.empty_like(features)
    for start in range(0, len(unit), 1_000):
        part = slice(start, start + 1_000)
        nearest = np.argpartition(-(unit[part] @ unit.T), NEIGHBOURS, axis=1)[:, : NEIGHBOURS + 1]
        smooth[part] = (1 - SMOOTHING) * features[part] + SMOOTHING * features[nearest].mean(axis=1)
    return smooth


def answers_needed(features: Features, labels: Positions, seed: int, choice: str, most: int = 9_000) -> float:
    """Return after how many answers, audits and repeats counted, the labels of all images are right in 90 of 100.

    `choice` is "wheel", "random" (one answer about each image, in random order) or "random, weighed fully", in whose
    consensus the annotator's proposal counts twice as much against an answer as on the wheel. Infinite if it never is.
    """
    turning, people = _start(features, labels, seed, AUDITS)
    order = np.random.default_rng([seed, 3]).permutation(np.flatnonzero(turning.open))
    turning.ask(order[:BATCH])
    asked, before = BATCH, (0, 0.0)
    while asked < most:
        turning.retrain()
        right = _right(turning, labels, choice)
        if right >= GOAL:
            turning.audit(AUDITS)
            turning.settle()
            reached = before[0] + (asked - before[0]) * (GOAL - before[1]) / (right - before[1])
            return reached + people.asked - asked
        before = (asked, right)
        asked += turning.ask_best(BATCH) if choice == "wheel" else turning.ask(order[asked : asked + BATCH])
    return float("inf")


def _right(turning: Turning, labels: Positions, choice: str) -> float:
    """The share of delivered labels that are right; the audits' own labels are settled by people and count as right."""
    full = choice == "random, weighed fully"
    posterior = np.log(turning.proposal) + turning.evidence if full else turning.posterior()
    delivered = posterior.argmax(axis=1)
    return float(((delivered == labels) | ~turning.open).mean())


def interval(features: Features, labels: Positions, seed: int, audits: int = AUDITS, rounds: int = 2) -> Interval:
    """Turn a small wheel with half of the images as reserve, whose accuracy is the truth, and look at its interval."""
    turning, _ = _start(features, labels, seed, len(labels) // 2)
    order = np.random.default_rng([seed, 3]).permutation(np.flatnonzero(turning.open))
    turning.ask(order[:200])
    for _ in range(rounds):
        turning.retrain()
        turning.ask_best(150)
    turning.retrain()
    turning.audit(audits)
    turning.settle()
    seen = turning.accuracy()
    found, plain = seen.interval(), type(seen)(audits, seen.right, seen.right / audits, audits).interval()
    true = float((turning.proposal.argmax(axis=1) == labels)[turning.reserve].mean())
    return Interval(not found.excludes(true), (found.high - found.low) / (plain.high - plain.low), true)


def _start(features: Features, labels: Positions, seed: int, reserve: int) -> tuple[Turning, SimulatedPeople]:
    people = SimulatedPeople(labels[:, None], CLASSES, NOISE, np.random.default_rng([seed, 1]))
    drawn = np.random.default_rng([seed, 2]).permutation(len(labels))[:reserve]
    fit = LogisticRegression(STRENGTH, ITERATIONS)
    return Turning(0, features, drawn, CLASSES, NOISE, fit, people), people
