"""Learners of event streams: the same under a seed, whole after a load, and true to what earlier increments taught."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from curate.errors import BadDataError, ConfigurationError, StoreError, UsageError
from curate.learners.events.fine_tuning import FineTunedEvents, FineTuningParameters
from curate.learners.events.hawkes import HawkesProcess
from curate.learners.events.learner import EventLearner
from curate.learners.events.prompt_tpp import PromptTPP, PromptTPPParameters
from curate.learners.events.retrieving import RetrievingEvents, RetrievingParameters
from curate.learners.events.sequences import EventSequences
from curate.learners.events.simulation import simulate

Make = Callable[[], EventLearner[Any]]
SMALL = {"width": 8, "passes": 2, "batch_size": 16}


def fine_tuned() -> FineTunedEvents:
    return FineTunedEvents(3, FineTuningParameters(**SMALL))  # type: ignore[arg-type]


def pulled() -> FineTunedEvents:
    return FineTunedEvents(3, FineTuningParameters(**SMALL, pull=1.0))  # type: ignore[arg-type]


def retrieving() -> RetrievingEvents:
    return RetrievingEvents(3, RetrievingParameters(**SMALL, modulation_passes=2))  # type: ignore[arg-type]


def prompted() -> PromptTPP:
    sizes = {"time_width": 4, "layers": 2, "components": 4, "picked": 2, "length": 3, "history": 3}
    return PromptTPP(3, PromptTPPParameters(**SMALL, **sizes))  # type: ignore[arg-type]


EVERY = pytest.mark.parametrize("make", [fine_tuned, pulled, retrieving, prompted])


@pytest.fixture(scope="module")
def regimes() -> list[EventSequences]:
    """Three types that follow one another in a ring, and in the ring turned round."""
    ring = np.array([[0.0, 0.0, 0.8], [0.8, 0.0, 0.0], [0.0, 0.8, 0.0]])
    processes = [HawkesProcess(np.full(3, 0.2), weights, np.full((3, 3), 2.0)) for weights in (ring, ring.T.copy())]
    return [
        simulate(process, sequences=32, horizon=12.0, generator=np.random.default_rng([7, number]), unit="days")
        for number, process in enumerate(processes)
    ]


def numbers(learner: EventLearner[Any]) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in learner.process.state_dict().items()}


@EVERY
def test_a_seed_decides_everything_also_across_a_load(make: Make, regimes: list[EventSequences]) -> None:
    straight, stopped, resumed = make(), make(), make()
    for increment in regimes:
        straight.learn(increment)
    stopped.learn(regimes[0])
    resumed.load(stopped.state())
    assert resumed.state() == stopped.state()
    resumed.learn(regimes[1])
    assert resumed.state() == straight.state()
    assert resumed.increments == 2
    drawn = [learner.predict(regimes[0], horizon=100.0, draws=4) for learner in (straight, resumed)]
    assert np.array_equal(drawn[0].mean_gaps, drawn[1].mean_gaps)
    assert drawn[0].type_shares.shape == (32, 1, 3)
    assert straight.negative_log_likelihood(regimes[0]) == resumed.negative_log_likelihood(regimes[0])


@EVERY
def test_what_does_not_fit_is_refused_and_nothing_changes(make: Make, regimes: list[EventSequences]) -> None:
    learner = make()
    with pytest.raises(UsageError, match="learned nothing yet"):
        learner.negative_log_likelihood(regimes[0])
    learner.learn(regimes[0])
    state = learner.state()
    with pytest.raises(BadDataError, match="3 types"):
        learner.learn(EventSequences.of([(np.arange(3.0), np.array([0, 3, 1]))], unit="days"))
    with pytest.raises(BadDataError, match="'days', those of the sequences in 'hours'"):
        learner.learn(EventSequences.of([(np.arange(20.0), np.arange(20) % 3)], unit="hours"))
    learner.learn(regimes[1].with_given(10_000))
    other = FineTunedEvents(3, FineTuningParameters(width=9))
    other.learn(regimes[0].select(np.arange(2)))
    with pytest.raises(ConfigurationError, match="another learner"):
        learner.load(other.state())
    with pytest.raises(StoreError):
        learner.load(state[:-3])
    assert learner.state() == state


def test_what_earlier_increments_taught_is_frozen_to_the_bit(regimes: list[EventSequences]) -> None:
    learner = retrieving()
    learner.learn(regimes[0])
    before, values = numbers(learner), learner.process.pool.values.detach().clone()
    learner.learn(regimes[1])
    after = numbers(learner)
    assert all(torch.equal(after[name], before[name]) for name in before if not name.startswith("pool."))
    assert torch.equal(learner.process.pool.values[0], values[0])
    assert not values.any()
    assert learner.process.pool.values[1].any()
    assert len(learner.found) == 2


def test_the_past_tells_which_modulation_is_needed(regimes: list[EventSequences]) -> None:
    sizes = {"width": 16, "passes": 16, "batch_size": 16, "learning_rate": 0.03}
    learner = RetrievingEvents(3, RetrievingParameters(**sizes, modulation_passes=10))  # type: ignore[arg-type]
    online = FineTunedEvents(3, FineTuningParameters(**sizes))  # type: ignore[arg-type]
    for increment in regimes:
        learner.learn(increment)
        online.learn(increment)
    late = [increment.with_given(12) for increment in regimes]
    late = [increment.select(np.flatnonzero(increment.counted.any(axis=1))) for increment in late]
    for number, increment in enumerate(late):
        found = learner.picked(increment)[:, :-1][increment.counted]
        assert np.mean(found == number) > 0.7
        retrieved = learner.negative_log_likelihood(increment)
        with learner.process.told(number):
            told = learner.negative_log_likelihood(increment)
        with learner.process.told(1 - number):
            wrong = learner.negative_log_likelihood(increment)
        assert told < wrong - 0.1
        assert retrieved < told + 0.3 * (wrong - told)
    assert learner.negative_log_likelihood(late[0]) < online.negative_log_likelihood(late[0]) - 0.1


def test_a_pull_holds_back_and_a_pretrained_network_stays(regimes: list[EventSequences]) -> None:
    moved = {}
    for name, more in (("free", {}), ("pulled", {"pull": 10_000.0}), ("pretrained", {"taught": 1})):
        learner = FineTunedEvents(3, FineTuningParameters(**SMALL, **more))  # type: ignore[arg-type]
        learner.learn(regimes[0])
        before = numbers(learner)
        learner.learn(regimes[1])
        after = numbers(learner)
        moved[name] = sum(float((after[part] - before[part]).square().sum()) for part in before)
    assert moved["pretrained"] == 0.0
    assert 0.0 < moved["pulled"] < 0.7 * moved["free"]


def test_prompts_and_network_are_taught_in_turns(regimes: list[EventSequences]) -> None:
    sizes = {"time_width": 4, "components": 4, "picked": 2, "length": 3, "history": 3, "width": 8, "batch_size": 16}
    learner = PromptTPP(3, PromptTPPParameters(**sizes, passes=1))  # type: ignore[arg-type]
    learner.learn(regimes[0])
    before = numbers(learner)
    learner.learn(regimes[1])
    after = numbers(learner)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"pool.value_rows.live", "pool.key_rows.live"} <= changed
    assert not any(name.startswith("base.") for name in changed)
    both = PromptTPP(3, PromptTPPParameters(**sizes, passes=2))  # type: ignore[arg-type]
    both.learn(regimes[0])
    before = numbers(both)
    both.learn(regimes[1])
    after = numbers(both)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"pool.value_rows.live", "pool.key_rows.live", "base.embedding.weight"} <= changed
    assert len(both.evenness) == 2
    assert all(0.0 <= share <= 1.0 for share in both.evenness)
    with pytest.raises(ConfigurationError, match="at most its components"):
        PromptTPPParameters(picked=11)
