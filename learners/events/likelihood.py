"""How likely event sequences are to a point process, event by event and interval by interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from curate.learners.events.batches import Batch
from curate.learners.events.process import PointProcess
from curate.learners.events.quadrature import GaussRule, Rule


@dataclass(frozen=True, slots=True)
class LogLikelihood:
    """The parts of log p = Σ log λ_{k_i}(t_i) - Σ_k ∫ λ_k, over what is not given (Daley and Vere-Jones 2003, 7.2).

    rates: log of the sum of the intensities at each event, in one over the sequences' unit; 0 where nothing counts.
    types: log of the share that the event's own type had in that sum: the probability of its type, given its time.
    compensators: each type's integral over each watched interval, (sequences, length + 1, types).
    The first two are of shape (sequences, length).
    """

    rates: torch.Tensor
    types: torch.Tensor
    compensators: torch.Tensor
    counted: torch.Tensor

    @property
    def of_sequences(self) -> torch.Tensor:
        """The log-likelihood of each sequence."""
        return (self.rates + self.types).sum(dim=1) - self.compensators.sum(dim=(1, 2))

    @property
    def per_event(self) -> torch.Tensor:
        """The log-likelihood of all of them, divided by the number of events that count."""
        return self.of_sequences.sum() / self.counted.sum().clamp(min=1)


def log_likelihood(process: PointProcess[Any], batch: Batch, rule: Rule | None = None) -> LogLikelihood:
    """Return the likelihood of a batch; integrals without a closed form are taken by a rule, Gauss's by default."""
    ends, compensators = process.evaluate(process.encode(batch), batch.durations, rule or GaussRule())
    at_events = ends[:, :-1].clamp(min=torch.finfo(ends.dtype).tiny)
    totals = at_events.sum(dim=2)
    own = at_events.gather(2, batch.types[..., None])[..., 0]
    ticks = torch.log(torch.as_tensor(process.clock.tick, dtype=ends.dtype))
    return LogLikelihood(
        rates=torch.where(batch.counted, totals.log() - ticks, 0.0),
        types=torch.where(batch.counted, own.log() - totals.log(), 0.0),
        compensators=torch.where(batch.watched[..., None], compensators, 0.0),
        counted=batch.counted,
    )
