"""Discovery over planted captions with a fake analyst, which errs on demand."""

import random
from collections.abc import Sequence

import pytest
from sklearn.metrics import adjusted_rand_score

from benchmarks.harness.fake_analyst import FakeAnalyst
from benchmarks.harness.planted_captions import LEXICON, Planted, plant, planted_dimension
from curate.annotate.discovery.analyst import Answer, Question
from curate.annotate.discovery.assignment import assign_items
from curate.annotate.discovery.discover import discover
from curate.annotate.discovery.parameters import DiscoveryParameters, plan_discovery, reference_calls
from curate.annotate.discovery.questions import Caption
from curate.annotate.discovery.structure import Dimension, Structure
from curate.annotate.discovery.words import UNKNOWN
from curate.errors import BadDataError, ConfigurationError

PARAMETERS = DiscoveryParameters(rounds=6, captions=12, attribute_rounds=2, refinements=1, seed=3)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(160, seed=1)


class FakeLiar(FakeAnalyst):
    """A fake that answers everything with the same, whatever is asked."""

    def __init__(self, answer: Answer | None) -> None:
        super().__init__()
        self._same = answer

    def answers(self, questions: Sequence[Question]) -> list[Answer | None]:
        return [self._same for _ in questions]


def agreement(planted: Planted, structure: Structure, analyst: FakeAnalyst, parameters: DiscoveryParameters) -> float:
    """The lowest adjusted Rand index of a planted dimension."""
    said = {caption.item_id: one for caption, one in zip(planted.captions, planted.said(), strict=True)}
    found = assign_items(planted.captions, structure, analyst, parameters).assignments
    lowest = 1.0
    for dimension in structure.dimensions:
        name = planted_dimension(dimension.attributes)
        pairs = [(said[a.item_id].get(name, UNKNOWN), a.attribute) for a in found if a.dimension == dimension.name]
        lowest = min(lowest, adjusted_rand_score(*zip(*pairs, strict=True)))
    return lowest


def test_what_was_planted_is_found_and_assigned(planted: Planted) -> None:
    analyst = FakeAnalyst()
    structure = discover(planted.captions, analyst, PARAMETERS)
    assert {one.name: set(one.attributes) for one in structure.dimensions} == {n: set(v) for n, v in LEXICON.items()}
    assert agreement(planted, structure, analyst, PARAMETERS) == 1.0


def test_it_does_not_matter_in_which_order_items_come(planted: Planted) -> None:
    mixed = list(planted.captions)
    random.Random(0).shuffle(mixed)
    first = discover(planted.captions, FakeAnalyst(0.2), PARAMETERS)
    assert discover(mixed, FakeAnalyst(0.2), PARAMETERS) == first


def test_an_analyst_that_errs_is_outvoted(planted: Planted) -> None:
    analyst = FakeAnalyst(noise=0.2, broken=0.1)
    structure = discover(planted.captions, analyst, PARAMETERS)
    names = [name for one in structure.dimensions for name in (one.name, *one.attributes)]
    assert {planted_dimension(one.attributes) for one in structure.dimensions} == set(LEXICON)
    assert not {"unacceptable criteria", "other", "n/a", "mysterious aura", "criteria", "mood"} & set(names)


def test_several_answers_to_an_item_are_better_than_one(planted: Planted) -> None:
    structure = discover(planted.captions, FakeAnalyst(), PARAMETERS)
    several = DiscoveryParameters(answers=5, seed=3)
    once = agreement(planted, structure, FakeAnalyst(0.25), PARAMETERS)
    assert agreement(planted, structure, FakeAnalyst(0.25), several) > once + 0.1


@pytest.mark.parametrize(
    "answer",
    [None, {}, {"aspects": [{"aspect": 3}]}, {"aspects": "x", "values": [1], "others": 2}, {"values": ["unknown"]}],
)
def test_answers_of_no_use_find_nothing_and_end_nothing(planted: Planted, answer: Answer | None) -> None:
    liar = FakeLiar(answer)
    structure = discover(planted.captions, liar, PARAMETERS)
    assert structure.dimensions == ()
    known = Structure(dimensions=(Dimension("place", ("beach", "street")),))
    assigned = assign_items(planted.captions[:9], known, liar, PARAMETERS)
    assert {one.attribute for one in assigned.assignments} <= {UNKNOWN}
    assert len(assigned.failed) == (9 if answer is None else 0)


