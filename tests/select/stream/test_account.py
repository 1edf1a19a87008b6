"""The exact account: whatever manager stands before it, it is never overspent, and restarts change nothing."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import BadDataError, ConfigurationError
from curate.select.stream import kernels
from curate.select.stream.account import Account, account_named
from curate.select.stream.budgets import MANAGERS, manager_named


@settings(max_examples=settings().max_examples // 2, deadline=None)
@given(
    name=st.sampled_from(list(MANAGERS)),
    rate=st.floats(0.005, 1.0),
    seed=st.integers(0, 2**31),
    shape=st.floats(0.1, 5),
    loan=st.integers(0, 40),
    most=st.sampled_from([None, None, 0, 7, 30]),
    cuts=st.lists(st.integers(1, 200), max_size=6),
)
def test_it_is_never_more_than_a_label_off_under_any_manager(
    name: str, rate: float, seed: int, shape: float, loan: int, most: int | None, cuts: list[int]
) -> None:
    account = account_named(name, rate, seed, loan=loan, most=most)
    values = np.random.default_rng(seed).beta(shape, 1, 400)
    parts = [account.decide(part) for part in np.split(values, np.unique(np.cumsum(cuts))) if len(part)]
    reasons, chances = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    assert ((chances >= 0) & (chances <= 1)).all()
    assert (chances[reasons > 0] > 0).all()
    spent, seen = np.cumsum(reasons > 0), np.arange(1, 401)
    allowed = rate * seen + np.maximum(0, loan - 0.5 * rate * seen)
    allowed = allowed if most is None else np.minimum(allowed, most)
    assert (spent <= allowed + 1 + 1e-9).all()
    assert most is None or spent[-1] <= most
    assert (spent >= np.minimum(allowed - 1 - 1e-9, seen)).all()
    assert (account.seen, account.spent) == (400, spent[-1])
    assert account.allowed() == pytest.approx(allowed[-1])


@pytest.mark.parametrize("name", MANAGERS)
def test_a_restart_changes_nothing(name: str) -> None:
    values = np.random.default_rng(2).beta(1, 3, 3_000)
    whole = account_named(name, 0.1, seed=3).decide(values)
    account, parts = account_named(name, 0.1, seed=3), []
    kernels._decided.clear()
    for part in np.split(values, [1, 7, 700, 2_500]):
        again = account_named(name, 0.1, seed=3)
        again.load(json.loads(json.dumps(account.state())))
        account = again
        parts.append(account.decide(part))
    for place in (0, 1):
        assert np.concatenate([part[place] for part in parts]).tolist() == whole[place].tolist()


@pytest.mark.parametrize("loan", [0, 10, 25])
def test_the_default_needs_no_account(loan: int) -> None:
    """Its own books are the same, so the account refuses and adds nothing."""
    values = np.random.default_rng(1).beta(1, 3, 4_000)
    alone = manager_named("paced", 0.05, 4, loan=loan).decide(values)
    assert account_named("paced", 0.05, 4, loan=loan).decide(values)[0].tolist() == alone.tolist()


@pytest.mark.parametrize("saving", [0.0, 0.1, 0.3])
def test_savings_are_bounded_and_spent_at_the_horizon(saving: float) -> None:
    """A learner that is sure of all in the first half, and of nothing in the second."""
    chance = np.random.default_rng(2)
    values = np.r_[chance.random(2_000) * 0.1, 0.3 + chance.random(2_000) * 0.2]
    account = account_named("paced", 0.05, 4, horizon=4_000, savings=saving)
    reasons = account.decide(values)[0] > 0
    spent, due = np.cumsum(reasons), 0.05 * np.arange(1, 4_001)
    lag = np.maximum(1, np.minimum(saving * 200, 0.05 * (4_000 - np.arange(1, 4_001)) / 2))
    assert (due + np.maximum(0, 10 - 0.5 * due) - spent <= lag + 1e-9)[10:].all()
    assert (spent <= due + np.maximum(0, 10 - 0.5 * due) + 1).all()
    assert abs(spent[-1] - 200) <= 1
    saved = float((due - spent)[1_999])
    assert saved == pytest.approx(min(saving * 200, 50), abs=1.5)
    alone = manager_named("paced", 0.05, 4, horizon=4_000, savings=saving).decide(values)
    assert (alone > 0).tolist() == reasons.tolist()


RANDOMISED = ("uniform", "randomised-variable", "split", "selective", "sampled", "counted-variable")


@pytest.mark.parametrize("name", RANDOMISED)
def test_a_propensity_is_how_often_the_item_would_be_asked_about(name: str) -> None:
    """The same past, and many a chance for the next item."""
    values = np.random.default_rng(6).beta(2, 3, 60)
    more = {"exceed": True} if name == "sampled" else {}
    asked, chances = [], set()
    for seed in range(1_000):
        manager = manager_named(name, 0.5, 0, **more)
        manager.decide(values, np.full(120, 0.4))
        given = np.random.default_rng(seed)
        drawn = given.normal(size=2) if name in ("randomised-variable", "counted-variable") else given.random(2)
        reasons, found = manager.decide_with_chances(np.array([0.3]), drawn)
        asked.append(reasons[0] > 0)
        chances.add(float(found[0]))
    [chance] = chances
    assert abs(np.mean(asked) - chance) < 0.06
    assert name == "split" or 0 < chance < 1


def test_a_loan_and_a_bound_are_counts() -> None:
    with pytest.raises(ConfigurationError):
        Account(manager_named("uniform", 0.1), loan=-1)


def test_another_state_is_refused() -> None:
    with pytest.raises(BadDataError, match="other parameters"):
        account_named("uniform", 0.1).load(account_named("uniform", 0.2).state())
