"""Consensus against crowd-kit and cleanlab, on simulated annotators that the default was not chosen on.

Five regimes, each with 20 draws (quick: 3): items of different difficulty; experts among novices; errors into
neighbouring values; annotators who often give the commonest value; and annotators who share a wrong answer, which
breaks every method's assumption. Numbers of values, items, annotators and votes are drawn too, as is a model that is
too sure or not sure enough. The default's priors were chosen on other regimes (skills by beta distributions and
mixtures, spam, Dirichlet confusions) and other seeds, before this benchmark was written.

Accuracy of the most probable value; surprise (nats per item of the true value) and expected calibration error (ten
equal bins) of the posterior, both lower is better. Bars: the default minus the peers' best method for that figure,
over all draws, with a bootstrap interval over the draws' differences. crowd-kit's methods see votes only and are
compared with the default on votes only; cleanlab's CROWDLAB sees the model and is compared with the default that sees
it. cleanlab gives one probability per item: the rest is spread evenly over the other values. Where a method of
crowd-kit ends with an error (its numbers overflow on some draws), the majority vote stands in for it.

Several values at once (attributes with `multiple = true`) are a regime of their own, drawn as often: each value is a
vote on whether it is there. The figures are means over the values, and `exact` the share of items whose whole list is
right, where the methods that see votes only are compared (quick: in one draw).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.annotators import REGIMES, Draw, draw
from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.consensus_peers import WITH_MODEL, Methods, Posterior, peers
from benchmarks.harness.list_annotators import draw_lists
from curate.annotate.consensus.bayesian import TICKS, bayesian
from curate.annotate.consensus.crowdlab import crowdlab
from curate.annotate.consensus.dawid_skene import dawid_skene
from curate.annotate.consensus.majority import majority
from curate.statistics import bootstrap_interval

PACKAGES = ("curate", "crowd-kit", "cleanlab", "numpy")
FIGURES = ("accuracy", "surprise", "calibration error")
OURS: Methods = {
    "curate": lambda one: bayesian(one.votes).posterior,
    "curate with a model": lambda one: bayesian(one.votes, one.model).posterior,
    "curate's majority": lambda one: majority(one.votes).posterior,
    "curate's Dawid-Skene": lambda one: dawid_skene(one.votes).posterior,
    "curate's CROWDLAB": lambda one: crowdlab(one.votes, one.model).posterior,
}
_SEE_MODEL = ("curate with a model", "curate's CROWDLAB", WITH_MODEL)


def run(options: Options) -> Result:
    """Let every method draw values from every simulation."""
    draws = range(options.seed, options.seed + (3 if options.quick else 20))
    methods = {**OURS, **peers()}
    figures: dict[str, list[list[float]]] = defaultdict(list)
    by_regime: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for regime in REGIMES:
        options.note(regime)
        for seed in draws:
            one = draw(regime, seed)
            for name, method in methods.items():
                measured = measure(method(one), one.truth)
                figures[name].append(measured)
                by_regime[regime, name].append(measured)
    options.note("several values")
    lists = _all_lists(methods, draws[:1] if options.quick else draws)
    table = [_row(regime, name, np.mean(rows, axis=0)) for (regime, name), rows in by_regime.items()]
    table += [_row("all", name, np.mean(rows, axis=0)) for name, rows in figures.items()]
    table += [_row("several values", name, rows.mean(axis=0)) for name, rows in lists.items()]
    bars = [*_bars(figures), _lists_bar(lists)]
    return Result(bars, table, {"seeds": list(draws), "regimes": list(REGIMES)}, PACKAGES)


def _row(regime: str, method: str, figures: NDArray[np.float64]) -> dict[str, object]:
    """One row of the table; `exact` is empty where one value at a time is drawn."""
    named = dict(zip((*FIGURES, "exact"), [*figures.tolist(), ""], strict=False))
    return {"regime": regime, "method": method, **named}


def _all_lists(methods: Methods, draws: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """Ask the methods that see votes only, the default with its priors for ticks."""
    of_ticks: Methods = {**methods, "curate": lambda one: bayesian(one.votes, priors=TICKS).posterior}
    return {name: _lists(method, draws) for name, method in of_ticks.items() if name not in _SEE_MODEL}


def measure(posterior: Posterior, truth: NDArray[np.int64]) -> list[float]:
    """Return accuracy, mean surprise in nats, and expected calibration error."""
    right = posterior.argmax(axis=1) == truth
    sure = posterior.max(axis=1)
    at_truth = np.clip(posterior[np.arange(len(truth)), truth], 1e-6, 1)
    bins = np.minimum((sure * 10).astype(int), 9)
    gaps = [abs(float((sure[bins == b] - right[bins == b]).sum())) for b in range(10)]
    return [float(right.mean()), float(-np.log(at_truth).mean()), sum(gaps) / len(truth)]


def _lists(method: Callable[[Draw], Posterior], draws: Sequence[int]) -> NDArray[np.float64]:
    """Return the figures and the share of exact lists of every draw: (draws, 4)."""
    rows = []
    for seed in draws:
        values = draw_lists(seed)
        drawn = [method(value) for value in values]
        figures = [measure(posterior, value.truth) for posterior, value in zip(drawn, values, strict=True)]
        right = [posterior.argmax(axis=1) == value.truth for posterior, value in zip(drawn, values, strict=True)]
        rows.append([*np.mean(figures, axis=0), float(np.all(right, axis=0).mean())])
    return np.array(rows)


def _lists_bar(lists: Mapping[str, NDArray[np.float64]]) -> Bar:
    best = max((name for name in lists if name.startswith("crowd-kit")), key=lambda name: lists[name][:, -1].mean())
    gain = bootstrap_interval(lists["curate"][:, -1] - lists[best][:, -1])
    return Bar(f"exact lists of several values: curate better than {best} by", gain.value, 0, interval=gain)


def _bars(figures: Mapping[str, list[list[float]]]) -> list[Bar]:
    bars = []
    on_votes = [name for name in figures if name.startswith("crowd-kit")]
    for ours, others in (("curate", on_votes), ("curate with a model", [WITH_MODEL])):
        own = np.array(figures[ours])
        for column, figure in enumerate(FIGURES):
            sign = 1.0 if figure == "accuracy" else -1.0
            best = max(others, key=lambda name: sign * np.mean(np.array(figures[name])[:, column]))
            gain = bootstrap_interval(sign * (own[:, column] - np.array(figures[best])[:, column]))
            bars.append(Bar(f"{figure}: {ours} better than {best} by", gain.value, 0, interval=gain))
    return bars


if __name__ == "__main__":
    sys.exit(main("consensus", run))
