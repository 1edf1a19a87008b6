"""What passes for diversity do to a ranking of a pool with planted copies."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.miniature import Task
from curate.select.byte_ngrams import hashed_byte_ngrams
from curate.select.diversity import entropy_law_order, facility_location_order, without_near_duplicates
from curate.select.near_duplicates import near_duplicates

FIRST = 200
CANDIDATES = 600
_COPIES = 4
_SHARE = 0.2
_DIMENSIONS = 256
Positions = NDArray[np.int64]


def with_copies(drawn: Task, seed: int) -> Task:
    """Return a task in whose pool a fifth of the wanted kind comes four times more, each time with a word changed."""
    generator = random.Random(f"copies {seed}")
    wanted = [text for text, kind in zip(drawn.texts, drawn.kinds, strict=True) if kind == drawn.wanted]
    chosen = generator.sample(wanted, int(_SHARE * len(wanted)))
    added = [f"{text}\n# {generator.randrange(1_000_000)}" for text in chosen for _ in range(_COPIES)]
    texts, kinds = [*drawn.texts, *added], [*drawn.kinds, *[drawn.wanted] * len(added)]
    return Task(f"{drawn.name} with copies", texts, kinds, drawn.wanted, drawn.targets, drawn.held_out)


def passes(drawn: Task, ranked: Positions) -> Iterator[tuple[str, Positions, float]]:
    """Yield the ranking's best as they are and after each pass: its name, an order of positions, its seconds."""
    best = ranked[:CANDIDATES]
    texts = [drawn.texts[place] for place in best]
    orders: dict[str, Callable[[], Positions]] = {
        "ZIP-FIT": lambda: np.arange(len(best)),
        "ZIP-FIT, near-duplicates out": lambda: without_near_duplicates(texts),
        "ZIP-FIT, entropy law": lambda: entropy_law_order(texts, FIRST),
        "ZIP-FIT, facility location": lambda: facility_location_order(_vectors(texts), FIRST),
    }
    for name, order in orders.items():
        began = time.perf_counter()
        found = order()
        yield name, best[found], time.perf_counter() - began


def copies_among(texts: Sequence[str]) -> int:
    """Return how many texts are near-duplicates of an earlier one."""
    return len(near_duplicates(texts))


def _vectors(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return counts of byte trigrams, folded into fewer dimensions with random signs (feature hashing)."""
    found = hashed_byte_ngrams(texts, 3)
    owners = np.repeat(np.arange(len(texts)), found.lengths())
    signs = np.where(found.values & 1, 1.0, -1.0)
    vectors = np.zeros((len(texts), _DIMENSIONS))
    np.add.at(vectors, (owners, (found.values >> 1) % _DIMENSIONS), signs)
    return vectors
