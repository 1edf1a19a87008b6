"""Which questions a new version must ask, found from what is true: by hand here, where it is plain to see."""

from dataclasses import replace
from random import Random

from benchmarks.harness.hidden_truth import SIDES, Meaning, drawn_items, drawn_protocol, needed, questions

EVERY = frozenset(range(12))
SHIRT, COAT, NONE = frozenset({0, 1, 2}), frozenset({3, 4, 5}), frozenset(range(6, 12))
TOP = Meaning("top", 0, {"shirt": SHIRT, "coat": COAT, "none": NONE})
SLEEVE = Meaning("sleeve", 1, {"short": frozenset({0}), "long": EVERY - {0}}, when={"top": ("shirt", "coat")})
ITEMS = [(frozenset({mark}), *[frozenset({0})] * (SIDES - 1)) for mark in (0, 1, 3, 6)]
"""Two shirts, a coat and nothing, each with short sleeves."""


def test_a_split_value_leaves_open_what_had_it() -> None:
    split = replace(TOP, covers={"shirt": frozenset({0, 1}), "tunic": frozenset({2}), "coat": COAT, "none": NONE})
    assert needed([(TOP,)], (split,), ITEMS) == {(0, "top"), (1, "top")}


def test_merged_and_renamed_values_leave_nothing_open() -> None:
    merged = replace(TOP, name="above", covers={"something": SHIRT | COAT, "bare": NONE})
    assert needed([(TOP,)], (merged,), ITEMS) == set()


def test_a_question_is_open_only_where_it_applies_and_was_not_asked_before() -> None:
    old = (TOP, SLEEVE)
    assert questions(old, ITEMS) == {(number, "top") for number in range(4)} | {
        (number, "sleeve") for number in range(3)
    }
    everywhere = (TOP, replace(SLEEVE, when={}))
    assert needed([old], everywhere, ITEMS) == {(3, "sleeve")}
    assert needed([everywhere], old, ITEMS) == set()


def test_a_value_among_several_is_open_alone() -> None:
    patches = Meaning("patches", 4, {"red": frozenset({0, 1}), "blue": frozenset({2})})
    items = [(*[frozenset({0})] * 4, marks, frozenset[int]()) for marks in (frozenset({0}), frozenset({2}))]
    narrower = replace(patches, covers={"red": frozenset({0}), "blue": frozenset({2})})
    without = replace(patches, covers={"blue": frozenset({2})})
    assert needed([(patches,)], (narrower,), items) == {(0, "patches")}
    assert needed([(patches,)], (without,), items) == set()


def test_whatever_is_drawn_has_one_answer_of_the_single_attributes() -> None:
    random = Random(1)
    meanings = drawn_protocol(random)
    for item in drawn_items(50, random):
        assert all(len(one.chosen(item[one.side])) == 1 for one in meanings if not one.multiple)
