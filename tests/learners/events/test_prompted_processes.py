"""Processes that a pool changes: nothing is known before it happened, bounds hold, and zeros change nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from curate.learners.events.attentive import AttentiveHawkes, AttentiveParameters
from curate.learners.events.batches import Clock
from curate.learners.events.likelihood import log_likelihood
from curate.learners.events.modulated import ModulatedHawkes
from curate.learners.events.process import PointProcess
from curate.learners.events.prompted import PromptedHawkes
from curate.learners.events.recurrent import RecurrentHawkes, RecurrentParameters
from curate.learners.events.retrieved import RetrievedHawkes
from curate.learners.events.sequences import EventSequences

CLOCK = Clock("days", 0.7)
GIVEN = 6


def shaken(process: PointProcess[Any]) -> PointProcess[Any]:
    """Move every parameter far from where it began, so that all parts matter."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for part in process.parameters():
            part.add_(0.5 * torch.randn(part.shape, generator=generator))
    return process.double()


def retrieved() -> RetrievedHawkes:
    process = RetrievedHawkes(ModulatedHawkes(3, CLOCK, RecurrentParameters(width=8)), sharpness=0.3, seed=0)
    process.pool.grow(4)
    shaken(process)
    return process


def prompted() -> PromptedHawkes:
    base = AttentiveHawkes(3, CLOCK, AttentiveParameters(width=8, time_width=6, layers=3, heads=2))
    process = PromptedHawkes(base, components=5, picked=2, length=3, seed=0)
    process.pool.grow(5)
    shaken(process)
    return process


BOTH = pytest.mark.parametrize("make", [retrieved, prompted])
Make = Callable[[], PointProcess[Any]]


@pytest.fixture(scope="module")
def few(drawn: EventSequences) -> EventSequences:
    """Four sequences of different lengths, of which six events are given."""
    rows = np.argsort(drawn.lengths)[[5, 15, 30, 45]]
    return drawn.select(rows).with_given(GIVEN)


def seen(process: PointProcess[Any], sequences: EventSequences) -> torch.Tensor:
    """Intensities at the same times of every interval."""
    places = torch.tensor([0.0, 0.3, 2.0, 50.0], dtype=torch.float64).expand(*sequences.durations.shape, 4)
    return process.intensities(process.encode(process.batch(sequences)), places).detach()


@BOTH
def test_an_event_changes_nothing_before_it_be_it_given_or_not(make: Make, few: EventSequences) -> None:
    process, row = make(), 3
    before, length = seen(process, few), int(few.lengths[3])
    for event in (0, 2, GIVEN - 1, GIVEN, length // 2, length - 1):
        types, times = few.types.copy(), few.times.copy()
        types[row, event] = (types[row, event] + 1) % 3
        times[row, event] = (2 * times[row, event] + times[row, min(event + 1, length - 1)]) / 3
        after = seen(process, replace(few, types=types, times=times))
        assert torch.equal(after[row, : event + 1], before[row, : event + 1])
        assert not torch.allclose(after[row, event + 1], before[row, event + 1])
        assert torch.equal(after[:row], before[:row])


@BOTH
def test_padding_and_company_change_nothing(make: Make, few: EventSequences) -> None:
    process = make()
    whole = log_likelihood(process, process.batch(few)).of_sequences
    for row in range(len(few)):
        alone = log_likelihood(process, process.batch(few.select(np.array([row])))).of_sequences
        assert torch.allclose(alone[0], whole[row], rtol=1e-10)


@BOTH
def test_the_bound_holds(make: Make, few: EventSequences) -> None:
    process = make()
    state = process.encode(process.batch(few))
    later = torch.linspace(0, 5, 40, dtype=torch.float64).expand(*few.durations.shape, 40)
    totals = process.intensities(state, later).sum(dim=3)
    bounds = process.bounds(state, later)
    for start in range(40):
        assert (totals[:, :, start:] <= bounds[:, :, start, None] * (1 + 1e-12)).all()


def test_each_position_takes_the_modulation_of_its_past(few: EventSequences) -> None:
    process = retrieved()
    process.sharpness = 1e6
    batch, head = process.batch(few), process.modulated.base.head.linear
    picks, values = process.picks(batch), process.pool.values
    of_head = slice(-head.weight.numel() - head.bias.numel(), -head.bias.numel())
    added = (process.encode(batch).weight - head.weight).flatten(2)
    assert torch.allclose(added[:, 1:], values[picks[:, 1:], of_head])
    assert torch.allclose(added[:, 0], values[:, of_head].mean(dim=0))
    assert len(set(picks.flatten().tolist())) > 1
    for component in range(4):
        with process.told(component):
            found = process.encode(batch).weight - head.weight
        assert torch.allclose(found.flatten(2), values[component, of_head].expand_as(added))
    assert torch.equal((process.encode(batch).weight - head.weight).flatten(2), added)


def test_prompts_change_what_comes_behind_the_given_and_nothing_else(few: EventSequences) -> None:
    process = prompted()
    before = seen(process, few)
    with torch.no_grad():
        process.pool.value_rows.live.add_(1.0)
    after = seen(process, few)
    assert torch.equal(after[:, :GIVEN], before[:, :GIVEN])
    assert not torch.isclose(after[:, GIVEN:], before[:, GIVEN:]).all(dim=3).any()


def test_prompts_know_when_the_next_event_is_expected(few: EventSequences) -> None:
    process = prompted()
    structural = torch.zeros_like(process.pool.values)
    with torch.no_grad():
        process.pool.value_rows.live.copy_(structural)
    before = seen(process, few)
    later = replace(
        few, times=np.where(np.arange(few.times.shape[1]) >= 1, few.times + 0.5, few.times), end=few.end + 1
    )
    assert not torch.allclose(seen(process, later)[:, -1], before[:, -1])


def test_zeros_change_nothing(few: EventSequences) -> None:
    plain = RecurrentHawkes(3, CLOCK, RecurrentParameters(width=8))
    modulated = ModulatedHawkes(3, CLOCK, RecurrentParameters(width=8))
    batch = plain.batch(few)
    expected = log_likelihood(plain, batch).of_sequences
    assert torch.allclose(log_likelihood(modulated, batch).of_sequences, expected, rtol=1e-5)
    with torch.no_grad():
        one = modulated.encode(batch, torch.ones(modulated.modulation))
    assert not torch.allclose(one.fading.memory, plain.encode(batch).memory)
