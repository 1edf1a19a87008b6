"""The streams' benchmark runs in machine code what the product decides, and its comparison is scipy's."""

from typing import Any

import numpy as np
import pytest

from benchmarks.harness import windowed
from benchmarks.harness.circumstances_of_streams import CIRCUMSTANCES
from benchmarks.harness.policies import DEFAULT, OTHERS, PEERS, Course
from benchmarks.harness.windowed import NEVER, Answers, prequential
from curate.select.stream import utilities
from curate.select.stream.budgets import manager_named


def course(count: int = 400) -> Course:
    chance = np.random.default_rng(3)
    classes = chance.integers(0, 3, count)
    return Course((chance.normal(size=(count, 4)) + classes[:, None], classes))


def worth(name: str, probabilities: np.ndarray, committee: np.ndarray, item: np.ndarray) -> float:
    if name in ("vote-entropy", "consensus-divergence", "disagreement"):
        return float(getattr(utilities, name.replace("-", "_"))(committee[:, None])[0])
    return float(utilities.UTILITIES[name](probabilities[None], item[None])[0])


@pytest.mark.parametrize("name", windowed.UTILITIES[:7])
def test_utilities_are_the_products(name: str) -> None:
    chance = np.random.default_rng(1)
    for _ in range(20):
        probabilities, committee = chance.dirichlet(np.ones(3)), chance.dirichlet(np.ones(3), 5)
        item = chance.normal(size=4)
        found = windowed._worth(windowed.UTILITIES.index(name), probabilities, committee, item)
        assert found == pytest.approx(worth(name, probabilities, committee, item))


def test_the_probabilistic_gain_is_the_products() -> None:
    for counts in np.random.default_rng(1).exponential(1.0, (20, 3)):
        expected = utilities.expected_error_reduction(counts[None], 0.001, 2)[0]
        assert windowed._reduction(counts) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("manager", ["paced", "split", "uniform"])
def test_a_run_is_what_the_manager_decides_item_by_item(manager: str) -> None:
    stream, step = course(), manager_named(manager, 0.2, 5)
    found = prequential(stream.features, stream.classes, manager_named(manager, 0.2, 5), "margin")
    held: list[int] = []
    probabilities = np.full(3, 1 / 3)
    for place, label in enumerate(stream.classes):
        if held:
            near = sorted(held, key=lambda other: ((stream.features[place] - stream.features[other]) ** 2).sum())[:7]
            votes = np.bincount(stream.classes[near], minlength=3)
            probabilities = (votes + 0.5 / 3) / (len(near) + 0.5)
        assert found.right[place] == (probabilities.argmax() == label)
        value = utilities.margin(probabilities[None]) if held else np.ones(1)
        reason = step.decide(value)[0]
        assert found.reasons[place] == reason
        held += [place] if reason else []
    assert 60 < found.spent < 110


def test_answers_come_when_they_come() -> None:
    stream = course()
    never = Answers(stream.classes, np.full(400, NEVER))
    silent = stream.passed(PEERS["random"], 0.5, 1, never)
    assert silent.right.tolist() == (stream.classes == 0).tolist()
    late = stream.passed(PEERS["random"], 0.5, 1, Answers.at_once(stream.classes, 150))
    assert late.right[:150].tolist() == (stream.classes[:150] == 0).tolist()
    assert late.right[200:].mean() > silent.right[200:].mean() + 0.2


@pytest.mark.parametrize("name", [*CIRCUMSTANCES])
def test_no_circumstance_starves_or_overspends(name: str) -> None:
    pair = CIRCUMSTANCES[name](course(), 0.2, 1)
    assert abs(pair.ours.spent - pair.ours.budget(0.2)) <= 1
    assert pair.ours.accuracy > 0.4


@pytest.mark.parametrize("name", [*PEERS, *OTHERS])
def test_every_strategy_passes(name: str) -> None:
    policy: Any = {**PEERS, **OTHERS}[name]
    found = course().passed(policy, 0.2, 1)
    assert found.spent > 0
    assert policy.manager != DEFAULT.manager or abs(found.spent - 80) <= 1
