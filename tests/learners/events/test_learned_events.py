"""Taught point processes beat what knows nothing, and come near to the process that the events were drawn from."""

from typing import Any

import numpy as np
import pytest
import torch

from curate.errors import BadDataError
from curate.learners.events.attentive import AttentiveHawkes, AttentiveParameters
from curate.learners.events.baselines import TrivialBaseline
from curate.learners.events.batches import Clock
from curate.learners.events.exponential import ExponentialHawkes
from curate.learners.events.forecast import forecast_each
from curate.learners.events.hawkes import HawkesProcess
from curate.learners.events.likelihood import log_likelihood
from curate.learners.events.measuring import measure
from curate.learners.events.predictions import score
from curate.learners.events.process import PointProcess
from curate.learners.events.quadrature import GaussRule
from curate.learners.events.recurrent import RecurrentHawkes, RecurrentParameters
from curate.learners.events.sequences import EventSequences
from curate.learners.events.simulation import simulate
from curate.learners.events.training import TrainingParameters, batches_by_length, fit


@pytest.fixture(scope="module")
def ring() -> HawkesProcess:
    """Each of three types is all but sure to be followed by the next."""
    weights = np.array([[0.0, 0.0, 0.8], [0.8, 0.0, 0.0], [0.0, 0.8, 0.0]])
    return HawkesProcess(np.full(3, 0.1), weights, np.full((3, 3), 2.0))


@pytest.fixture(scope="module")
def parts(ring: HawkesProcess) -> tuple[EventSequences, EventSequences]:
    """Sequences to learn from and sequences held out."""
    sizes = {"horizon": 30.0, "unit": "days"}
    return (
        simulate(ring, sequences=70, generator=np.random.default_rng(0), **sizes),  # type: ignore[arg-type]
        simulate(ring, sequences=40, generator=np.random.default_rng(1), **sizes),  # type: ignore[arg-type]
    )


def made(name: str, clock: Clock) -> PointProcess[Any]:
    if name == "recurrent":
        return RecurrentHawkes(3, clock, RecurrentParameters(width=16))
    if name == "attentive":
        return AttentiveHawkes(3, clock, AttentiveParameters(width=16, time_width=8, layers=1))
    return ExponentialHawkes.fresh(3, clock).float()


@pytest.mark.parametrize(
    ("name", "passes", "share"),
    [
        ("recurrent", 8, 0.8),
        pytest.param("attentive", 24, 0.4, marks=pytest.mark.slow),
        ("exponential", 12, 0.9),
    ],
)
def test_a_model_comes_near_to_the_truth(
    name: str, passes: int, share: float, ring: HawkesProcess, parts: tuple[EventSequences, EventSequences]
) -> None:
    learned, held_out = parts
    process = made(name, Clock.of(learned))
    met = fit(process, learned, TrainingParameters(passes=passes, batch_size=16, learning_rate=0.02, nodes=4))
    assert met[-1] > met[0]
    events = held_out.counted.sum()
    truth = ring.log_likelihood(held_out).sum() / events
    trivial = TrivialBaseline.fit(learned)
    poisson = trivial.log_likelihood(held_out).sum() / events
    found = measure(process, held_out).per_event
    assert found > poisson + share * (truth - poisson)
    assert found < truth + 0.02
    predicted = forecast_each(process, held_out, draws=10, horizon=100.0, generator=torch.Generator().manual_seed(0))
    mine, theirs = score(predicted, held_out), score(trivial.predict(held_out), held_out)
    assert mine.type_error < theirs.type_error - 0.1
    assert mine.events == theirs.events == events


