"""The promotion gate lets better and equal checkpoints through and holds back what is worse anywhere."""

import numpy as np
import pytest

from curate.errors import BadDataError, ConfigurationError
from curate.learners.promotion import PromotionRules, Right, judge


def right(generator: np.random.Generator, share: float, items: int = 1000) -> Right:
    found: Right = generator.random(items) < share
    return found


def test_the_same_answers_are_no_worse() -> None:
    served = right(np.random.default_rng(0), 0.8)
    verdict = judge(served, served.copy(), {"class:a": np.arange(1000) < 30})
    assert verdict.promoted
    assert verdict.negative_flips == 0.0
    assert [(one.name, one.items) for one in verdict.slices] == [("all", 1000), ("class:a", 30)]


def test_better_on_average_and_worse_on_a_slice_is_refused_by_name() -> None:
    served = np.tile([True, False], 500)
    candidate = np.ones(1000, dtype=np.bool_)
    rare = np.arange(1000) < 60
    candidate[:20:2] = False
    verdict = judge(served, candidate, {"rare": rare, "others": ~rare})
    assert verdict.promoted
    candidate[rare] = False
    verdict = judge(served, candidate, {"rare": rare, "others": ~rare})
    assert not verdict.promoted
    assert len(verdict.reasons) == 1
    assert verdict.reasons[0].startswith("worse on rare: -0.5 [")


def test_many_flips_are_refused_even_where_accuracy_is_equal() -> None:
    served, candidate = np.ones(1000, dtype=np.bool_), np.ones(1000, dtype=np.bool_)
    served[:100], candidate[100:200] = False, False
    verdict = judge(served, candidate, rules=PromotionRules(margin=0.1))
    assert verdict.negative_flips == pytest.approx(0.1)
    assert verdict.reasons == ("0.1 of all items were right and would be wrong; no more than 0.05 may flip",)


def test_a_slice_of_few_items_is_judged_by_its_counts() -> None:
    served, candidate = np.ones(500, dtype=np.bool_), np.ones(500, dtype=np.bool_)
    candidate[0] = False
    few = np.arange(500) < 10
    verdict = judge(served, candidate, {"few": few})
    assert [one.holds for one in verdict.slices] == [True, False]
    assert "nothing is allowed" in verdict.reasons[0]


def test_the_gate_seldom_passes_one_that_is_worse_by_the_margin() -> None:
    """At the margin itself about one in twenty passes; more than 9 of 40 would be by chance once in 10,000 times."""
    generator = np.random.default_rng(0)
    passed = 0
    for _ in range(40):
        served = right(generator, 0.8, 400)
        flips = generator.random(400)
        candidate = np.where(flips < 0.075, False, np.where(flips > 0.8, True, served))
        passed += judge(served, candidate, rules=PromotionRules(negative_flips=1.0)).promoted
    assert passed <= 9


def test_an_empty_slice_is_left_out_and_unequal_arrays_are_refused() -> None:
    served = np.ones(50, dtype=np.bool_)
    assert len(judge(served, served, {"none": np.zeros(50, dtype=np.bool_)}).slices) == 1
    for bad in (served[1:], served[:0]):
        with pytest.raises(BadDataError, match="same for both"):
            judge(bad, served)
    with pytest.raises(BadDataError, match="needs test items"):
        judge(served[:0], served[:0])


@pytest.mark.parametrize("bad", [{"margin": -0.1}, {"negative_flips": 1.5}, {"confidence": 0.5}])
def test_rules_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="promotion gate"):
        PromotionRules(**bad)
