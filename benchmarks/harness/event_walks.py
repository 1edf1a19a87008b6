"""One walk of a learner through increments of events: how likely, and how rightly typed, each held-out part was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from benchmarks.harness.event_increments import Increment
from curate.learners.events.baselines import TrivialBaseline
from curate.learners.events.forecast import forecast_each
from curate.learners.events.learner import EventLearner
from curate.learners.events.predictions import score
from curate.learners.events.process import PointProcess
from curate.learners.events.quadrature import GaussRule
from curate.learners.events.sequences import EventSequences

_NODES, _AT_ONCE = 12, 64
_FORECASTS, _DRAWS, _HORIZON_TICKS = 12, 8, 50.0


@dataclass
class Walk:
    """Negative log-likelihood an event and type errors in percent, after each increment of each held-out part.

    A row holds the parts learned so far and the next one, if there is one. gaps: the mean absolute error of the time to
    the next event at the end, in the unit. logged: what the learner says of its retrieval after each increment.
    """

    likelihoods: list[list[float]] = field(default_factory=list)
    errors: list[list[float]] = field(default_factory=list)
    gaps: float = float("nan")
    logged: list[float] = field(default_factory=list)

    def average(self, figure: str, first: int) -> float:
        """Return the mean over rows, from the `first` on, of the mean over the parts."""
        return float(np.mean([np.mean(row) for row in getattr(self, figure)[first:]]))

    def forgetting(self, figure: str) -> float:
        """Return the mean over earlier parts of what was lost since the best that was reached once it was learned."""
        rows = getattr(self, figure)
        last = rows[-1]
        lost = [last[part] - min(row[part] for row in rows[part:]) for part in range(len(rows) - 1)]
        return float(np.mean(lost)) if lost else 0.0


View = Callable[[int], AbstractContextManager[None]]
"""What is told about a part, by its increment's number, while it is scored."""


def walk(
    learner: EventLearner[Any],
    increments: Sequence[Increment],
    *,
    ahead: bool,
    views: Mapping[str, View],
    first: str = "",
) -> dict[str, Walk]:
    """Let a learner learn the increments in turn, and score it after each under every view.

    `ahead` scores the next increment too. A view is told the increment of a part, for the next the newest learned.
    `first` names the walk of a learner that learns the first increment and no other.
    """
    found = {name: Walk() for name in views}
    for number in range(len(increments) - ahead):
        learner.learn(increments[number].learned)
        if first and not number:
            found[first] = _standing(learner, increments, ahead)
        for name, view in views.items():
            scores = []
            for part, increment in enumerate(increments[: number + 1 + ahead]):
                with view(min(part, number)):
                    scores.append(scored(learner.process, increment.held_out))
            found[name].likelihoods.append([likelihood for likelihood, _ in scores])
            found[name].errors.append([error for _, error in scores])
    return found


def _standing(learner: EventLearner[Any], increments: Sequence[Increment], ahead: bool) -> Walk:
    scores = [scored(learner.process, increment.held_out) for increment in increments]
    rows = [scores[: number + 1 + ahead] for number in range(len(increments) - ahead)]
    found = Walk([[one for one, _ in row] for row in rows], [[one for _, one in row] for row in rows])
    found.gaps = gap_error(learner.process, increments[-1].held_out, 0)
    return found


def trivial_walk(increments: Sequence[Increment], *, ahead: bool) -> Walk:
    """Let the most frequent type and the mean gap of the newest increment predict; as a Poisson process."""
    found = Walk()
    for number in range(len(increments) - ahead):
        baseline = TrivialBaseline.fit(increments[number].learned)
        parts = [one.held_out for one in increments[: number + 1 + ahead]]
        found.likelihoods.append([-baseline.log_likelihood(one).sum() / one.counted.sum() for one in parts])
        found.errors.append([100 * score(baseline.predict(one), one).type_error for one in parts])
    sample = _sample(increments[-1].held_out)
    found.gaps = score(baseline.predict(sample), sample).mean_absolute
    return found


def scored(process: PointProcess[Any], sequences: EventSequences) -> tuple[float, float]:
    """Return the negative log-likelihood an event, and the percentage of events whose type was not the likeliest then.

    The type is predicted given the event's time.
    """
    total, wrong = 0.0, 0
    with torch.no_grad():
        for rows in np.array_split(np.argsort(sequences.lengths), -(-len(sequences) // _AT_ONCE)):
            batch = process.batch(sequences.select(rows))
            ends, integrals = process.evaluate(process.encode(batch), batch.durations, GaussRule(_NODES))
            own = ends[:, :-1].gather(2, batch.types[..., None])[..., 0].clamp(min=torch.finfo(ends.dtype).tiny)
            total += float(own.log()[batch.counted].sum() - integrals[batch.watched].sum())
            wrong += int((ends[:, :-1].argmax(dim=2) != batch.types)[batch.counted].sum())
    events = int(sequences.counted.sum())
    return float(np.log(process.clock.tick)) - total / events, 100 * wrong / events


def gap_error(process: PointProcess[Any], sequences: EventSequences, seed: int) -> float:
    """Return the mean absolute error of the predicted time to the next event, over a few sequences."""
    sample = _sample(sequences)
    generator = torch.Generator().manual_seed(seed)
    horizon = _HORIZON_TICKS * process.clock.tick
    return score(
        forecast_each(process, sample, draws=_DRAWS, horizon=horizon, generator=generator), sample
    ).mean_absolute


def _sample(sequences: EventSequences) -> EventSequences:
    return sequences.select(np.arange(min(_FORECASTS, len(sequences))))
