"""What a label buys on a stream: the default policy against random choice and the peers' strategies.

Every policy runs with the same learner (the nearest 7 of the last 400 labels, standardised as the stream goes on), item
after item: predict, decide, learn what was asked. Accuracy counts every item, asked about or not. Streams: four that
drift (SEA, moving Gaussians, a turning hyperplane, Agrawal's rules) of 10,000 items and three real ones of river, at
budgets of 1, 5 and 20 %, with ten seeds. The default is told how many items will come. Nothing was chosen on them: the
default's settings were fixed on `harness.streams.TUNING`, none of which is scored.

The peers are scikit-activeml's strategies and river's entropy sampler: ours decide the same (tested). Those spend
another number of labels than they are allowed, so each runs at several rates, and its accuracy is taken at as many
labels as the default spent, from the line through its two nearest runs. A strategy that cannot spend as many keeps the
accuracy of its run with the most labels.

Significance: the interval over cells takes streams and seeds as independent; the one over streams draws whole streams;
signed ranks compare means of seeds over streams and budgets, corrected after Holm.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.harness.bars import Bar
from benchmarks.harness.circumstances_of_streams import CIRCUMSTANCES
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.policies import DEFAULT, OTHERS, PEERS, RANDOM, Course, Policy
from benchmarks.harness.ranks import compare
from benchmarks.harness.streams import SCORED
from benchmarks.harness.watched import with_bandit, with_detector
from benchmarks.harness.windowed import Answers, Passed
from curate.statistics import Interval, bootstrap_interval

PACKAGES = ("curate", "numpy", "numba", "river", "scikit-activeml", "scipy")
BUDGETS = (0.01, 0.05, 0.2)
FEWEST = 100
"""Cells with fewer labels are shown and not judged."""
DELAYS = (0, 100, 1_000)
_RATES = (0.5, 0.7, 1.0, 1.4)
_CURVE = 10
ITEMS = 10_000
WATCHED: Mapping[str, Callable[[Course, float, int], Passed]] = {
    "bandit": with_bandit,
    "default that forgets at drifts": with_detector,
}
NAMES = (*PEERS, *OTHERS, *WATCHED)
Cell = tuple[str, int, float]
Found = Mapping[Cell, Mapping[str, Any]]


def run(options: Options) -> Result:
    """Run all policies over all streams, in two processes (quick: two streams, two seeds)."""
    seeds = range(options.seed, options.seed + (2 if options.quick else 10))
    names = list(SCORED)[2:5:2] if options.quick else list(SCORED)
    tasks = [(name, seed, 2_000 if options.quick else ITEMS) for name in names for seed in seeds]
    found: dict[Cell, Mapping[str, Any]] = {}
    with get_context("fork").Pool(2) as pool:
        for number, cells in enumerate(pool.imap(_cells, tasks), 1):
            found |= cells
            options.note(f"{number} of {len(tasks)} streams are done: {tasks[number - 1][0]}")
    return _result(options, found)


def _cells(task: tuple[str, int, int]) -> dict[Cell, Mapping[str, Any]]:
    name, seed, items = task
    course = Course(SCORED[name](items, seed))
    return {(name, seed, budget): _cell(course, budget, seed) for budget in BUDGETS}


def _cell(course: Course, budget: float, seed: int) -> dict[str, Any]:
    """All that one stream, seed and budget gives."""
    ours = course.passed(DEFAULT, budget, seed)
    due = budget * len(course.classes)
    late = {delay: course.passed(DEFAULT, budget, seed, Answers.at_once(course.classes, delay)) for delay in DELAYS[1:]}
    harder = {name: made(course, budget, seed) for name, made in CIRCUMSTANCES.items()}
    runs = [ours, *late.values(), *(one.ours for one in harder.values())]
    curve = np.cumsum(ours.right) / np.arange(1, len(ours.right) + 1)
    places = np.linspace(0, len(curve) - 1, _CURVE + 1).astype(int)[1:]
    spent = np.cumsum(ours.reasons > 0)
    return {
        "accuracy": 100 * ours.accuracy,
        "labels": ours.spent,
        "off": max(abs(one.spent - one.budget(budget)) for one in runs),
        "late": {0: 100 * ours.accuracy} | {delay: 100 * one.accuracy for delay, one in late.items()},
        "late spent": {delay: one.spent / due for delay, one in late.items()},
        "harder": {name: (100 * one.ours.accuracy, 100 * one.random.accuracy) for name, one in harder.items()},
        "curve": [(int(spent[place]), 100 * float(curve[place])) for place in places],
        "others": {name: 100 * _matched(course, policy, budget, seed, ours.spent)
                   for name, policy in {**PEERS, **OTHERS}.items()}
        | {name: 100 * watched(course, budget, seed).accuracy for name, watched in WATCHED.items()},
    }  # fmt: skip


def _matched(course: Course, policy: Policy, budget: float, seed: int, spent: int) -> float:
    """A policy's accuracy at so many labels, from runs at several rates where it spends what it likes."""
    rates = (1.0,) if policy.manager == DEFAULT.manager else _RATES
    runs = [course.passed(policy, min(1.0, budget * share), seed) for share in rates]
    labels, accuracies = zip(*sorted((one.spent, one.accuracy) for one in runs), strict=True)
    return float(np.interp(spent, labels, accuracies))


