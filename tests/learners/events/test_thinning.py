"""What is drawn by thinning has the distribution of the intensities that it is drawn by."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from curate.learners.events.attentive import AttentiveHawkes, AttentiveParameters
from curate.learners.events.batches import Clock
from curate.learners.events.exponential import ExponentialHawkes
from curate.learners.events.forecast import forecast_each, forecast_next
from curate.learners.events.hawkes import HawkesProcess
from curate.learners.events.process import PointProcess
from curate.learners.events.quadrature import GaussRule
from curate.learners.events.recurrent import RecurrentHawkes, RecurrentParameters
from curate.learners.events.sequences import EventSequences
from curate.learners.events.thinning import draw_next

NAMES = ("recurrent", "attentive", "exponential")


def made(name: str, cycle: HawkesProcess) -> PointProcess[Any]:
    clock, generator = Clock("days", 0.8), torch.Generator().manual_seed(2)
    found: PointProcess[Any] = ExponentialHawkes(cycle, clock)
    if name == "recurrent":
        found = RecurrentHawkes(3, clock, RecurrentParameters(width=8))
    if name == "attentive":
        found = AttentiveHawkes(3, clock, AttentiveParameters(width=8, time_width=6))
    if name != "exponential":
        with torch.no_grad():
            for part in found.parameters():
                part.add_(0.4 * torch.randn(part.shape, generator=generator))
    return found.double()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)


@pytest.fixture(scope="module")
def few(drawn: EventSequences) -> EventSequences:
    return drawn.select(np.argsort(drawn.lengths)[[2, 20, 40]])


def everywhere(sequences: EventSequences, draws: int, since: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """So many draws at every position, from `since` on."""
    positions = torch.arange(sequences.types.shape[1] + 1).repeat_interleave(draws).expand(len(sequences), -1)
    return positions, torch.full(positions.shape, since, dtype=torch.float64)


def passed(
    process: PointProcess[Any], state: Any, positions: torch.Tensor, since: torch.Tensor, gaps: torch.Tensor
) -> torch.Tensor:
    """The compensator between `since` and each gap, by Gauss's rule over the stretch."""
    places, weights = GaussRule(24).places(gaps)
    elapsed = since[..., None] + (gaps - since)[..., None] * places
    totals = process.intensities(state.at(positions), elapsed).sum(dim=3)
    found: torch.Tensor = (totals * weights).sum(dim=2) * (gaps - since)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_rescaled_gaps_are_exponential(name: str, cycle: HawkesProcess, few: EventSequences) -> None:
    process = made(name, cycle)
    with torch.no_grad():
        state = process.encode(process.batch(few))
        positions, since = everywhere(few, 60, 0.3)
        found = draw_next(process, state, positions, since, generator=seeded())
        clocks = passed(process, state, positions, since, found.gaps)
    assert found.gaps.isfinite().all()
    assert (found.gaps > 0.3).all()
    assert kstest(clocks.flatten().numpy(), "expon").pvalue > 0.01
    assert kstest(1.1 * clocks.flatten().numpy(), "expon").pvalue < 0.01
    assert found.candidates < 20


@pytest.mark.parametrize("name", NAMES)
def test_types_are_those_of_the_intensities_then(name: str, cycle: HawkesProcess, few: EventSequences) -> None:
    process = made(name, cycle)
    with torch.no_grad():
        state = process.encode(process.batch(few))
        positions, since = everywhere(few, 5)
        found = draw_next(process, state, positions, since, generator=seeded())
        expected = process.intensities(state.at(positions), found.gaps[..., None])[:, :, 0]
    assert torch.allclose(found.types, expected / expected.sum(dim=2, keepdim=True))


