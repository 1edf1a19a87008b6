import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import BadDataError
from curate.select import importance, measures, minhash
from curate.select.held_out import Bits, HeldOut
from curate.select.measures import (
    best_of,
    bits_per_character,
    kl_reduction,
    length_bias,
    overlap,
    precision_at,
    shares_by_source,
)
from curate.statistics import Interval

PROSE = [part for part in (importance.__doc__ or "").split(". ") + (minhash.__doc__ or "").split(". ") if part]
CODE = [f"def f{n}(x):\n    return [x + {n} for x in range({n})]\n" for n in range(12)]


CODE_AND_PROSE = CODE[:6] + PROSE


def by_hand(train: str, text: str, order: int = 5) -> float:
    """Return the bits of a text under Witten and Bell's interpolation, counted character by character."""
    total = 0.0
    padded = "\0" * (order - 1) + train
    for place, character in enumerate(text):
        history = ("\0" * (order - 1) + text[:place])[-(order - 1) :]
        likely = 1 / 256
        for size in range(order):
            context = history[len(history) - size :]
            followers = [
                padded[at + size]
                for at in range(order - 1 - size, len(padded) - size)
                if padded[at : at + size] == context
            ]
            if followers:
                kinds = len(set(followers))
                likely = (followers.count(character) + kinds * likely) / (len(followers) + kinds)
        total -= np.log2(likely)
    return total


def test_bits_are_the_formulas() -> None:
    train, texts = "the cat sat on the mat, the rat sat on the cat", ["the cat ate the rat", "xyz"]
    found = HeldOut([train, *PROSE], texts).bits([0])
    np.testing.assert_allclose(found.bits, [by_hand(train, text) for text in texts])
    assert found.characters.tolist() == [19, 3]


def test_a_budget_cuts_the_last_text() -> None:
    held_out = HeldOut(["abcdef" * 4, "ghijkl" * 4], ["abcghi"])
    cut = HeldOut(["abcdef" * 4, "ghijkl" * 2], ["abcghi"])
    assert held_out.bits([0, 1], 36).bits == pytest.approx(cut.bits([0, 1]).bits)
    assert held_out.bits([], 10).per_character == 8


def test_the_right_kind_helps_more() -> None:
    held_out = HeldOut([*PROSE, *CODE[:6]], CODE[6:])
    code = bits_per_character(held_out.bits(np.arange(len(PROSE), len(PROSE) + 6)))
    prose = bits_per_character(held_out.bits(np.arange(len(PROSE))))
    assert code.high < prose.low
    assert kl_reduction(CODE[:6], PROSE + CODE[:6], CODE[6:]).low > kl_reduction(PROSE, PROSE + CODE[:6], CODE[6:]).high


def test_all_of_the_pool_reduces_nothing() -> None:
    assert kl_reduction(PROSE, PROSE, CODE).value == pytest.approx(0)


def test_length_bias_of_brevity_is_minus_one() -> None:
    lengths = np.arange(30)
    assert length_bias(-lengths.astype(float), lengths).value == pytest.approx(-1)
    scores = np.append(lengths[:29].astype(float), np.nan)
    assert length_bias(scores, lengths).value == pytest.approx(1)


def test_shares_and_overlap() -> None:
    assert list(shares_by_source(["a", "b", "b"])) == ["b", "a"]
    scores = np.array([0.9, np.nan, 0.8, 0.1])
    assert best_of(scores).tolist() == [0, 2, 3]
    shared = overlap(scores, -scores, 2)
    assert (shared.low, shared.value, shared.high) == (0, 0.5, 1)
    assert precision_at(np.array([True, True, False, False]), scores, 2) == 0.5


words = st.lists(
    st.sampled_from(["rain", "fell", "def", "return", "x", "harbour", "of", "sum"]), min_size=1, max_size=12
)
some_texts = st.lists(words.map(" ".join), min_size=1, max_size=8)
numbers = st.floats(-4, 4, width=16)


def assert_holds_its_value(*intervals: Interval) -> None:
    for each in intervals:
        assert each.low - 1e-12 <= each.value <= each.high + 1e-12


@settings(max_examples=40, deadline=None)
@given(selected=some_texts, pool=some_texts, targets=some_texts)
def test_the_interval_of_a_kl_reduction_holds_its_value(
    selected: list[str], pool: list[str], targets: list[str]
) -> None:
    assert_holds_its_value(kl_reduction(selected, selected + pool, targets))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(numbers, numbers, st.integers(0, 30), st.sampled_from("abc")), min_size=1, max_size=30))
def test_the_intervals_of_all_other_measures_hold_their_values(rows: list[tuple[float, float, int, str]]) -> None:
    one, other, sizes = (np.array([row[column] for row in rows], np.float64) for column in range(3))
    texts = Bits(sizes + 1 + np.abs(one), sizes.astype(np.int64) + 1)
    assert_holds_its_value(
        bits_per_character(texts),
        length_bias(one, sizes.astype(np.int64)),
        overlap(one, other, max(1, len(rows) // 2)),
        *shares_by_source([row[3] for row in rows]).values(),
    )


def test_the_interval_of_a_kl_reduction_holds_what_such_a_selection_has_on_average(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measures, "RESAMPLES", 60)
    generator = np.random.default_rng(0)
    drawn = [[CODE_AND_PROSE[at] for at in generator.integers(0, len(CODE_AND_PROSE), 12)] for _ in range(60)]
    found = [kl_reduction(texts, CODE_AND_PROSE, CODE[6:]) for texts in drawn]
    average = float(np.mean([each.value for each in found]))
    assert np.mean([each.low <= average <= each.high for each in found]) >= 0.85


def test_nothing_held_out_is_refused() -> None:
    with pytest.raises(BadDataError, match="held out"):
        HeldOut(PROSE, [""])
    with pytest.raises(BadDataError, match="a word"):
        kl_reduction([], PROSE, CODE)