def test_what_no_words_of_the_text_show_is_unknown() -> None:
    captions = [Caption("1", "A cat on the beach"), Caption("2", "A cat")]
    known = Structure(dimensions=(Dimension("place", ("beach", "street"), merged={"beach": ("seaside",)}),))
    liar = FakeLiar({"place": {"quote": "at the seaside", "value": "beach"}})
    first, second = assign_items(captions, known, liar, PARAMETERS).assignments
    assert (first.attribute, first.quote) == ("beach", "beach")
    assert (second.attribute, second.quote) == (UNKNOWN, "")
    outside = FakeLiar({"place": {"quote": "on the beach", "value": "moon"}})
    assert assign_items(captions[:1], known, outside, PARAMETERS).assignments[0].attribute == UNKNOWN


def test_the_number_of_names_is_bounded(planted: Planted) -> None:
    few = DiscoveryParameters(rounds=6, most_dimensions=2, most_attributes=3, seed=3)
    structure = discover(planted.captions, FakeAnalyst(), few)
    assert len(structure.dimensions) == 2
    assert all(len(one.attributes) <= 3 for one in structure.dimensions)


def test_a_pinned_dimension_is_filled_and_nothing_else_is_proposed(planted: Planted) -> None:
    analyst = FakeAnalyst()
    pinned = DiscoveryParameters(pinned=("weather",), most_dimensions=1, seed=3)
    [dimension] = discover(planted.captions, analyst, pinned).dimensions
    assert (dimension.name, set(dimension.attributes)) == ("weather", set(LEXICON["weather"]))
    assert "dimensions" not in {question.stage for question in analyst.asked}


def test_a_locked_dimension_stays_as_it_is(planted: Planted) -> None:
    locked = Dimension("place", ("beach", "forest"), locked=True)
    structure = discover(planted.captions, FakeAnalyst(), PARAMETERS, Structure("mine", "animal", (locked,)))
    assert structure.dimensions[0] == locked
    assert [planted_dimension(one.attributes) for one in structure.dimensions].count("place") == 1
    assert (structure.name, structure.of_class) == ("mine", "animal")


def test_refinement_adds_what_the_rounds_missed(planted: Planted) -> None:
    known = Structure(dimensions=(Dimension("place", ("beach", "forest"), pinned=True),))
    without = DiscoveryParameters(rounds=0, attribute_rounds=0, refinements=0, seed=3)
    with_it = DiscoveryParameters(rounds=0, attribute_rounds=0, refinements=2, batch=12, seed=3)
    assert discover(planted.captions, FakeAnalyst(), without, known).dimensions[0].attributes == ("beach", "forest")
    refined = discover(planted.captions, FakeAnalyst(), with_it, known).dimensions[0].attributes
    assert set(refined) == set(LEXICON["place"])


def test_no_more_is_asked_than_was_planned(planted: Planted) -> None:
    analyst = FakeAnalyst(noise=0.3)
    structure = discover(planted.captions, analyst, PARAMETERS)
    assign_items(planted.captions, structure, analyst, PARAMETERS)
    plan = plan_discovery(PARAMETERS, [caption.text for caption in planted.captions], len(planted.captions))
    asked = {stage.name: sum(one.stage == stage.name for one in analyst.asked) for stage in plan.stages}
    assert all(asked[stage.name] <= stage.calls for stage in plan.stages)
    assert 3 * plan.calls < reference_calls(len(structure.dimensions), len(planted.captions))


def test_too_few_texts_and_impossible_numbers_are_refused(planted: Planted) -> None:
    with pytest.raises(BadDataError, match="3 texts are too few"):
        discover(planted.captions[:3], FakeAnalyst(), PARAMETERS)
    with pytest.raises(BadDataError, match="1 text is too few"):
        discover(planted.captions[:1], FakeAnalyst(), PARAMETERS)
    for wrong in ({"votes": 0}, {"rounds": -1}, {"least_votes": 2.0}, {"pinned": ("a", "b"), "most_dimensions": 1}):
        with pytest.raises(ConfigurationError):
            DiscoveryParameters(**wrong)  # type: ignore[arg-type]
