"""Budget managers decide as scikit-activeml's do on the same random numbers, and their state goes on to the bit."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import BadDataError, ConfigurationError, UnknownNameError
from curate.select.stream import kernels
from curate.select.stream.budgets import MANAGERS, BudgetManager, manager_named
from curate.select.stream.numbers import numbers

RATES = (0.01, 0.1, 0.5)


def utilities(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(1, 3, count)


def peer(name: str, rate: float, seed: int, values: np.ndarray) -> list[int]:
    from skactiveml import stream
    from skactiveml.stream import budgetmanager as managers

    if name in ("uniform", "periodic"):
        chosen = {
            "uniform": lambda: stream.StreamRandomSampling(budget=rate, random_state=seed),
            "periodic": lambda: stream.PeriodicSampling(budget=rate, random_state=seed),
        }[name]()
        return list(chosen.query(np.zeros((len(values), 1))))
    made = {
        "estimated-uniform": lambda: managers.RandomBudgetManager(budget=rate, random_state=seed),
        "fixed": lambda: managers.FixedUncertaintyBudgetManager(classes=[0, 1], budget=rate),
        "variable": lambda: managers.VariableUncertaintyBudgetManager(budget=rate),
        "randomised-variable": lambda: managers.RandomVariableUncertaintyBudgetManager(budget=rate, random_state=seed),
        "split": lambda: managers.SplitBudgetManager(budget=rate, random_state=seed),
        "counted-variable": lambda: managers.DensityBasedSplitBudgetManager(budget=rate, random_state=seed),
        "quantile": lambda: managers.BalancedIncrementalQuantileFilter(budget=rate),
    }[name]()
    return list(made.query_by_utility(values))


def same_numbers(name: str, seed: int, count: int) -> np.ndarray:
    state = np.random.RandomState(seed)
    if name in ("randomised-variable", "counted-variable"):
        return state.normal(0, 1, count)
    return state.random_sample(2 * count)


SHARED = (
    "uniform", "periodic", "estimated-uniform", "fixed", "variable", "randomised-variable", "split", "counted-variable",
    "quantile",
)  # fmt: skip


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", SHARED)
def test_decisions_equal_those_of_scikit_activeml(name: str, rate: float) -> None:
    pytest.importorskip("skactiveml")
    values = utilities(3_000)
    manager = manager_named(name, rate)
    asked = np.flatnonzero(manager.decide(values, same_numbers(name, 5, len(values))))
    expected = peer(name, rate, 5, values)
    assert asked.tolist() == expected
    assert len(expected) > 0 or name == "fixed"


def test_sampling_by_entropy_equals_rivers() -> None:
    active = pytest.importorskip("river.active")
    from river.dummy import PriorClassifier

    sampler = active.EntropySampler(PriorClassifier(), discount_factor=3, seed=4)
    values = utilities(2_000, seed=3)
    expected = [sampler._ask_for_label({}, _of_entropy(value)) for value in values]
    own = random.Random(4)
    found = manager_named("sampled", 1.0, exceed=True).decide(values, np.array([own.random() for _ in values]))
    assert (found > 0).tolist() == expected
    assert 0 < sum(expected) < 2_000


def _of_entropy(value: float) -> dict[bool, float]:
    """Probabilities of two classes whose normalised entropy is this value."""
    low, high = 1e-12, 0.5
    for _ in range(200):
        middle = (low + high) / 2
        entropy = -(middle * np.log2(middle) + (1 - middle) * np.log2(1 - middle))
        low, high = (middle, high) if entropy < value else (low, middle)
    return {True: low, False: 1 - low}


@pytest.mark.parametrize("name", MANAGERS)
def test_one_by_one_in_machine_code_and_after_a_restart_decisions_are_the_same(name: str) -> None:
    values = utilities(2_400, seed=1)
    kernels._decided.clear()
    whole = manager_named(name, 0.1, seed=3).decide(values)
    assert len(values) >= kernels._WORTH
    kernels._decided.clear()  # Python goes on until so many were decided
    manager, parts = manager_named(name, 0.1, seed=3), []
    for start in range(0, len(values), 800):
        again = manager_named(name, 0.1, seed=3)
        again.load(json.loads(json.dumps(manager.state())))
        manager = again
        parts += [manager.decide(values[place : place + 1]) for place in range(start, start + 10)]
        parts.append(manager.decide(values[start + 10 : start + 800]))
    assert np.concatenate(parts).tolist() == whole.tolist()


@settings(max_examples=settings().max_examples // 2, deadline=None)
@given(rate=st.floats(0.01, 0.6), seed=st.integers(0, 2**31), shape=st.floats(0.2, 5))
def test_the_paced_account_is_never_more_than_one_label_off(rate: float, seed: int, shape: float) -> None:
    manager = manager_named("paced", rate, seed)
    values = np.random.default_rng(seed).beta(shape, 1, 1_500)
    spent = np.cumsum(manager.decide(values) > 0)
    due = rate * np.arange(1, len(values) + 1)
    loan = np.maximum(0, 10 - 0.5 * due)
    off = np.abs(spent - due - loan)
    balanced = int(np.argmax((off <= 1) & (spent >= 10)))  # a high rate has paid back in part before the loan is out
    assert balanced < 60
    assert (off[balanced:] <= 1 + 1e-9).all()


def test_paced_prefers_what_teaches_and_keeps_a_share_for_chance() -> None:
    values = utilities(20_000, seed=2)
    reasons = manager_named("paced", 0.05, seed=1).decide(values)
    asked = values[np.isin(reasons, (kernels.UTILITY, kernels.BEHIND))]
    assert asked.mean() > 2 * values.mean()
    at_random = values[reasons == kernels.RANDOM]
    assert 0.05 < len(at_random) / (reasons > 0).sum() < 0.15
    assert abs(at_random.mean() - values.mean()) < 3 * values.std() / len(at_random) ** 0.5
    assert (reasons[:10] == kernels.WARM_UP).all()


def test_utilities_that_are_all_equal_starve_nobody() -> None:
    for value in (0.0, 0.5):
        spent = (manager_named("paced", 0.02, horizon=5_000).decide(np.full(5_000, value)) > 0).sum()
        assert abs(spent - 100) <= 1


def test_numbers_depend_on_seed_and_position_only() -> None:
    whole = numbers(1, 0, 1_000)
    assert all((numbers(1, start, 7) == whole[start : start + 7]).all() for start in range(0, 900, 13))
    assert (numbers(2, 0, 1_000) != whole).all()
    assert abs(numbers(3, 0, 20_000, "normal").std() - 1) < 0.02


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="paced"):
        manager_named("pace", 0.1)
    for rate in (0.0, 1.5):
        with pytest.raises(ConfigurationError, match="rate"):
            manager_named("split", rate)
    with pytest.raises(ConfigurationError, match="window"):
        manager_named("split", 0.1, window=0)
    manager: BudgetManager = manager_named("split", 0.1)
    with pytest.raises(BadDataError, match="other parameters"):
        manager.load(manager_named("split", 0.2).state())
