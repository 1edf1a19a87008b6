"""Rules over event sequences, counted by hand and against a plain reading."""

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.select.quality.events import RULES, EventQuality

TYPE = pa.list_(pa.struct([("time", pa.float64()), ("type", pa.int32())]))
Sequence = list[tuple[float, int]] | None


def column(*sequences: Sequence) -> pa.Array:
    rows = [
        None if sequence is None else [{"time": time, "type": kind} for time, kind in sequence]
        for sequence in sequences
    ]
    return pa.array(rows, TYPE)


STEADY = [(float(day), day % 3) for day in range(10)]


@pytest.mark.parametrize(
    ("sequence", "reasons"),
    [
        (STEADY, ()),
        ([], ("empty",)),
        (None, ("empty",)),
        ([(1.0, 1)], ("too_few_events",)),
        ([(1.0, 1), (2.0, 1)], ()),
        ([(0.0, 1), (1.0, 1), (10.0, 2)], ()),
        ([(0.0, 1), (0.9, 1), (10.0, 2)], ("long_gap",)),
        ([(0.0, 1), (2.0, 1), (1.0, 2), (3.0, 1)], ("disorder",)),
        ([(0.0, 1), (math.nan, 1), (1.0, 2), (2.0, 1)], ("impossible_times",)),
        ([(0.0, 1), (1.0, 1), (math.inf, 2)], ("impossible_times",)),
        ([(0.0, 1), (1.0, 2), (1.0, 2), (2.0, 2)], ()),
        ([(0.0, 1), (0.0, 1), (0.0, 1)], ("repeated_events",)),
        ([(0.0, 1), (0.0, 2), (0.0, 3)], ()),
    ],
)
def test_each_rule_objects_to_what_it_is_for(sequence: Sequence, reasons: tuple[str, ...]) -> None:
    assert EventQuality().reasons(column(STEADY, sequence, STEADY)) == [(), reasons, ()]


def test_times_outside_what_can_be_are_impossible() -> None:
    quality = EventQuality(earliest=0, latest=9)
    assert quality.reasons(column(STEADY, [*STEADY, (9.5, 0)], [(-0.1, 0), *STEADY])) == [
        (),
        ("impossible_times",),
        ("impossible_times",),
    ]
    with pytest.raises(UsageError, match="no time lies between"):
        EventQuality(earliest=2, latest=1)


def test_a_slice_of_a_column_and_chunks_are_read_alike() -> None:
    whole = column([(5.0, 1)], STEADY, [], STEADY)
    assert EventQuality().reasons(whole.slice(1)) == [(), ("empty",), ()]
    assert EventQuality().reasons(pa.chunked_array([whole.slice(1, 1), whole.slice(2)])) == [(), ("empty",), ()]
    assert EventQuality().reasons(pa.chunked_array([], TYPE)) == []


def naive(sequence: list[tuple[float, int]]) -> dict[str, float]:
    count = max(len(sequence), 1)
    pairs = list(pairwise(sequence))
    times = sorted(time for time, _ in sequence if math.isfinite(time))
    span = times[-1] - times[0] if times else 0
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return {
        "too_few_events": len(sequence),
        "too_many_events": len(sequence),
        "long_gap": max(gaps) / span if len(times) >= 3 and span else math.nan,
        "disorder": sum(later[0] < earlier[0] for earlier, later in pairs) / count,
        "impossible_times": sum(not math.isfinite(time) for time, _ in sequence) / count,
        "repeated_events": sum(earlier[0] == later[0] and earlier[1] == later[1] for earlier, later in pairs) / count,
    }


TIMES = st.sampled_from([0.0, 1.0, 2.5, 7.0, -3.0, float("inf"), float("nan")])


@settings(max_examples=3 * settings().max_examples // 2, deadline=None)
@given(st.lists(st.lists(st.tuples(TIMES, st.integers(0, 1)), max_size=8), max_size=5))
def test_measures_are_those_of_a_plain_reading(sequences: list[list[tuple[float, int]]]) -> None:
    found = EventQuality().measures(column(*sequences))
    for place, sequence in enumerate(sequences):
        expected = naive([(time, kind) for time, kind in sequence])
        for rule in RULES:
            np.testing.assert_allclose(found[rule.name][place], expected[rule.name], rtol=1e-9)