def test_a_horizon_cuts_off_what_lies_behind_it(cycle: HawkesProcess, few: EventSequences) -> None:
    process = made("exponential", cycle)
    with torch.no_grad():
        state = process.encode(process.batch(few))
        positions, since = everywhere(few, 400)
        found = draw_next(process, state, positions, since, generator=seeded(), horizon=1.5)
        survival = torch.exp(-passed(process, state, positions, since, torch.full_like(since, 1.5)))[:, ::400]
    cut = found.gaps.isinf()
    assert (found.gaps[~cut] < 1.5).all()
    assert (found.types[cut] == 0).all()
    share = cut.unflatten(1, (-1, 400)).double().mean(dim=2)
    assert ((share - survival).abs() < 5 * (survival / 400).sqrt() + 0.01).all()


def test_a_process_that_stays_quiet_ends() -> None:
    quiet = HawkesProcess(np.zeros(2), np.array([[0.3, 0.0], [0.0, 0.3]]), np.ones((2, 2)))
    process = ExponentialHawkes(quiet, Clock("days", 1.0))
    one = EventSequences.of([(np.array([1.0]), np.array([0]))], unit="days", type_count=2)
    with torch.no_grad():
        state = process.encode(process.batch(one))
        positions, since = everywhere(one, 500)
        found = draw_next(process, state, positions, since, generator=seeded())
    assert found.gaps[0, :500].isinf().all()
    assert float(found.gaps[0, 500:].isinf().double().mean()) == pytest.approx(math.exp(-0.3), abs=0.08)


def test_the_seed_decides(cycle: HawkesProcess, few: EventSequences) -> None:
    process = made("recurrent", cycle)
    arguments = {"draws": 4, "horizon": 50.0}
    first, second = (forecast_each(process, few, generator=seeded(), **arguments) for _ in range(2))  # type: ignore[arg-type]
    assert np.array_equal(first.mean_gaps, second.mean_gaps)


def test_forecasts_are_the_distribution_s(cycle: HawkesProcess, few: EventSequences) -> None:
    """A process that nothing excites is a Poisson process, whose mean, median and types are known."""
    base = np.array([0.2, 0.5, 0.3])
    process = ExponentialHawkes(HawkesProcess(base, np.zeros((3, 3)), np.ones((3, 3))), Clock("days", 0.8))
    found = forecast_each(process, few, draws=4000, horizon=1e6, generator=seeded())
    assert found.mean_gaps.shape == few.times.shape
    counted = few.counted
    assert np.allclose(found.mean_gaps[counted], 1.0, atol=0.08)
    assert np.allclose(found.median_gaps[counted], math.log(2), atol=0.08)
    assert np.allclose(found.type_shares[counted], base)
    assert not found.beyond[counted].any()
    after = forecast_next(process, few, draws=4000, horizon=1e6, generator=seeded())
    passed_by = few.end - few.times[np.arange(len(few)), few.lengths - 1]
    assert np.allclose(after.mean_gaps[:, 0], passed_by + 1.0, atol=0.08)


def test_types_are_drawn_as_often_as_they_come(cycle: HawkesProcess) -> None:
    """Next events by thinning in torch, against the same by the simulator's closed form."""
    process = ExponentialHawkes(cycle, Clock("days", 1.0))
    one = EventSequences.of([(np.array([0.0, 0.5, 0.6]), np.array([0, 1, 1]))], unit="days", type_count=3)
    found = forecast_next(process, one, draws=20_000, horizon=1e6, generator=seeded())
    with torch.no_grad():
        batch = process.batch(one)
        state = process.encode(batch).at(batch.lengths[:, None])
        times = torch.linspace(0, 60, 60_001, dtype=torch.float64)
        intensities = process.intensities(state, times[None, None])[0, 0]
    passed_by = torch.cumulative_trapezoid(intensities.sum(dim=1), times)
    density = intensities * torch.exp(-torch.nn.functional.pad(passed_by, (1, 0)))[:, None]
    expected = torch.trapezoid(density, times, dim=0).numpy()
    assert expected.sum() == pytest.approx(1.0, abs=1e-4)
    assert np.allclose(found.type_shares[0, 0], expected, atol=0.01)
    mean = float(torch.trapezoid(times * density.sum(dim=1), times))
    assert found.mean_gaps[0, 0] == pytest.approx(mean, rel=0.03)
