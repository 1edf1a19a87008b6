"""Rates per subpopulation and per time: none is overspent, and a restart changes nothing."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import BadDataError, ConfigurationError
from curate.select.stream.quotas import Allowance, Quotas


@pytest.mark.parametrize("manager", ["paced", "uniform", "variable"])
def test_each_subpopulation_gets_its_rate(manager: str) -> None:
    chance = np.random.default_rng(1)
    groups = chance.choice(["common", "rare", "new"], 4_000, p=[0.85, 0.05, 0.1]).tolist()
    quotas = Quotas({"common": 0.02, "rare": 0.5}, other=0.1, manager=manager, loan=0)
    reasons, chances = quotas.decide(chance.beta(1, 3, 4_000), groups)
    for group, rate in {"common": 0.02, "rare": 0.5, "new": 0.1}.items():
        member = np.array(groups) == group
        assert abs((reasons[member] > 0).sum() - rate * member.sum()) <= 1
    assert (chances[reasons > 0] > 0).all()


def test_a_restart_changes_nothing() -> None:
    chance = np.random.default_rng(2)
    values, groups = chance.beta(1, 3, 600), chance.choice(["a", "b", "c"], 600).tolist()
    whole = Quotas({"a": 0.3}, other=0.1).decide(values, groups)[0]
    first, second = Quotas({"a": 0.3}, other=0.1), Quotas({"a": 0.3}, other=0.1)
    before = first.decide(values[:250], groups[:250])[0]
    second.load(json.loads(json.dumps(first.state())))
    assert np.concatenate([before, second.decide(values[250:], groups[250:])[0]]).tolist() == whole.tolist()
    with pytest.raises(BadDataError):
        Quotas({"a": 0.4}, other=0.1).load(first.state())


@settings(max_examples=settings().max_examples // 2, deadline=None)
@given(
    per_hour=st.floats(0.1, 20),
    most=st.floats(1, 10),
    gaps=st.lists(st.floats(-0.1, 2), min_size=1, max_size=120),
    cut=st.integers(0, 120),
)
def test_no_span_of_time_gets_more_than_its_allowance(
    per_hour: float, most: float, gaps: list[float], cut: int
) -> None:
    hours = np.cumsum(gaps)
    first, second = Allowance(per_hour, most), Allowance(per_hour, most)
    found = first.admit(np.ones(len(hours), np.int8), hours)
    before = second.admit(np.ones(len(hours[:cut]), np.int8), hours[:cut])
    again = Allowance(per_hour, most)
    again.load(json.loads(json.dumps(second.state())))
    after = again.admit(np.ones(len(hours[cut:]), np.int8), hours[cut:])
    assert np.concatenate([before, after]).tolist() == found.tolist()
    time = np.maximum.accumulate(hours)
    for start in range(len(hours)):
        spent = np.cumsum(found[start:])
        assert (spent <= most + per_hour * (time[start:] - time[start]) + 1e-6).all()


def test_an_allowance_lets_pass_what_it_can() -> None:
    allowance = Allowance(per_hour=1, most=2)
    reasons = np.array([1, 2, 1, 0, 1, 1], np.int8)
    assert allowance.admit(reasons, np.array([0.0, 0.0, 0.0, 0.5, 1.0, 1.5])).tolist() == [1, 2, 0, 0, 1, 0]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        Quotas({"a": 0.0}, other=0.1)
    with pytest.raises(ConfigurationError):
        Allowance(0, 1)
    with pytest.raises(BadDataError, match="do not fit"):
        Quotas({}, other=0.1).decide(np.zeros(2), ["a"])
