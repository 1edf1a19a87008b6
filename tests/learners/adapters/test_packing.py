"""Packing loses nothing: each token but a text's first is predicted once, from the tokens before it in its text."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import BadDataError, UsageError
from curate.learners.adapters.packing import Packing, apart, pack

TEXTS = st.lists(st.lists(st.integers(0, 99), max_size=40), max_size=25)
LENGTHS = st.integers(2, 17)


def predicted(packing: Packing) -> list[int]:
    """The places of all tokens that are predicted."""
    pieces = [piece for block in packing.blocks for piece in block]
    return sorted(place for piece in pieces for place in range(piece.start + 1, piece.stop))


@given(TEXTS, LENGTHS)
@pytest.mark.parametrize("way", [pack, apart])
def test_each_token_but_a_texts_first_is_predicted_once(
    way: Callable[..., Packing], texts: list[list[int]], length: int
) -> None:
    packing = way(texts, length)
    assert packing.tokens.tolist() == [token for text in texts for token in text]
    starts = np.cumsum([0, *map(len, texts)])
    wanted = [
        place for text, start in zip(texts, starts, strict=False) for place in range(start + 1, start + len(text))
    ]
    assert predicted(packing) == wanted
    assert packing.targets == len(wanted)
    assert packing.untaught == tuple(number for number, text in enumerate(texts) if len(text) < 2)
    assert packing.divided == tuple(number for number, text in enumerate(texts) if len(text) > length)


@given(TEXTS, LENGTHS)
def test_a_block_holds_no_more_than_its_length_and_a_piece_no_other_text(texts: list[list[int]], length: int) -> None:
    packing = pack(texts, length)
    starts = np.cumsum([0, *map(len, texts)])
    for block in packing.blocks:
        assert 0 < sum(map(len, block)) <= length
        for piece in block:
            assert starts[piece.document] <= piece.start < piece.stop <= starts[piece.document + 1]


@given(TEXTS, LENGTHS)
def test_no_two_blocks_would_fit_into_one(texts: list[list[int]], length: int) -> None:
    sizes = sorted(sum(map(len, block)) for block in pack(texts, length).blocks)
    assert len(sizes) < 2 or sizes[0] + sizes[1] > length


def test_a_long_text_goes_on_with_the_token_that_its_part_before_ended_with() -> None:
    packing = apart([list(range(10))], 4)
    assert [(piece.start, piece.stop) for (piece,) in packing.blocks] == [(0, 4), (3, 7), (6, 10)]


def test_blocks_are_nearly_full() -> None:
    generator = np.random.default_rng(0)
    packing = pack([generator.integers(0, 9, length) for length in generator.integers(2, 200, 500)], 256)
    assert packing.filled > 0.98
    assert not packing.divided


@pytest.mark.parametrize("text", [[1, -1], [1.5, 2.0], [[1], [2]], [1, 2**31]])
def test_tokens_are_whole_numbers(text: list[int]) -> None:
    with pytest.raises(BadDataError, match="text 1"):
        pack([[1, 2], text], 8)


def test_a_block_predicts_something() -> None:
    with pytest.raises(UsageError):
        pack([[1, 2, 3]], 1)
