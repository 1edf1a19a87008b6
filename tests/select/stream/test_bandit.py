"""The bandit finds the strategy that pays, again after a drift, and goes on to the bit."""

import json

import numpy as np
import pytest

from curate.errors import BadDataError, ConfigurationError
from curate.select.stream.bandit import Bandit


def play(bandit: Bandit, count: int, pays: int, seed: int = 0) -> list[int]:
    chance = np.random.default_rng(seed)
    drawn: list[int] = []
    for _ in range(count):
        _, [strategy], [probability] = bandit.utilities(chance.random((3, 1)))
        drawn.append(int(strategy))
        bandit.reward(int(strategy), float(probability), float(chance.random() < (0.7 if strategy == pays else 0.2)))
    return drawn


def test_it_finds_what_pays_and_another_after_a_drift() -> None:
    bandit = Bandit(["one", "two", "three"], seed=1)
    play(bandit, 600, pays=1)
    assert bandit.probabilities.argmax() == 1
    assert bandit.probabilities[1] > 0.6
    play(bandit, 900, pays=2, seed=3)
    assert bandit.probabilities.argmax() == 2
    assert bandit.probabilities.sum() == pytest.approx(1)
    assert bandit.probabilities.min() >= 0.2 / 3


def test_strategies_are_drawn_as_often_as_it_says() -> None:
    bandit = Bandit(["one", "two", "three"], seed=5)
    bandit.reward(0, 0.1, 1.0)
    expected = bandit.probabilities
    _, drawn, chances = bandit.utilities(np.random.default_rng(0).random((3, 6_000)))
    assert np.bincount(drawn, minlength=3) / 6_000 == pytest.approx(expected, abs=0.02)
    assert (chances == expected[drawn]).all()


def test_utilities_are_ranks_among_the_last_items() -> None:
    bandit = Bandit(["one", "two"], window=4)
    values = np.tile([3.0, 1.0, 2.0, 5.0, 0.0], (2, 1))
    assert bandit.utilities(values)[0].tolist() == [1, 1 / 2, 2 / 3, 1, 1 / 4]


def test_a_restart_changes_nothing() -> None:
    whole, first, second = (Bandit(["one", "two", "three"], seed=2, window=50) for _ in range(3))
    expected = play(whole, 100, 0) + play(whole, 100, 2, seed=1)
    found = play(first, 100, 0)
    second.load(json.loads(json.dumps(first.state())))
    assert found + play(second, 100, 2, seed=1) == expected
    assert second.state() == whole.state()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="two strategies"):
        Bandit(["one"])
    with pytest.raises(BadDataError, match="rows"):
        Bandit(["one", "two"]).utilities(np.zeros((3, 1)))
    with pytest.raises(BadDataError, match="other strategies"):
        Bandit(["one", "two"]).load(Bandit(["one", "three"]).state())
