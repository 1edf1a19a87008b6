"""Sequences are padded without losing events, window or unit."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from curate.errors import BadDataError
from curate.learners.events.sequences import EventSequences

EVENTS = pa.list_(pa.struct([("time", pa.float64()), ("type", pa.int32())]))


def two() -> EventSequences:
    return EventSequences.of(
        [(np.array([0.5, 2.0, 2.0]), np.array([1, 0, 2])), (np.array([7.0]), np.array([1]))], unit="days"
    )


def test_events_are_padded_with_no_time_passing() -> None:
    found = two()
    assert found.times.tolist() == [[0.5, 2.0, 2.0], [7.0, 7.0, 7.0]]
    assert found.types.tolist() == [[1, 0, 2], [1, 0, 0]]
    assert found.mask.tolist() == [[True, True, True], [True, False, False]]
    assert found.counted.tolist() == [[False, True, True], [False, False, False]]
    assert found.durations.tolist() == [[0.0, 1.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    assert (found.unit, found.type_count) == ("days", 3)


def test_the_stores_column_gives_the_same() -> None:
    rows = [[{"time": 0.5, "type": 1}, {"time": 2.0, "type": 0}, {"time": 2.0, "type": 2}], [{"time": 7.0, "type": 1}]]
    column = pa.array([[{"time": 1.0, "type": 0}], *rows], EVENTS)[1:]
    for given in (column, pa.chunked_array([column[:1], column[1:]])):
        found, expected = EventSequences.from_arrow(given, unit="days"), two()
        assert np.array_equal(found.times, expected.times)
        assert np.array_equal(found.types, expected.types)
        assert np.array_equal(found.lengths, expected.lengths)


def test_a_selection_is_padded_no_further_than_it_needs(drawn: EventSequences) -> None:
    rows = np.argsort(drawn.lengths)[:3]
    found = drawn.select(rows)
    assert found.times.shape == (3, drawn.lengths[rows].max())
    for row, place in enumerate(rows):
        length = found.lengths[row]
        assert np.array_equal(found.times[row, :length], drawn.times[place, :length])
        assert np.array_equal(found.types[row, :length], drawn.types[place, :length])


def test_durations_fill_the_window(drawn: EventSequences) -> None:
    assert np.allclose(drawn.durations.sum(axis=1), drawn.end - drawn.origin)


def test_history_is_not_counted(drawn: EventSequences) -> None:
    found = drawn.with_given(10).counted
    assert not found[:, :10].any()
    assert found.sum() == np.maximum(drawn.lengths - 10, 0).sum()


@pytest.mark.parametrize(
    ("times", "types", "message"),
    [
        ([1.0, 0.5], [0, 0], "times of sequence 1 fall"),
        ([1.0, np.nan], [0, 0], "not finite"),
        ([1.0], [3], "type 3 is not one of 3"),
        ([1.0], [-1], "type -1"),
        ([], [], "sequence 1 has no event"),
    ],
)
def test_what_is_no_sequence_is_refused(times: list[float], types: list[int], message: str) -> None:
    good = (np.array([9.0, 10.0]), np.array([0, 1]))
    with pytest.raises(BadDataError, match=message):
        EventSequences.of([good, (np.array(times), np.array(types))], unit="days", type_count=3)


def test_sequences_are_joined_in_order() -> None:
    first = EventSequences.of([(np.array([0.0, 1.0, 4.0]), np.array([0, 2, 2]))], unit="days", type_count=3)
    second = EventSequences.of([(np.array([5.0, 7.0]), np.array([1, 1]))], unit="days", type_count=3)
    found = EventSequences.joined([second, first])
    assert found.times.tolist() == [[5.0, 7.0, 7.0], [0.0, 1.0, 4.0]]
    assert found.types.tolist() == [[1, 1, 0], [0, 2, 2]]
    assert found.lengths.tolist() == [2, 3]
    assert (found.origin.tolist(), found.end.tolist(), found.given.tolist()) == ([5.0, 0.0], [7.0, 4.0], [1, 1])
    with pytest.raises(BadDataError, match="one unit"):
        EventSequences.joined([first, replace(second, unit="hours")])
