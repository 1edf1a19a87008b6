"""Predicting the next event of sequences with a point process, by draws."""

from __future__ import annotations

from typing import Any

import torch

from curate.learners.events.predictions import Predictions
from curate.learners.events.process import PointProcess
from curate.learners.events.sequences import EventSequences
from curate.learners.events.thinning import Draws, draw_next


def forecast_each(
    process: PointProcess[Any], sequences: EventSequences, *, draws: int, horizon: float, generator: torch.Generator
) -> Predictions:
    """Predict every event that is not given from those before it; of shape (sequences, longest).

    `horizon` is in the sequences' unit. Where there is nothing to predict, the predictions mean nothing.
    """
    with torch.no_grad():
        batch = process.batch(sequences)
        positions = torch.arange(batch.types.shape[1], device=batch.types.device).expand_as(batch.types)
        since = torch.where(batch.counted, batch.durations.new_zeros(()), torch.inf)
    return _forecast(process, sequences, positions, since, draws, horizon, generator)


def forecast_next(
    process: PointProcess[Any], sequences: EventSequences, *, draws: int, horizon: float, generator: torch.Generator
) -> Predictions:
    """Predict the event behind each sequence's last, given that none came up to its end; of shape (sequences, 1).

    Gaps count from the last event on. `horizon`, in the sequences' unit too, must lie behind what has passed.
    """
    batch = process.batch(sequences)
    positions = batch.lengths[:, None]
    return _forecast(process, sequences, positions, batch.durations.gather(1, positions), draws, horizon, generator)


def _forecast(
    process: PointProcess[Any],
    sequences: EventSequences,
    positions: torch.Tensor,
    since: torch.Tensor,
    draws: int,
    horizon: float,
    generator: torch.Generator,
) -> Predictions:
    with torch.no_grad():
        drawn = draw_next(
            process,
            process.encode(process.batch(sequences)),
            positions.repeat_interleave(draws, dim=1),
            since.repeat_interleave(draws, dim=1),
            generator=generator,
            horizon=horizon / process.clock.tick,
        )
    return summary(drawn, draws, process.clock.tick, horizon)


def summary(drawn: Draws, draws: int, tick: float, horizon: float) -> Predictions:
    """Summarise so many draws each; types are weighed over the draws that had an event."""
    shape = (len(drawn.gaps), -1, draws)
    gaps, types = drawn.gaps.double().view(shape), drawn.types.double().view(*shape, drawn.types.shape[2])
    beyond = gaps.isinf()
    gaps = torch.where(beyond, horizon, gaps * tick)
    known = (~beyond).sum(dim=2, keepdim=True)
    shares = torch.where(known > 0, types.sum(dim=2) / known.clamp(min=1), 1 / types.shape[3])
    return Predictions(
        mean_gaps=gaps.mean(dim=2).cpu().numpy(),
        median_gaps=gaps.quantile(0.5, dim=2).cpu().numpy(),
        type_shares=shares.cpu().numpy(),
        beyond=beyond.double().mean(dim=2).cpu().numpy(),
    )
