"""Simulated annotators of mixed skill, in regimes that no method's priors were chosen on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.annotate.consensus.votes import Votes, from_logarithms

REGIMES = ("difficulty", "experts", "neighbours", "commonest", "shared errors")
_SEEDS = 7_000_000
Confusion = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Draw:
    """Votes, the true values, and a model's probabilities (items, values) that are not fitted to the votes."""

    votes: Votes
    truth: NDArray[np.int64]
    model: NDArray[np.float64]


def draw(regime: str, seed: int) -> Draw:
    """Draw sizes, true values, annotators, their votes (one on every item at least) and a model."""
    generator = np.random.default_rng(_SEEDS + 1_000 * REGIMES.index(regime) + seed)
    values = int(generator.choice([2, 4, 6, 8]))
    items = int(generator.choice([150, 400, 800]))
    annotators = int(generator.choice([4, 10, 25]))
    truth = generator.choice(values, items, p=generator.dirichlet(np.full(values, 2.0)))
    chances = _chances(generator, regime, truth, annotators, values)
    busy = generator.dirichlet(np.full(annotators, 1.0))
    mean = int(generator.choice([2, 3, 4]))
    rows = [
        (item, int(annotator))
        for item in range(items)
        for annotator in generator.choice(
            annotators, min(max(1, int(generator.poisson(mean))), annotators), False, busy * 0.9 + 0.1 / annotators
        )
    ]
    given = [generator.choice(values, p=chances[item, annotator]) for item, annotator in rows]
    item, annotator = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    votes = Votes(item, annotator, np.array(given, np.int64), items, annotators, values)
    return Draw(votes, truth, _model(generator, truth, values))


def _chances(
    generator: np.random.Generator, regime: str, truth: NDArray[np.int64], annotators: int, values: int
) -> NDArray[np.float64]:
    """Return the probability of each value from each annotator on each item: (items, annotators, values)."""
    items = len(truth)
    right = np.eye(values)[truth][:, None, :]
    wrong = np.broadcast_to((1 - right) / (values - 1), (items, annotators, values))
    skill = np.broadcast_to(generator.uniform(0.5, 0.95, annotators), (items, annotators))
    if regime == "difficulty":
        hard = np.exp(generator.normal(0, 0.7, items))
        ability = generator.normal(1.2, 0.8, annotators)
        skill = 1 / values + (1 - 1 / values) / (1 + np.exp(-ability[None] / hard[:, None]))
        skill = np.clip(skill, 0.05, 0.99)
    elif regime == "experts":
        expert = generator.random(annotators) < 0.25
        skill = np.broadcast_to(np.where(expert, 0.95, 1 / values + 0.25), (items, annotators))
    elif regime == "neighbours":
        distance = np.abs(np.arange(values)[None] - truth[:, None])
        near = np.where(distance > 0, np.exp(-1.5 * distance), 0)
        wrong = np.broadcast_to((near / near.sum(axis=1, keepdims=True))[:, None], wrong.shape)
    elif regime == "commonest":
        lazy = generator.random(annotators) < 0.4
        common = np.eye(values)[np.bincount(truth).argmax()]
        lazily = np.where(lazy, 0.6, 0.0)[None, :, None]
        return np.asarray(lazily * common + (1 - lazily) * (skill[..., None] * right + (1 - skill)[..., None] * wrong))
    elif regime == "shared errors":
        other = (truth + generator.integers(1, values, items)) % values
        trap = generator.random(items) < 0.3
        shared = np.eye(values)[other][:, None, :]
        wrong = np.where(trap[:, None, None], shared, wrong)
    return np.asarray(skill[..., None] * right + (1 - skill)[..., None] * wrong)


def _model(generator: np.random.Generator, truth: NDArray[np.int64], values: int) -> NDArray[np.float64]:
    signal = generator.uniform(0.5, 3.5)
    scores = signal * np.eye(values)[truth] + generator.normal(size=(len(truth), values))
    scores += generator.normal(0, 0.4, values)
    return from_logarithms(scores * generator.choice([0.4, 1.0, 1.5, 4.0]))
