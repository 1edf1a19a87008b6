"""Paired runs: contenders take turns, so that what slows the machine down slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from curate.errors import UsageError
from curate.statistics import Interval, bootstrap_interval
from curate.statistics import median as middle

FEWEST_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of each contender: `warm_up[name]` of its first run, `rounds[name]` of every later one, in order."""

    warm_up: Mapping[str, float]
    rounds: Mapping[str, tuple[float, ...]]

    def median(self, name: str) -> float:
        """Return the median of a contender's rounds, in seconds."""
        return median(self.rounds[name])

    def times_faster(self, name: str, than: str, seed: int = 0) -> Interval:
        """Return how many times faster one contender is than another: the median over the rounds of the ratio.

        The interval comes from a bootstrap over the rounds.
        """
        ratios = [slow / fast for fast, slow in zip(self.rounds[name], self.rounds[than], strict=True)]
        return bootstrap_interval(ratios, middle, seed=seed)


def take_turns(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int = FEWEST_ROUNDS,
    *,
    clock: Callable[[], float] = time.perf_counter,
    note: Callable[[str], None] = lambda message: None,
    before: Callable[[], None] = lambda: None,
) -> Timings:
    """Run every contender once to warm up, then all of them in turn (A B A B …), and return the seconds of each run.

    `before` is called ahead of the warm-up and of each round, and not timed.

    Raises:
        UsageError: fewer than five rounds, whose median says little.
    """
    if rounds < FEWEST_ROUNDS:
        raise UsageError(f"{rounds} rounds are too few for a median", hint=f"ask for at least {FEWEST_ROUNDS}")

    def seconds(run: Callable[[], object]) -> float:
        start = clock()
        run()
        return clock() - start

    before()
    warm_up = {name: seconds(run) for name, run in contenders.items()}
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        before()
        for name, run in contenders.items():
            measured[name].append(seconds(run))
            note(f"round {number} of {rounds}: {name} {measured[name][-1]:.3f} s")
    return Timings(warm_up, {name: tuple(values) for name, values in measured.items()})
