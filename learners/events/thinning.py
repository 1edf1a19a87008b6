"""Drawing the next event of many sequences at once, by thinning under a bound that always holds."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch

from curate.learners.events.process import Known, PointProcess

_FEWEST, _MOST = 4, 64
"""Candidates that a draw takes in a round."""


@dataclass(frozen=True, slots=True)
class Draws:
    """When the next event comes, in ticks since an interval's beginning, and the probabilities of its type then.

    gaps: (sequences, draws), infinite where there was none up to the horizon. types: (sequences, draws, types), zeros
    where there was none. candidates: how many were looked at for each event that was found, on the average.
    """

    gaps: torch.Tensor
    types: torch.Tensor
    candidates: float


def draw_next(
    process: PointProcess[Known],
    state: Known,
    positions: torch.Tensor,
    since: torch.Tensor,
    *,
    generator: torch.Generator,
    horizon: float = sys.float_info.max,
) -> Draws:
    """Draw the next event at positions of each sequence, given that none came up to `since`: (sequences, draws) both.

    A position may stand there as often as it is to be drawn. A draw whose `since` is not below the horizon is none.

    Ogata's thinning (1981), as in Mei and Eisner (NeurIPS 2017, appendix B.3), with the process's bound, which is no
    guess: candidates come at the bound's rate, each is the event with the probability λ(t) / bound, and a draw without
    one goes on behind its last candidate, under the bound from there. So nothing is cut off but by `horizon`, in ticks.

    All draws of all sequences take their candidates in the same rounds; those that found their event leave.
    """
    pending = _Pending(positions, since, process.type_count, horizon)
    candidates, looked_at = _FEWEST, 0
    with torch.no_grad():
        while (width := pending.width()) > 0:
            places, where, elapsed = pending.first(width)
            known = state.at(where)
            bounds = process.bounds(known, elapsed[..., None])
            waits = _exponential((*elapsed.shape, candidates), elapsed, generator).cumsum(dim=2) / bounds
            times = (elapsed[..., None] + waits).clamp(max=torch.finfo(elapsed.dtype).max)
            found = process.intensities(known, times)
            chosen = _uniform(times.shape, elapsed, generator) * bounds < found.sum(dim=3)
            looked_at += pending.open * candidates
            pending.settle(places, times, found, chosen)
            candidates = min(_MOST, 2 * candidates)
    return Draws(pending.gaps, pending.types, looked_at / max(int(pending.gaps.isfinite().sum()), 1))


class _Pending:
    """Which draws have found their event, and how far the others have come."""

    def __init__(self, positions: torch.Tensor, since: torch.Tensor, type_count: int, horizon: float) -> None:
        self.gaps = torch.full_like(since, torch.inf)
        self.types = since.new_zeros((*since.shape, type_count))
        self._positions, self._elapsed = positions, since.clone()
        self._horizon = min(horizon, torch.finfo(since.dtype).max)
        self._open = since < self._horizon

    @property
    def open(self) -> int:
        """How many draws go on."""
        return int(self._open.sum())

    def width(self) -> int:
        """How many draws go on in the sequence where most do."""
        return int(self._open.sum(dim=1).max()) if self._open.numel() else 0

    def first(self, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return places, positions and elapsed times of the draws that go on, and of others to fill up the rows."""
        places = torch.argsort(self._open.int(), dim=1, descending=True, stable=True)[:, :width]
        return places, self._positions.gather(1, places), self._elapsed.gather(1, places)

    def settle(self, places: torch.Tensor, times: torch.Tensor, found: torch.Tensor, chosen: torch.Tensor) -> None:
        """Take each draw's first chosen candidate, if the draw goes on and the candidate is within the horizon."""
        any_chosen, first = chosen.max(dim=2)
        time = times.gather(2, first[..., None])[..., 0]
        going_on = self._open.gather(1, places)
        took = going_on & any_chosen & (time < self._horizon)
        self.gaps.scatter_(1, places, torch.where(took, time, self.gaps.gather(1, places)))
        intensities = found.gather(2, first[..., None, None].expand(-1, -1, -1, found.shape[3]))[:, :, 0]
        shares = intensities / intensities.sum(dim=2, keepdim=True)
        every = places[..., None].expand_as(shares)
        self.types.scatter_(1, every, torch.where(took[..., None], shares, self.types.gather(1, every)))
        self._elapsed.scatter_(1, places, times[..., -1])
        self._open.scatter_(1, places, going_on & ~any_chosen & (times[..., -1] < self._horizon))


def _exponential(shape: tuple[int, ...], like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.empty(shape, dtype=like.dtype).exponential_(generator=generator).to(like.device)


def _uniform(shape: tuple[int, ...], like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(shape, generator=generator, dtype=like.dtype).to(like.device)
