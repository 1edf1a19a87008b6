"""Streams of event sequences in increments, each with sequences to learn from and sequences held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness.cifar import found_images
from curate.errors import BadDataError
from curate.learners.events.hawkes import HawkesProcess
from curate.learners.events.sequences import EventSequences
from curate.learners.events.simulation import simulate

COMMITS = Path("shared", "data", "commit-events.parquet")
FIRST_YEAR, LAST_YEAR = 2020, 2026
FEWEST_EVENTS, HELD_OUT = 12, 0.3
HISTORY, COMMIT_HISTORY = 40, 10
"""Events of a held-out sequence that are given, to every contender alike."""
_TYPES, _HORIZON = 3, 28.0


@dataclass(frozen=True, slots=True)
class Increment:
    """What arrives, and what is held out of it, with the first events of each sequence given."""

    learned: EventSequences
    held_out: EventSequences


def regimes() -> list[HawkesProcess]:
    """Three types that bring about one another in a ring, in the ring turned round, and each itself."""
    ring = np.array([[0.0, 0.0, 0.8], [0.8, 0.0, 0.0], [0.0, 0.8, 0.0]])
    base, decays = np.full(_TYPES, 0.2), np.full((_TYPES, _TYPES), 2.0)
    return [HawkesProcess(base, weights, decays) for weights in (ring, ring.T.copy(), 0.8 * np.eye(_TYPES))]


def regime_increments(seed: int, sequences: int) -> list[Increment]:
    """Draw sequences of about 80 events of each regime; as many are held out as are learned."""
    found = []
    for number, process in enumerate(regimes()):
        drawn = [
            simulate(process, sequences=sequences, horizon=_HORIZON, generator=generator, unit="ticks")
            for generator in np.random.default_rng([seed, number]).spawn(2)
        ]
        found.append(Increment(drawn[0], _with_history(drawn[1], HISTORY)))
    return found


def commit_increments(seed: int) -> list[Increment]:
    """Read commit events by year, 30 % of each year's sequences held out; 2018 to 2020 are one, for lack of events.

    Raises:
        BadDataError: the file is not there.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as parquet

    file = found_images(COMMITS)
    if not file.is_file():
        raise BadDataError(f"there is no {file.name} in ../shared/data, beside the checkout")
    table = parquet.read_table(file)
    table = table.filter(pc.greater_equal(pc.list_value_length(table["events"]), FEWEST_EVENTS))
    years = np.maximum(table["year"].to_numpy(), FIRST_YEAR)
    types = len(table.schema.metadata[b"event_types"].split(b","))
    generator, found = np.random.default_rng(seed), []
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        rows = generator.permutation(np.flatnonzero(years == year))
        whole = EventSequences.from_arrow(table["events"].take(rows), unit="days", type_count=types)
        held_out = np.arange(len(rows)) < round(HELD_OUT * len(rows))
        learned, kept = (whole.select(np.flatnonzero(part)) for part in (~held_out, held_out))
        found.append(Increment(learned, _with_history(kept, COMMIT_HISTORY)))
    return found


def _with_history(sequences: EventSequences, events: int) -> EventSequences:
    """Give the first events, and leave out sequences that have no more."""
    return sequences.select(np.flatnonzero(sequences.lengths > events)).with_given(events)
