"""Examples out of what people answered: which are chosen, and when the choice is made anew."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.annotate.llm.choosing import MOST_CANDIDATES, Choice, candidates_of, choose_examples
from curate.annotate.llm.examples import Example

CHOICES: tuple[Choice, ...] = ("diverse", "typical")
WORDS = st.lists(st.sampled_from(("sun", "rain", "snow", "wind", "fog")), max_size=6).map(" ".join)
EXAMPLES = st.lists(st.builds(lambda text, value: Example(text, {"kind": value}), WORDS, st.sampled_from("abc")))


def told(*texts: str) -> list[Example]:
    return [Example(text, {"kind": "same"}) for text in texts]


def test_diverse_ones_are_unlike_each_other() -> None:
    candidates = told(
        "red apple pie", "red apple tart", "red apple pie again", "steel bridge bolts", "slow river water"
    )
    chosen = choose_examples(candidates, 3, "diverse", 600)
    assert set(chosen[1:]) == {3, 4}
    assert chosen[0] in (0, 1, 2)


def test_typical_ones_stand_for_the_most() -> None:
    candidates = told("one of a kind", *(f"red apple pie {number}" for number in range(5)), *["green pear"] * 3)
    assert {candidates[place].text for place in choose_examples(candidates, 2, "typical", 600)} >= {"green pear"}
    assert 0 not in choose_examples(candidates, 2, "typical", 600)


@pytest.mark.parametrize("choice", CHOICES)
def test_rare_answers_are_shown_as_often_as_common_ones(choice: Choice) -> None:
    common = [Example(f"a plain text of number {number}", {"kind": "common"}) for number in range(50)]
    rare = [Example(f"a plain text of rare number {number}", {"kind": "rare"}) for number in range(3)]
    chosen = choose_examples([*common, *rare], 6, choice, 600)
    assert Counter([*common, *rare][place].answers["kind"] for place in chosen) == {"common": 3, "rare": 3}


def test_what_is_not_shown_does_not_count() -> None:
    candidates = told("red apple", "red apple" + " and steel bridge bolts", "blue river")
    assert set(choose_examples(candidates, 2, "diverse", 9)) in ({0, 2}, {1, 2})


@given(EXAMPLES, st.integers(0, 8), st.sampled_from(CHOICES))
def test_a_choice_is_of_that_many_different_ones_and_repeats_itself(
    candidates: list[Example], count: int, choice: Choice
) -> None:
    chosen = choose_examples(candidates, count, choice, 600)
    assert len(chosen) == len(set(chosen)) == min(count, len(candidates))
    assert chosen == choose_examples(candidates, count, choice, 600)
    assert all(0 <= place < len(candidates) for place in chosen)


@given(st.integers(1, 64), st.integers(0, 3_000))
def test_the_choice_is_made_anew_when_twice_as_many_are_answered(count: int, answered: int) -> None:
    considered = candidates_of(count, answered)
    assert considered <= min(answered, MOST_CANDIDATES)
    if answered < count:
        assert considered == 0
    else:
        assert considered == MOST_CANDIDATES or answered < 2 * considered
