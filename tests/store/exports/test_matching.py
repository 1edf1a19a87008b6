"""Positions: finding ids in a list by half of their digits, and saying so where that is not enough."""

import hashlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.store.exports.matching import Positions, UnfitIdsError


def hashed(*numbers: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]


def chunked(*parts: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(part, pa.string()) for part in parts], pa.string())


@given(st.lists(st.integers(0, 50), unique=True), st.lists(st.integers(0, 80)), st.integers(0, 50))
def test_every_id_is_found_where_it_stands(held: list[int], wanted: list[int], cut: int) -> None:
    positions = Positions(chunked(hashed(*held[:cut]), hashed(*held[cut:])))
    expected = [held.index(number) if number in held else -1 for number in wanted]
    assert positions.find(pa.array(hashed(*wanted), pa.string())).tolist() == expected


def test_a_slice_is_read_from_where_it_begins() -> None:
    positions = Positions(chunked(hashed(1, 2, 3)))
    assert positions.find(pa.array(hashed(9, 3, 1), pa.string()).slice(1)).tolist() == [2, 0]


@pytest.mark.parametrize("odd", ["a1", "", None, "f" * 63])
def test_ids_that_are_no_hashes_are_refused(odd: str | None) -> None:
    with pytest.raises(UnfitIdsError, match="64 digits"):
        Positions(pa.chunked_array([pa.array([*hashed(1), odd], pa.string())]))
    with pytest.raises(UnfitIdsError, match="64 digits"):
        Positions(chunked(hashed(1))).find(pa.array([odd], pa.string()))


def test_ids_that_agree_in_what_is_compared_are_refused() -> None:
    [one] = hashed(1)
    with pytest.raises(UnfitIdsError, match="agree"):
        Positions(chunked([one, one[:32] + "0" * 32]))
    with pytest.raises(UnfitIdsError, match="agree"):
        Positions(chunked([one])).find(pa.array([one[:16] + "0" * 48], pa.string()))
