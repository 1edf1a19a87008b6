"""Neural Hawkes processes: exactly causal, their likelihood and integrals right, their bounds never exceeded."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from curate.errors import BadDataError, ConfigurationError
from curate.learners.events.attentive import AttentiveHawkes, AttentiveParameters
from curate.learners.events.batches import Clock
from curate.learners.events.exponential import ExponentialHawkes
from curate.learners.events.hawkes import HawkesProcess
from curate.learners.events.likelihood import log_likelihood
from curate.learners.events.process import PointProcess
from curate.learners.events.quadrature import GaussRule, RandomRule
from curate.learners.events.recurrent import RecurrentHawkes, RecurrentParameters
from curate.learners.events.sequences import EventSequences

CLOCK = Clock("days", 0.7)
Make = Callable[[], PointProcess[Any]]


def shaken(process: PointProcess[Any]) -> PointProcess[Any]:
    """Move every parameter far from where it began, so that all parts matter."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for part in process.parameters():
            part.add_(0.5 * torch.randn(part.shape, generator=generator))
    return process.double()


def recurrent() -> PointProcess[Any]:
    return shaken(RecurrentHawkes(3, CLOCK, RecurrentParameters(width=8)))


def attentive() -> PointProcess[Any]:
    return shaken(AttentiveHawkes(3, CLOCK, AttentiveParameters(width=8, time_width=6, layers=3, heads=2)))


def exponential() -> PointProcess[Any]:
    return shaken(ExponentialHawkes.fresh(3, CLOCK))


NEURAL = pytest.mark.parametrize("make", [recurrent, attentive])
ALL = pytest.mark.parametrize("make", [recurrent, attentive, exponential])


@pytest.fixture(scope="module")
def few(drawn: EventSequences) -> EventSequences:
    """Four sequences of different lengths."""
    return drawn.select(np.argsort(drawn.lengths)[[2, 15, 30, 45]])


def seen(process: PointProcess[Any], sequences: EventSequences, places: torch.Tensor) -> torch.Tensor:
    """Intensities at the same times of every interval."""
    state = process.encode(process.batch(sequences))
    shape = (len(sequences), sequences.types.shape[1] + 1, len(places))
    return process.intensities(state, places.expand(shape)).detach()


