"""The likelihood of many sequences, with integrals that are made finer until that changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from curate.learners.events.likelihood import log_likelihood
from curate.learners.events.process import PointProcess
from curate.learners.events.quadrature import GaussRule
from curate.learners.events.sequences import EventSequences
from curate.learners.numerics import Floats

FIRST, LAST = 12, 384
"""Nodes that an integral begins with, and that it is never refined beyond."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The log-likelihood of each sequence, (sequences,); how many events counted; and how far the integrals are sure.

    `uncertainty` is the greatest change, per event of a batch, that the last doubling of the nodes made.
    """

    of_sequences: Floats
    events: int
    uncertainty: float

    @property
    def per_event(self) -> float:
        """The mean over all events that count."""
        return float(self.of_sequences.sum()) / max(self.events, 1)


def measure(
    process: PointProcess[Any], sequences: EventSequences, *, batch_size: int = 64, tolerance: float = 1e-3
) -> Measured:
    """Measure sequences of like lengths together, doubling each integral's nodes until no batch changes by more.

    `tolerance` is in log-likelihood per event. The waves of an attentive model's times need more nodes, the longer the
    gaps are; those of a recurrent one need few. What is still above it after 384 nodes says so in `uncertainty`.
    """
    found, uncertainty = np.zeros(len(sequences)), 0.0
    order = np.argsort(sequences.lengths, kind="stable")
    for rows in np.array_split(order, max(1, -(-len(order) // batch_size))):
        part = sequences.select(rows)
        found[rows], change = _refined(process, part, tolerance * max(1, int(part.counted.sum())))
        uncertainty = max(uncertainty, change / max(1, int(part.counted.sum())))
    return Measured(found, int(sequences.counted.sum()), uncertainty)


def _refined(process: PointProcess[Any], sequences: EventSequences, tolerance: float) -> tuple[Floats, float]:
    nodes, change = FIRST, np.inf
    found = _with_nodes(process, sequences, nodes)
    while change > tolerance and nodes < LAST:
        nodes *= 2
        finer = _with_nodes(process, sequences, nodes)
        found, change = finer, float(np.abs(finer - found).sum())
    return found, change


def _with_nodes(process: PointProcess[Any], sequences: EventSequences, nodes: int) -> Floats:
    with torch.no_grad():
        found = log_likelihood(process, process.batch(sequences), GaussRule(nodes))
        return found.of_sequences.double().cpu().numpy().astype(np.float64)
