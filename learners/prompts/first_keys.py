"""Keys that begin where the queries are, for keys drawn at random leave most components unused."""

import numpy as np

from curate.errors import BadDataError
from curate.learners.numerics import Features, Floats, Integers

_ROUNDS = 10


def keys_among(queries: Features, count: int, generator: np.random.Generator) -> Features:
    """Return unit keys (count, width) at the middles of groups of queries (items, width): k-means by the cosine.

    Groups begin spread out (k-means++, Arthur and Vassilvitskii 2007), and are then moved ten times; a group that lost
    all its queries stays where it is.

    Raises:
        BadDataError: there are fewer queries than keys wanted.
    """
    if len(queries) < count:
        raise BadDataError(f"{len(queries)} queries are too few for {count} keys", hint="give more of them")
    unit = _unit(queries.astype(np.float64))
    keys = _spread_out(unit, count, generator)
    for _ in range(_ROUNDS):
        keys = _middles(unit, keys, (unit @ keys.T).argmax(axis=1))
    return keys.astype(np.float32)


def _spread_out(unit: Floats, count: int, generator: np.random.Generator) -> Floats:
    chosen = [int(generator.integers(len(unit)))]
    distances = np.full(len(unit), np.inf)
    while len(chosen) < count:
        distances = np.minimum(distances, np.maximum(0.0, 1.0 - unit @ unit[chosen[-1]]))
        distances[chosen] = 0.0
        whole = distances.sum()
        chances = distances / whole if whole > 0 else None
        chosen.append(int(generator.choice(len(unit), p=chances)))
    return unit[chosen]


def _middles(unit: Floats, keys: Floats, groups: Integers) -> Floats:
    sums = np.zeros_like(keys)
    np.add.at(sums, groups, unit)
    moved = np.linalg.norm(sums, axis=1, keepdims=True) > 0
    middles: Floats = np.where(moved, _unit(sums), keys)
    return middles


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return unit