@ALL
def test_an_event_changes_nothing_before_it(make: Make, few: EventSequences) -> None:
    process, places = make(), torch.tensor([0.0, 0.3, 2.0, 50.0], dtype=torch.float64)
    before = seen(process, few, places)
    row, length = 3, int(few.lengths[3])
    for event in (0, length // 2, length - 1):
        types, times = few.types.copy(), few.times.copy()
        types[row, event] = (types[row, event] + 1) % 3
        times[row, event] = (2 * times[row, event] + times[row, min(event + 1, length - 1)]) / 3
        after = seen(process, replace(few, types=types, times=times), places)
        assert torch.equal(after[row, : event + 1], before[row, : event + 1])
        assert not torch.allclose(after[row, event + 1], before[row, event + 1])
        assert torch.equal(after[:row], before[:row])


def test_no_encoding_knows_what_comes_after(few: EventSequences) -> None:
    changed = replace(few, types=np.where(np.arange(few.types.shape[1]) >= 5, 2 - few.types, few.types))
    first, second = recurrent(), attentive()
    for mine, other in zip(
        first.encode(first.batch(few)).parts(), first.encode(first.batch(changed)).parts(), strict=True
    ):
        assert torch.equal(mine[:, :6], other[:, :6])
        assert not torch.equal(mine[:, 6:], other[:, 6:])
    states = [second.encode(second.batch(one)).layers for one in (few, changed)]
    for mine, other in zip(*states, strict=True):
        for one, two in ((mine.keys, other.keys), (mine.values, other.values)):
            assert torch.equal(one[:, :, :7], two[:, :, :7])
            assert not torch.equal(one[:, :, 7:], two[:, :, 7:])


@ALL
def test_padding_and_company_change_nothing(make: Make, few: EventSequences) -> None:
    process = make()
    whole = log_likelihood(process, process.batch(few)).of_sequences
    for row in range(len(few)):
        alone = log_likelihood(process, process.batch(few.select(np.array([row])))).of_sequences
        assert torch.allclose(alone[0], whole[row], rtol=1e-10)


@NEURAL
def test_the_integral_is_that_of_a_fine_rule(make: Make, few: EventSequences) -> None:
    process, exact = make(), GaussRule(48)
    batch = process.batch(few.select(np.arange(2)))
    state = process.encode(batch)
    steps = 4000
    places = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    found = process.intensities(state, batch.durations[..., None] * places)
    fine = found.mean(dim=2) * batch.durations[..., None]
    error = (process.evaluate(state, batch.durations, exact)[1] - fine).abs()
    assert error.max() < 1e-5 * fine.max()
    coarse = (process.evaluate(state, batch.durations, GaussRule(2))[1] - fine).abs()
    assert coarse.max() > 1e-3 * fine.max()


@NEURAL
def test_the_random_rule_is_right_on_the_average(make: Make, few: EventSequences) -> None:
    process = make()
    batch, rule = process.batch(few), RandomRule(torch.Generator().manual_seed(0), nodes=3)
    state = process.encode(batch)
    with torch.no_grad():
        drawn = torch.stack([process.evaluate(state, batch.durations, rule)[1].sum() for _ in range(300)])
        exact = process.evaluate(state, batch.durations, GaussRule(30))[1].sum()
    assert abs(drawn.mean() - exact) < 4 * drawn.std() / np.sqrt(300)
    assert drawn.std() > 0


def test_the_general_code_gives_the_closed_forms(cycle: HawkesProcess, drawn: EventSequences) -> None:
    process = ExponentialHawkes(cycle, Clock("days", 2.5))
    for given in (0, 4):
        sequences = drawn.with_given(given)
        batch = process.batch(sequences)
        closed = log_likelihood(process, batch)
        assert np.allclose(closed.of_sequences.detach(), cycle.log_likelihood(sequences))
        integrals = PointProcess.evaluate(process, process.encode(batch), batch.durations, GaussRule(20))[1]
        watched = torch.where(batch.watched[..., None], integrals, 0.0)
        assert torch.allclose(watched, closed.compensators, atol=1e-6)
        expected = np.where(batch.watched.numpy()[..., None], cycle.compensators(sequences), 0.0)
        assert np.allclose(closed.compensators.detach(), expected)
    chosen = drawn.counted
    intensities = cycle.intensities(drawn)
    types = np.take_along_axis(intensities, drawn.types[..., None], 2)[..., 0] / intensities.sum(2)
    found = log_likelihood(process, process.batch(drawn)).types.detach().numpy()
    assert np.allclose(found[chosen], np.log(types[chosen]))


def test_a_process_is_given_back_in_its_unit(cycle: HawkesProcess) -> None:
    found = ExponentialHawkes(cycle, CLOCK).process()
    for mine, other in ((found.base, cycle.base), (found.weights, cycle.weights), (found.decays, cycle.decays)):
        assert np.allclose(mine, other)


@NEURAL
def test_the_clock_does_not_change_what_a_likelihood_is_about(make: Make, few: EventSequences) -> None:
    """The same numbers in another unit: the density per unit changes by the unit alone."""
    process = make()
    here = log_likelihood(process, process.batch(few)).of_sequences
    process.clock = Clock("hours", 24 * CLOCK.tick)
    hours = replace(few, times=24 * few.times, origin=24 * few.origin, end=24 * few.end, unit="hours")
    there = log_likelihood(process, process.batch(hours)).of_sequences
    assert torch.allclose(there, here - torch.from_numpy(few.lengths) * np.log(24))


@ALL
def test_no_intensity_exceeds_its_bound(make: Make, few: EventSequences) -> None:
    process = make()
    state = process.encode(process.batch(few))
    elapsed = torch.linspace(0, 30, 301, dtype=torch.float64).expand(*few.durations.shape, -1)
    with torch.no_grad():
        totals, bounds = process.intensities(state, elapsed).sum(dim=3), process.bounds(state, elapsed)
    later = totals.flip(2).cummax(dim=2).values.flip(2)
    assert (later <= bounds * (1 + 1e-9)).all()
    assert (bounds < 50 * later).all()


@ALL
def test_one_position_is_what_it_was_among_all(make: Make, few: EventSequences) -> None:
    process = make()
    batch = process.batch(few)
    state, places = process.encode(batch), torch.tensor([0.0, 1.0], dtype=torch.float64)
    whole = process.intensities(state, places.expand(*batch.durations.shape, 2))
    one = process.intensities(state.at(batch.lengths[:, None]), places.expand(len(few), 1, 2))
    assert torch.allclose(one[:, 0], whole[torch.arange(len(few)), batch.lengths])


def test_everyone_sees_the_prefix_and_no_one_sees_more_for_it(few: EventSequences) -> None:
    process = attentive()
    assert isinstance(process, AttentiveHawkes)
    generator = torch.Generator().manual_seed(1)
    prefix = torch.randn((len(few), 3, 5, 14), generator=generator, dtype=torch.float64)
    places = torch.tensor([0.0, 0.5], dtype=torch.float64).expand(*few.durations.shape, 2)

    def under(sequences: EventSequences, prompts: torch.Tensor) -> torch.Tensor:
        state = process.encode(process.batch(sequences), prompts)
        bounds = process.bounds(state, places)
        found = process.intensities(state, places).detach()
        assert (found.sum(dim=3) <= bounds).all()
        return found

    before = under(few, prefix)
    changed = replace(few, types=np.where(np.arange(few.types.shape[1]) >= 5, 2 - few.types, few.types))
    after = under(changed, prefix)
    assert torch.equal(after[:, :6], before[:, :6])
    assert not torch.equal(after[:, 6:], before[:, 6:])
    other = prefix.clone()
    other[1, :, 4] += 1
    moved = under(few, other)
    assert torch.equal(moved[[0, 2, 3]], before[[0, 2, 3]])
    assert not torch.isclose(moved[1], before[1]).all(dim=2).all(dim=1).any()


@ALL
def test_sequences_without_events_have_a_likelihood(make: Make, few: EventSequences) -> None:
    process = make()
    none = replace(few, times=few.times[:, :0], types=few.types[:, :0], lengths=0 * few.lengths)
    found = log_likelihood(process, process.batch(none)).of_sequences
    assert found.shape == (4,)
    assert (found < 0).all()


def test_what_a_model_does_not_know_is_refused(few: EventSequences) -> None:
    with pytest.raises(BadDataError, match="'days', those of the sequences in 'hours'"):
        recurrent().batch(replace(few, unit="hours"))
    with pytest.raises(BadDataError, match="3 types of events, not 4"):
        recurrent().batch(replace(few, type_count=4))
    with pytest.raises(ConfigurationError, match="multiple of heads"):
        AttentiveParameters(width=9)
    with pytest.raises(ConfigurationError, match="greater than 0"):
        RecurrentParameters(width=0)
