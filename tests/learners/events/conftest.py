"""Hawkes processes and what was drawn from them, for the tests of event sequences."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from curate.learners.events.hawkes import HawkesProcess
from curate.learners.events.sequences import EventSequences
from curate.learners.events.simulation import simulate


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these are many times slower with threads where the processors have other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def cycle() -> HawkesProcess:
    """Three types, of which each brings about the next; decays differ."""
    weights = np.array([[0.1, 0.0, 0.6], [0.6, 0.1, 0.0], [0.0, 0.6, 0.1]])
    decays = np.array([[2.0, 1.0, 1.0], [3.0, 2.0, 1.0], [1.0, 1.5, 4.0]])
    return HawkesProcess(np.array([0.2, 0.1, 0.15]), weights, decays)


@pytest.fixture(scope="session")
def drawn(cycle: HawkesProcess) -> EventSequences:
    """Fifty sequences from the cycle, of different lengths, in days."""
    return simulate(cycle, sequences=50, horizon=20.0, generator=np.random.default_rng(7), unit="days")
