"""Simulated annotators who tick each value that holds: one hits, and ticks falsely, at rates of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.annotators import Draw
from curate.annotate.consensus.votes import Votes

_SEEDS = 9_000_000


def draw_lists(seed: int) -> list[Draw]:
    """Draw the votes on each value, there or not there, of the same items by the same annotators.

    An item holds a value with the value's own frequency, 5 to 50 %, and values come in pairs that go together. Of the
    annotators a quarter hardly reads: it ticks by frequency alone. There is no model.
    """
    generator = np.random.default_rng(_SEEDS + seed)
    values, items = int(generator.choice([3, 5, 8])), int(generator.choice([150, 400, 800]))
    annotators = int(generator.choice([4, 10, 25]))
    frequencies = generator.uniform(0.05, 0.5, values)
    truth = _truth(generator, frequencies, items)
    who = np.array([generator.choice(annotators, min(annotators, 3), False) for _ in range(items)])
    hits, ticks = _rates(generator, annotators, frequencies)
    item, annotator = np.repeat(np.arange(items), who.shape[1]), who.ravel()
    drawn = []
    for value in range(values):
        chance = np.where(truth[item, value], hits[annotator, value], ticks[annotator, value])
        said = (generator.random(len(item)) < chance).astype(np.int64)
        votes = Votes(item, annotator, said, items, annotators, 2)
        drawn.append(Draw(votes, truth[:, value].astype(np.int64), np.full((items, 2), 0.5)))
    return drawn


def _truth(generator: np.random.Generator, frequencies: NDArray[np.float64], items: int) -> NDArray[np.bool_]:
    truth = generator.random((items, len(frequencies))) < frequencies
    together = generator.random(items) < 0.3
    truth[together, 1] = truth[together, 0]
    return np.asarray(truth)


def _rates(
    generator: np.random.Generator, annotators: int, frequencies: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how often each annotator ticks each value where it holds, and where it does not."""
    careless = (generator.random(annotators) < 0.25)[:, None]
    shape = (annotators, len(frequencies))
    hits, ticks = generator.uniform(0.6, 0.97, shape), generator.uniform(0.01, 0.2, shape)
    return np.where(careless, frequencies, hits), np.where(careless, frequencies, ticks)
