"""Simulated Hawkes processes are what they say: time rescaling accepts their own parameters, and only those."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from curate.errors import ConfigurationError
from curate.learners.events.hawkes import HawkesProcess
from curate.learners.events.rescaling import rescaled_gaps
from curate.learners.events.sequences import EventSequences
from curate.learners.events.simulation import simulate
from curate.learners.numerics import Floats


def chance_of(process: HawkesProcess, sequences: EventSequences) -> float:
    """The least p-value, over types, of the Kolmogorov-Smirnov test of rescaled gaps against the exponential."""
    gaps = rescaled_gaps(process.compensators(sequences), sequences)
    return float(min(kstest(one, "expon").pvalue for one in gaps))


@pytest.fixture(scope="module")
def many(cycle: HawkesProcess) -> EventSequences:
    return simulate(cycle, sequences=200, horizon=40.0, generator=np.random.default_rng(3))


def test_time_rescaling_accepts_the_right_parameters(cycle: HawkesProcess, many: EventSequences) -> None:
    assert many.lengths.sum() > 5000
    assert chance_of(cycle, many) > 0.01
    assert chance_of(cycle, many.with_given(5)) > 0.01


def test_time_rescaling_refuses_wrong_parameters(cycle: HawkesProcess, many: EventSequences) -> None:
    assert chance_of(replace(cycle, base=1.3 * cycle.base), many) < 1e-3
    assert chance_of(replace(cycle, weights=cycle.weights.T), many) < 1e-6
    assert chance_of(replace(cycle, decays=5 * cycle.decays), many) < 1e-3


def test_the_rescaled_gaps_do_not_depend_on_each_other(cycle: HawkesProcess, many: EventSequences) -> None:
    for gaps in rescaled_gaps(cycle.compensators(many), many):
        assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 3 / np.sqrt(len(gaps))


def test_rates_are_those_of_the_long_run(cycle: HawkesProcess) -> None:
    found = simulate(cycle, sequences=20, horizon=600.0, generator=np.random.default_rng(1))
    counts = np.bincount(found.types[found.mask], minlength=3)
    assert counts / (20 * 600.0) == pytest.approx(cycle.rates, rel=0.08)


def intensity(process: HawkesProcess, times: Floats, types: Floats, at: float) -> Floats:
    """The definition, event by event."""
    found = process.base.copy()
    for time, kind in zip(times, types, strict=True):
        if time < at:
            weight, decay = process.weights[:, kind], process.decays[:, kind]
            found = found + weight * decay * np.exp(-decay * (at - time))
    return found


def test_closed_forms_are_the_definition(cycle: HawkesProcess, drawn: EventSequences) -> None:
    row = int(np.argmin(np.abs(drawn.lengths - 12)))
    length = drawn.lengths[row]
    times, types = drawn.times[row, :length], drawn.types[row, :length]
    expected = [intensity(cycle, times, types, time) for time in times]
    assert np.allclose(cycle.intensities(drawn)[row, :length], expected)
    borders = [0.0, *times, drawn.end[row]]
    total = 0.0
    for position, (begin, end) in enumerate(pairwise(borders)):
        for kind in range(3):
            area = quad(lambda at, kind=kind: intensity(cycle, times, types, at)[kind], begin + 1e-12, end)[0]
            assert cycle.compensators(drawn)[row, position, kind] == pytest.approx(area, abs=1e-6)
            total += area
    logs = sum(np.log(one[kind]) for one, kind in zip(expected, types, strict=True))
    assert cycle.log_likelihood(drawn)[row] == pytest.approx(logs - total, abs=1e-5)


def test_padding_and_company_change_nothing(cycle: HawkesProcess, drawn: EventSequences) -> None:
    whole = cycle.log_likelihood(drawn)
    alone = [float(cycle.log_likelihood(drawn.select(np.array([row])))[0]) for row in range(len(drawn))]
    assert np.allclose(whole, alone)


def test_the_likelihood_given_history_is_what_history_leaves(cycle: HawkesProcess, drawn: EventSequences) -> None:
    cut = replace(drawn, end=np.where(drawn.lengths > 0, drawn.times[:, 0], drawn.end))
    first = cut.select(np.arange(len(cut)))
    head = replace(first, times=first.times[:, :1], types=first.types[:, :1], lengths=np.minimum(first.lengths, 1))
    difference = cycle.log_likelihood(drawn) - cycle.log_likelihood(drawn.with_given(1))
    some = drawn.lengths > 0
    assert np.allclose(difference[some], cycle.log_likelihood(head)[some])


def test_a_process_that_nothing_happens_in() -> None:
    quiet = HawkesProcess(np.zeros(2), np.zeros((2, 2)), np.ones((2, 2)))
    found = simulate(quiet, sequences=3, horizon=5.0, generator=np.random.default_rng(0))
    assert found.times.shape == (3, 0)
    assert quiet.log_likelihood(found).tolist() == [0.0, 0.0, 0.0]


def test_impossible_parameters_are_refused() -> None:
    one, half = np.ones((2, 2)), np.full((2, 2), 0.5)
    for base, weights, decays in [
        (np.ones(2), half, one),
        (-np.ones(2), 0.1 * one, one),
        (np.ones(2), -0.1 * one, one),
        (np.ones(2), 0.1 * one, 0 * one),
        (np.ones(3), 0.1 * one, one),
    ]:
        with pytest.raises(ConfigurationError):
            HawkesProcess(base, weights, decays)
