"""Integrals of intensities over intervals: an exact rule for measuring, a random one for learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch


class Rule(Protocol):
    """Says where in (0, 1) an intensity is looked at, and with which weights."""

    def places(self, durations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return places and weights, of the shape of the durations and a last one, or of the last one alone."""
        ...


@dataclass(frozen=True, slots=True)
class GaussRule:
    """Gauss-Legendre on √t, which looks closest right behind an event, where intensities change most.

    With the substitution t = u², ∫₀¹ f(t) dt = ∫₀¹ 2 u f(u²) du, and `nodes` nodes in u.
    """

    nodes: int = 12

    def places(self, durations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the same places and weights for every interval."""
        nodes, weights = np.polynomial.legendre.leggauss(self.nodes)
        return _squared(torch.from_numpy((nodes + 1) / 2).to(durations), torch.from_numpy(weights / 2).to(durations))


@dataclass(frozen=True, slots=True)
class RandomRule:
    """One uniform place in each of `nodes` equal parts of √t: unbiased, and no network learns to dodge the nodes."""

    generator: torch.Generator
    nodes: int = 5

    def places(self, durations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return new places for every interval."""
        drawn = torch.rand((*durations.shape, self.nodes), generator=self.generator, dtype=durations.dtype)
        nodes = (torch.arange(self.nodes) + drawn).to(durations) / self.nodes
        return _squared(nodes, torch.full_like(nodes, 1 / self.nodes))


def _squared(nodes: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return nodes.square(), 2 * nodes * weights