@pytest.mark.parametrize("name", ["recurrent", "attentive"])
def test_integrals_are_refined_until_they_are_right(name: str, drawn: EventSequences) -> None:
    process, drawn = made(name, Clock("days", 0.05)), drawn.select(np.arange(15))
    with torch.no_grad():
        process.head.linear.weight.mul_(5)  # type: ignore[operator, union-attr]
    found = measure(process, drawn, batch_size=7, tolerance=1e-4)
    exact = log_likelihood(process, process.batch(drawn), GaussRule(400)).of_sequences.detach().numpy()
    once = log_likelihood(process, process.batch(drawn), GaussRule(12)).of_sequences.detach().numpy()
    events = found.events
    assert found.uncertainty < 1e-4
    assert np.abs(found.of_sequences - exact).sum() / events < 1e-3
    assert found.per_event == pytest.approx(float(exact.sum()) / events, abs=1e-3)
    if name == "attentive":
        assert np.abs(once - exact).sum() / events > 1e-2


def test_the_same_seed_teaches_the_same(parts: tuple[EventSequences, EventSequences]) -> None:
    sequences = parts[0].select(np.arange(20))
    given = TrainingParameters(passes=2, batch_size=8)
    first, second = made("recurrent", Clock.of(sequences)), made("recurrent", Clock.of(sequences))
    assert np.array_equal(fit(first, sequences, given), fit(second, sequences, given))
    assert all(torch.equal(mine, other) for mine, other in zip(first.parameters(), second.parameters(), strict=True))


def test_batches_hold_every_sequence_once() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 1000, 300)
    found = list(batches_by_length(lengths, 16, generator))
    assert sorted(np.concatenate(found)) == list(range(300))
    spread = np.mean([np.ptp(lengths[rows]) for rows in found])
    assert spread < 200


def test_the_trivial_baseline_counts(drawn: EventSequences) -> None:
    sequences = EventSequences.of(
        [(np.array([0.0, 1.0, 4.0]), np.array([0, 2, 2])), (np.array([5.0, 7.0]), np.array([0, 1]))], unit="days"
    )
    found = TrivialBaseline.fit(sequences)
    assert found.type_shares == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert (found.mean_gap, found.median_gap, found.rate, found.unit) == (2.0, 2.0, 0.5, "days")
    predictions = found.predict(sequences)
    assert predictions.types.tolist() == [[2, 2, 2], [2, 2, 2]]
    scores = score(predictions, sequences)
    assert scores.type_error == pytest.approx(1 / 3)
    assert scores.root_mean_square == pytest.approx(np.sqrt(2 / 3))
    assert scores.mean_absolute == pytest.approx(2 / 3)
    expected = [2 * np.log(0.25) - 2.0, np.log(0.5 / 3) - 1.0]
    assert found.log_likelihood(sequences) == pytest.approx(expected)


def test_there_must_be_something_to_predict(drawn: EventSequences) -> None:
    given = drawn.with_given(10_000)
    with pytest.raises(BadDataError, match="none to predict"):
        score(TrivialBaseline.fit(drawn).predict(given), given)


def test_passes_teach_groups_in_turns_and_a_penalty_counts(parts: tuple[EventSequences, EventSequences]) -> None:
    sequences = parts[0].select(np.arange(16))
    process = RecurrentHawkes(3, Clock.of(sequences), RecurrentParameters(width=8))
    before = {name: part.detach().clone() for name, part in process.named_parameters()}
    groups = [list(process.head.parameters()), list(process.embedding.parameters())]

    def moved() -> set[str]:
        return {name for name, part in process.named_parameters() if not torch.equal(part, before[name])}

    fit(process, sequences, TrainingParameters(passes=1, batch_size=8), turns=groups)
    assert moved() == {"head.linear.weight", "head.linear.bias", "head.log_scale"}
    fit(process, sequences, TrainingParameters(passes=2, batch_size=8), turns=groups)
    assert moved() == {"head.linear.weight", "head.linear.bias", "head.log_scale", "embedding.weight"}
    held = RecurrentHawkes(3, Clock.of(sequences), RecurrentParameters(width=8))
    fit(
        held,
        sequences,
        TrainingParameters(passes=20, batch_size=8, learning_rate=0.05, falling=1),
        penalty=lambda: 1e4 * held.embedding.weight.square().sum(),
    )
    assert held.embedding.weight.detach().norm() < 0.5 * before["embedding.weight"].norm()
