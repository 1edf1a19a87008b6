"""Positions: finding ids in a list by half of their digits."""

import hashlib
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import StoreError
from curate.store.exports.matching import Positions, id_words


def hashed(*numbers: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]


def words(*items: str | None) -> Any:
    return id_words(pa.array(items, pa.string()))


@given(st.lists(st.integers(0, 50), unique=True), st.lists(st.integers(0, 80)))
def test_every_id_is_found_where_it_stands(held: list[int], wanted: list[int]) -> None:
    positions = Positions(words(*hashed(*held)))
    expected = [held.index(number) if number in held else -1 for number in wanted]
    assert positions.find(words(*hashed(*wanted))).tolist() == expected
    assert len(positions) == len(held)


def test_many_ids_that_share_places_in_the_tables_are_told_apart() -> None:
    items = hashed(*range(5_000))
    positions = Positions(words(*items))
    assert len(positions._tables) > 2
    assert positions.find(words(*items, *hashed(*range(5_000, 9_000)))).tolist() == [*range(5_000), *[-1] * 4_000]


def test_a_slice_is_read_from_where_it_begins() -> None:
    positions = Positions(words(*hashed(1, 2, 3)))
    assert positions.find(id_words(pa.array(hashed(9, 3, 1), pa.string()).slice(1))).tolist() == [2, 0]


def test_ids_that_are_no_hashes_are_found_as_well() -> None:
    held = ["a1", "", "f" * 63, "ü" * 32, *hashed(1)]
    positions = Positions(words(*held))
    assert positions.find(words("b1", *reversed(held))).tolist() == [-1, 4, 3, 2, 1, 0]
    assert positions.find(words(*hashed(1))).tolist() == [4]


def test_ids_that_agree_in_one_number_only_are_different() -> None:
    [one] = hashed(1)
    other = one[:16] + "0" * 48
    assert Positions(words(one)).find(words(other)).tolist() == [-1]
    assert Positions(words(one, other)).find(words(other, one)).tolist() == [1, 0]


def test_an_id_that_is_there_twice_is_refused() -> None:
    with pytest.raises(StoreError, match="twice"):
        Positions(words(*hashed(1, 2, 1)))
