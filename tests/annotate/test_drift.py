"""Drift of a passed attribute: small drops are seen, and false alarms stay within their rate however often one asks."""

import numpy as np
import pytest

from curate.annotate.drift import has_drifted

BAR, RUNS = 0.85, 200


def alarms(passed: float, audited: int, now: float, rechecks: int, steady: int = 0, seed: int = 0) -> float:
    """The share of attributes, passed at one accuracy, that are taken for drifted after rechecks at another."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(RUNS):
        before = int((generator.random(audited) < passed).sum())
        right = np.concatenate([generator.random(steady) < passed, generator.random(rechecks) < now])
        found.append(has_drifted(right, BAR, (before, audited)))
    return float(np.mean(found))


@pytest.mark.parametrize(("passed", "audited"), [(0.9, 300), (0.95, 100)])
def test_false_alarms_stay_within_the_rate_over_many_rechecks(passed: float, audited: int) -> None:
    assert alarms(passed, audited, passed, 600) <= 0.08


@pytest.mark.parametrize(("now", "seen"), [(0.82, 0.3), (0.75, 0.8), (0.65, 0.99)])
def test_drops_are_seen_within_a_hundred_rechecks(now: float, seen: float) -> None:
    assert alarms(0.9, 300, now, 100) >= seen


def test_a_drop_that_comes_late_is_seen_too() -> None:
    assert alarms(0.9, 300, 0.75, 100, steady=200) >= 0.7


def test_what_it_passed_with_tells_a_drop_from_an_attribute_that_was_always_near_the_bar() -> None:
    wrong_in_six = ([True] * 5 + [False]) * 12
    assert has_drifted(wrong_in_six, BAR, (195, 200))
    assert not has_drifted(wrong_in_six, BAR, (520, 600))


def test_nothing_is_said_of_nothing_and_of_bars_at_the_ends() -> None:
    assert not has_drifted([], BAR)
    assert has_drifted([False] * 30, 0.999)
    assert has_drifted([False] * 200, 0.05)
