"""What a label buys on a stream: the default policy against random choice and the peers' strategies.

Every policy runs with the same learner (the nearest 7 of the last 400 labels, standardised as the stream goes on), item
after item: predict, decide, learn what was asked. Accuracy counts every item, asked about or not. Streams: four that
drift (SEA, moving Gaussians, a turning hyperplane, Agrawal's rules) of 10,000 items and three real ones of river, at
budgets of 1, 5 and 20 %, with ten seeds. The default is told how many items will come. Nothing was chosen on them: the
default's settings were fixed on sine, mixed, waveform, random-tree and STAGGER streams and on digits.

The peers are scikit-activeml's managers with its utilities, and river's entropy sampler: ours decide the same (tested).
Those spend another number of labels than they are allowed, so each runs at several rates, and its accuracy is taken at
as many labels as the default spent, from the line through its two nearest runs. A strategy that cannot spend as many
keeps the accuracy of its run with the most labels.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.streams import SCORED, Stream
from benchmarks.harness.windowed import prequential, scaled
from curate.select.stream.budgets import manager_named
from curate.statistics import bootstrap_interval

PACKAGES = ("curate", "numpy", "numba", "river")
DEFAULT, RANDOM = "paced", "random"
BUDGETS = (0.01, 0.05, 0.2)
FEWEST = 100
"""Cells with fewer labels are shown and not judged."""
DELAYS = (0, 100, 1_000)
_RATES = (0.5, 0.7, 1.0, 1.4)
ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class Policy:
    """A manager by name with the utility that its authors give it."""

    manager: str
    utility: str = "least-confidence"


PEERS: Mapping[str, Policy] = {
    RANDOM: Policy("uniform"),
    "periodic": Policy("periodic"),
    "fixed": Policy("fixed"),
    "variable": Policy("variable"),
    "randomised variable": Policy("randomised-variable"),
    "split": Policy("split"),
    "counted variable": Policy("counted-variable", "margin"),
    "quantile filter": Policy("quantile", "margin"),
    "entropy sampler": Policy("sampled", "entropy"),
}
Cell = tuple[str, float, int]


def run(options: Options) -> Result:
    """Run all policies over all streams (quick: two streams, two seeds)."""
    seeds = range(options.seed, options.seed + (2 if options.quick else 10))
    names = list(SCORED)[2:5:2] if options.quick else list(SCORED)
    ours: dict[Cell, tuple[float, int]] = {}
    theirs: dict[str, dict[Cell, float]] = {name: {} for name in PEERS}
    delayed: dict[tuple[float, int], list[tuple[float, float]]] = defaultdict(list)
    off = 0.0
    for name in names:
        for seed in seeds:
            features, classes = SCORED[name](2_000 if options.quick else ITEMS, seed)
            stream = scaled(features), classes
            for budget in BUDGETS:
                cell = (name, budget, seed)
                ours[cell] = _run(stream, Policy(DEFAULT, "entropy"), budget, seed)
                off = max(off, abs(ours[cell][1] - budget * len(classes)))
                for peer, policy in PEERS.items():
                    theirs[peer][cell] = _matched(stream, policy, budget, seed, ours[cell][1])
                for delay in DELAYS:
                    found = _run(stream, Policy(DEFAULT, "entropy"), budget, seed, delay)
                    delayed[budget, delay].append((found[0], found[1] / (budget * len(classes))))
        options.note(f"{name} is done")
    return _result(options, ours, theirs, delayed, off)


def _run(stream: Stream, policy: Policy, rate: float, seed: int, delay: int = 0) -> tuple[float, int]:
    more = {"classes": int(stream[1].max()) + 1} if policy.manager == "fixed" else {}
    more |= {"horizon": len(stream[1])} if policy.manager == DEFAULT else {}
    return prequential(*stream, manager_named(policy.manager, rate, seed, **more), policy.utility, delay)


def _matched(stream: Stream, policy: Policy, budget: float, seed: int, spent: int) -> float:
    """The peer's accuracy at so many labels, from runs at several rates."""
    runs = sorted((labels, accuracy) for accuracy, labels in (_run(stream, policy, min(1.0, budget * share), seed)
                  for share in _RATES))  # fmt: skip
    labels, accuracies = zip(*runs, strict=True)
    return float(np.interp(spent, labels, accuracies))


def _result(
    options: Options,
    ours: Mapping[Cell, tuple[float, int]],
    theirs: Mapping[str, Mapping[Cell, float]],
    delayed: Mapping[tuple[float, int], Sequence[tuple[float, float]]],
    off: float,
) -> Result:
    judged = [cell for cell, (_, labels) in ours.items() if labels >= FEWEST - 1]
    over = {peer: [100 * (ours[cell][0] - found[cell]) for cell in judged] for peer, found in theirs.items()}
    gains = {peer: bootstrap_interval(values, np.mean, seed=options.seed) for peer, values in over.items()}
    streams = sorted({name for name, _, _ in judged})
    worst = min(
        float(np.mean([100 * (ours[cell][0] - theirs[RANDOM][cell]) for cell in judged if cell[0] == name]))
        for name in streams
    )
    best = min((peer for peer in PEERS if peer != RANDOM), key=lambda peer: gains[peer].value)
    bars = [
        Bar("points over random, mean of the cells", gains[RANDOM].value, 2, ">=", gains[RANDOM]),
        Bar("points over random, lower end of the interval", gains[RANDOM].low, 0, ">"),
        Bar("points over random, worst stream", worst, -1, ">="),
        Bar(f"points over the best peer, {best}", gains[best].value, 0, ">=", gains[best]),
        Bar("labels spent off the budget, most of all runs", off, 1.0, "<="),
    ]
    table = _table(ours, theirs)
    details = {
        "points over each peer": {peer: [gain.value, gain.low, gain.high] for peer, gain in gains.items()},
        "judged cells": len(judged),
        "delays": [
            {"budget": budget, "delay": delay, "accuracy, %": _mean([100 * one for one, _ in found]),
             "least and most spent of the budget": [min(s for _, s in found), max(s for _, s in found)]}
            for (budget, delay), found in sorted(delayed.items())
        ],
    }  # fmt: skip
    return Result(bars, table, details, PACKAGES)


def _table(
    ours: Mapping[Cell, tuple[float, int]], theirs: Mapping[str, Mapping[Cell, float]]
) -> list[dict[str, object]]:
    return [
        {
            "stream": name,
            "budget": budget,
            "paced, %": _mean([100 * ours[cell][0] for cell in ours if cell[:2] == (name, budget)]),
            **{
                f"{peer}, %": _mean([100 * found[cell] for cell in ours if cell[:2] == (name, budget)])
                for peer, found in theirs.items()
            },
        }
        for name in dict.fromkeys(name for name, _, _ in ours)
        for budget in BUDGETS
    ]


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 2)


if __name__ == "__main__":
    sys.exit(main("active_learning", run))
