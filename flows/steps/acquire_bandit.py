"""A bandit over utilities in the step `acquire`: what it draws for a batch, what is kept of it, what answers pay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.flows.project import Project
from curate.select.stream.bandit import Bandit
from curate.select.stream.budgets import REASONS
from curate.select.stream.numbers import numbers
from curate.select.stream.utilities import UTILITIES
from curate.settings import AcquireSettings
from curate.store.acquiring import kept_draws

CHANCE = "chance"
_WINDOW = 100
"""An item's utility is its rank among so many; the state that each batch commits holds them."""
_FOR_UTILITY = REASONS.index("utility")


@dataclass(frozen=True, slots=True)
class Draws:
    """Which arm was drawn for each item of a batch, by its place among them, and with what probability."""

    arms: NDArray[np.int64]
    chances: NDArray[np.float64]

    def kept(self, first: int, reasons: NDArray[np.int8]) -> list[list[Any]]:
        """Return place in the stream, arm and probability of what is asked about for its utility, as JSON keeps it."""
        asked = np.flatnonzero(reasons == _FOR_UTILITY).tolist()
        return [[first + place + 1, int(self.arms[place]), float(self.chances[place]).hex()] for place in asked]


def bandit_of(settings: AcquireSettings) -> Bandit | None:
    """Return a bandit that knows nothing, where the settings want one."""
    return Bandit(settings.arms, settings.seed, window=_WINDOW) if settings.utility == "bandit" else None


def drawn(
    bandit: Bandit, seed: int, first: int, probabilities: NDArray[np.float64], features: Any
) -> tuple[NDArray[np.float64], Draws]:
    """Return the utilities of the items behind the `first` of the stream, each by the arm that was drawn for it."""
    count = len(probabilities)
    rows = [
        numbers(seed + 1, first, count) if arm == CHANCE else UTILITIES[arm](probabilities, features)
        for arm in bandit.strategies
    ]
    utilities, arms, chances = bandit.utilities(np.stack(rows))
    return utilities, Draws(arms, chances)


def pay(
    project: Project, bandit: Bandit, policy: str, version: str, answers: pa.Table, errors: Sequence[float]
) -> None:
    """Reward the arms for which these answers were asked, by one where the learner was wrong.

    What was asked about for any other reason than its utility, or under other settings, rewards none.
    """
    places = answers["place"].to_pylist()
    with project.reader() as reader:
        kept = kept_draws(reader, policy, version, min(places), max(places))
    draws = {place: (arm, float.fromhex(chance)) for row in kept for place, arm, chance in json.loads(row)}
    for place, error in zip(places, errors, strict=True):
        if place in draws:
            bandit.reward(*draws[place], error)


def shares(bandit: Bandit) -> dict[str, float]:
    """Return with which probability each arm is drawn by now."""
    return dict(zip(bandit.strategies, bandit.probabilities.tolist(), strict=True))
