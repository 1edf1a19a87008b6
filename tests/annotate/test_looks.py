from itertools import pairwise

import numpy as np
import pytest

from curate.annotate.gate import accuracy, judge
from curate.annotate.looks import Spending, last_level

RATE = 0.05


def turned(answers: range, budget: int) -> list[tuple[int, float]]:
    """Return after how many answers there is a look, and what it spends."""
    spending, looks = Spending(), []
    for given in answers:
        if spending.due(given, budget):
            level = spending.level(given, RATE, budget)
            spending = spending.looked(given, level)
            looks.append((given, level))
    return looks


def test_looks_of_a_planned_budget_are_four_and_the_last_spends_most() -> None:
    looks = turned(range(0, 2_001, 20), 2_000)
    assert [given for given, _ in looks] == [500, 1_000, 1_500, 2_000]
    assert all(one < other for (_, one), (_, other) in pairwise(looks))
    assert looks[-1][1] > RATE / 2
    assert sum(level for _, level in looks) == pytest.approx(0.9 * RATE)
    assert last_level(Spending(), RATE, 2_000) == pytest.approx(looks[-1][1])


@pytest.mark.parametrize("budgets", [(0, 0), (0, 900), (600, 0), (600, 1_800), (1_800, 600)])
def test_however_the_budget_changes_no_more_is_spent_than_the_rate(budgets: tuple[int, int]) -> None:
    spending = Spending()
    for given in range(0, 6_000, 7):
        budget = budgets[given > 500]
        if spending.due(given, budget):
            level = spending.level(given, RATE, budget)
            assert level >= 0
            spending = spending.looked(given, level)
    assert 0 < spending.spent <= RATE


def test_without_a_budget_looks_come_as_answers_grow_by_half() -> None:
    given = [given for given, _ in turned(range(0, 2_000, 60), 0)]
    assert given == [60, 120, 180, 300, 480, 720, 1_080, 1_620]


def test_what_older_looks_spent_is_remembered() -> None:
    assert Spending.read("", RATE) == Spending()
    old = Spending.read("7 look-3", RATE)
    assert old.spent == pytest.approx(RATE * 6 / np.pi**2 * (1 + 1 / 4 + 1 / 9))
    assert Spending.read(f"8 look-4 {old.looked(90, 0.001)}", RATE).spent == pytest.approx(old.spent + 0.001)


def test_looks_pass_an_attribute_at_the_bar_seldom_and_a_good_one_often() -> None:
    generator = np.random.default_rng(4)

    def passes(true: float) -> float:
        return float(np.mean([_passes(generator.random(300) < true) for _ in range(1_000)]))

    assert passes(0.85) <= RATE
    assert passes(0.91) >= 0.8


def _passes(right: np.ndarray) -> bool:  # type: ignore[type-arg]
    return any(judge([accuracy(right[:given])], 0.85, level)[0].passed for given, level in turned(range(301), 300))
