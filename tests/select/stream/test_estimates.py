"""Accuracies from labels that were chosen: the choice must not show in them."""

import numpy as np
import pytest

from curate.errors import BadDataError
from curate.select.stream.account import account_named
from curate.select.stream.budgets import REASONS
from curate.select.stream.estimates import purchases, weighted_accuracy


def labelled(manager: str, seed: int, count: int = 20_000) -> tuple[np.ndarray, list[str], np.ndarray, float]:
    """A stream whose model errs where it is unsure: what is asked about, and its true accuracy."""
    chance = np.random.default_rng(seed)
    utilities = chance.beta(1, 3, count)
    right = chance.random(count) > utilities
    reasons, propensities = account_named(manager, 0.1, seed).decide(utilities)
    asked = reasons > 0
    names = [REASONS[number] for number in reasons[asked]]
    return right[asked], names, propensities[asked], float(right.mean())


@pytest.mark.parametrize("manager", ["paced", "uniform", "split", "selective"])
def test_the_choice_of_questions_does_not_show(manager: str) -> None:
    naive, weighted = [], []
    held = 0
    for seed in range(20):
        right, reasons, propensities, truth = labelled(manager, seed)
        found = weighted_accuracy(right, reasons, propensities)
        assert found is not None
        held += found.low <= truth <= found.high
        weighted.append(found.value - truth)
        naive.append(right.mean() - truth)
    assert abs(np.mean(weighted)) < 0.015
    assert held >= 16
    assert manager in ("uniform", "selective") or np.mean(naive) < -0.05


@pytest.mark.parametrize("manager", ["fixed", "variable", "quantile", "periodic"])
def test_without_chance_there_is_no_estimate(manager: str) -> None:
    right, reasons, propensities, _ = labelled(manager, 1, 2_000)
    assert weighted_accuracy(right, reasons, propensities) is None


def test_labels_buy_what_they_better() -> None:
    right = np.r_[np.arange(100) % 2 == 0, np.arange(100) % 4 != 0, np.ones(60, bool)]
    found = purchases(right, ["random"] * 260, np.full(260, 0.01))
    assert [one.labels for one in found] == [100, 200]
    assert [one.accuracy.value for one in found if one.accuracy] == pytest.approx([0.5, 0.75])
    assert [one.gain for one in found] == [None, pytest.approx(0.25)]
    nothing = purchases(right, ["utility"] * 260, np.ones(260))
    assert [(one.accuracy, one.gain) for one in nothing] == [(None, None)] * 2


def test_a_propensity_is_a_probability() -> None:
    with pytest.raises(BadDataError, match="propensity"):
        weighted_accuracy(np.array([True]), ["random"], np.array([0.0]))