def _result(options: Options, found: Found) -> Result:
    judged = {cell: one for cell, one in found.items() if one["labels"] >= FEWEST - 1}
    gains = {peer: _gain(judged, peer, options.seed) for peer in NAMES}
    worst = min(_gain(judged, RANDOM, options.seed, name).value for name in {cell[0] for cell in judged})
    best = min((peer for peer in PEERS if peer != RANDOM), key=lambda peer: gains[peer].value)
    blocks = {cell[::2]: [one for other, one in judged.items() if other[::2] == cell[::2]] for cell in judged}
    means = {"default": [_mean([one["accuracy"] for one in block]) for block in blocks.values()]}
    means |= {name: [_mean([one["others"][name] for one in block]) for block in blocks.values()] for name in gains}
    compared = compare(means, "default")
    bars = [
        Bar("points over random, mean of the cells", gains[RANDOM].value, 2, ">=", gains[RANDOM]),
        Bar("points over random, lower end over streams", _over_streams(judged, options.seed).low, 0, ">"),
        Bar("p of signed ranks against random, corrected", compared.against[RANDOM], 0.05, "<"),
        Bar("points over random, worst stream", worst, -1, ">="),
        Bar(f"points over the best peer, {best}", gains[best].value, 0, ">=", gains[best]),
        Bar("labels spent off the budget, most of all runs", max(one["off"] for one in found.values()), 1.0, "<="),
    ]
    details = {
        "points over each": {name: [gain.value, gain.low, gain.high] for name, gain in gains.items()},
        "judged cells": len(judged),
        "ranks": dict(sorted(compared.ranks.items(), key=lambda one: one[1])),
        "p of Friedman": compared.friedman,
        "p against the default, Holm": compared.against,
        "delays": _delays(found),
        "circumstances": _harder(found),
        "learning curves: labels, accuracy so far": _curves(found),
    }
    return Result(bars, _table(found), details, PACKAGES)


def _gain(judged: Found, peer: str, seed: int, stream: str = "") -> Interval:
    over = [one["accuracy"] - one["others"][peer] for cell, one in judged.items() if stream in ("", cell[0])]
    return bootstrap_interval(over, np.mean, seed=seed)


def _over_streams(judged: Found, seed: int) -> Interval:
    streams = {cell[0] for cell in judged}
    return bootstrap_interval([_gain(judged, RANDOM, seed, name).value for name in sorted(streams)], seed=seed)


def _table(found: Found) -> list[dict[str, object]]:
    rows = []
    for name, budget in dict.fromkeys(cell[::2] for cell in found):
        cells = [one for cell, one in found.items() if cell[::2] == (name, budget)]
        row: dict[str, object] = {"stream": name, "budget": budget}
        row["labels"] = _mean([one["labels"] for one in cells])
        row["default, %"] = _mean([one["accuracy"] for one in cells])
        rows.append(row | {f"{peer}, %": _mean([one["others"][peer] for one in cells]) for peer in NAMES})
    return rows


def _delays(found: Found) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for budget in BUDGETS:
        cells = [one for cell, one in found.items() if cell[2] == budget]
        for delay in DELAYS:
            spent = [one["late spent"][delay] for one in cells] if delay else [1.0]
            row = {"budget": budget, "delay": delay, "accuracy, %": _mean([one["late"][delay] for one in cells])}
            rows.append(row | {"least and most spent of the budget": [min(spent), max(spent)]})
    return rows


def _harder(found: Found) -> list[dict[str, object]]:
    return [
        {
            "circumstance": name,
            "budget": budget,
            "default, %": _mean([one["harder"][name][0] for cell, one in found.items() if cell[2] == budget]),
            "random, %": _mean([one["harder"][name][1] for cell, one in found.items() if cell[2] == budget]),
        }
        for name in CIRCUMSTANCES
        for budget in BUDGETS
    ]


def _curves(found: Found) -> list[dict[str, object]]:
    """The default's accuracy so far against labels spent, means of the seeds."""
    rows: list[dict[str, object]] = []
    for name, budget in dict.fromkeys(cell[::2] for cell in found):
        curves = np.array([one["curve"] for cell, one in found.items() if cell[::2] == (name, budget)])
        points = curves.mean(axis=0).round(2).tolist()
        rows.append({"stream": name, "budget": budget, "points": points})
    return rows


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 3)


if __name__ == "__main__":
    sys.exit(main("active_learning", run))
