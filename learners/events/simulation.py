"""Drawing sequences from a Hawkes process by Ogata's thinning, all of them at once."""

from __future__ import annotations

import numpy as np

from curate.learners.events.hawkes import HawkesProcess
from curate.learners.events.sequences import EventSequences
from curate.learners.numerics import Array, Floats, Integers


def simulate(
    process: HawkesProcess, *, sequences: int, horizon: float, generator: np.random.Generator, unit: str = ""
) -> EventSequences:
    """Draw sequences that are watched from time 0, when nothing has happened yet, to `horizon`; nothing is given.

    Ogata's thinning (IEEE Transactions on Information Theory 1981, algorithm 2): without events the intensity only
    falls, so what it is now bounds it. The next candidate comes after an exponential time of that bound's rate, and is
    an event with the probability λ(t) / bound. Every sequence takes one candidate in each round; a sequence that is
    past the horizon drops out. Exact; costs rounds of the longest sequence's candidates, each of O(sequences · types²).
    """
    active = np.arange(sequences)
    times = np.zeros(sequences)
    excitement = np.zeros((sequences, process.type_count, process.type_count))
    found: list[tuple[Integers, Floats, Integers]] = []
    while len(active):
        bounds = process.base.sum() + excitement.sum(axis=(1, 2))
        waits = generator.exponential(size=len(active)) / np.maximum(bounds, np.finfo(np.float64).tiny)
        times = times + waits
        within = times <= horizon
        active, times, bounds = active[within], times[within], bounds[within]
        excitement = process.faded(excitement[within], waits[within])
        accepted, types = _thinned(process.base + excitement.sum(axis=2), bounds, generator)
        excitement[accepted] = process.excited(excitement[accepted], types)
        found.append((active[accepted], times[accepted], types))
    return _gathered(found, sequences, horizon, process.type_count, unit)


def _thinned(intensities: Floats, bounds: Floats, generator: np.random.Generator) -> tuple[Array, Integers]:
    """Choose the candidates that are events, and the type of each: one uniform number decides both."""
    reached = np.cumsum(intensities, axis=1)
    drawn = generator.random(len(bounds)) * bounds
    accepted = np.flatnonzero(drawn < reached[:, -1])
    return accepted, (drawn[accepted, None] >= reached[accepted]).sum(axis=1)


def _gathered(
    found: list[tuple[Integers, Floats, Integers]], sequences: int, horizon: float, type_count: int, unit: str
) -> EventSequences:
    rows, times, types = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(rows, kind="stable")
    lengths = np.bincount(rows, minlength=sequences)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    longest = int(lengths.max(initial=0))
    padded_times, padded_types = np.zeros((sequences, longest)), np.zeros((sequences, longest), dtype=np.int64)
    padded_times[rows[order], columns], padded_types[rows[order], columns] = times[order], types[order]
    return EventSequences(
        times=np.maximum.accumulate(padded_times, axis=1),
        types=padded_types,
        lengths=lengths,
        origin=np.zeros(sequences),
        end=np.full(sequences, float(horizon)),
        given=np.zeros(sequences, dtype=np.int64),
        type_count=type_count,
        unit=unit,
    )
