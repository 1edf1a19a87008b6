"""Near-duplicates: speed, recall and precision against datasketch, and what a batch costs beside ever larger stores.

The texts are pieces of code, C headers, JSON and prose found in this Python installation, none of them like another;
beside some of them stands a copy with a few words replaced. Exact Jaccard similarity of word trigrams says which pairs
are near-duplicates. Both contenders get texts in memory and return pairs; both cut the same normalized texts into the
same trigrams with 128 permutations and a threshold of 0.8. datasketch runs as its guide says, `MinHash.update_batch`,
then a query and an insertion for each text: with the bands that curate chooses, with its own, and with curate's where
only those pairs count whose estimated similarity reaches the threshold. Which permutations sign is luck: recall and
precision are means over five seeds of them, the same numbers for both.

A batch of 1,000 new texts, half of them near-duplicates of kept ones, meets stores of synthetic texts, a tenth
of which was dropped and half of which a snapshot holds. The lookups are there, as they are after the first batch; what
making them costs is told apart, as the first comparison with each store. The stores take turns, so that a busy moment
of the machine does not count for one of them alone.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.corpora import corpus
from benchmarks.harness.kept_texts import KeptTexts
from benchmarks.harness.paired import Timings, take_turns
from curate.errors import MissingExtraError
from curate.select.duplicates import normalized
from curate.select.minhash import PERMUTATIONS, MinHash
from curate.select.near_duplicates import near_duplicates
from curate.statistics import Interval, bootstrap_interval

PACKAGES = ("curate", "datasketch", "numba", "numpy", "duckdb", "pyarrow")
THRESHOLD = 0.8
BATCHES = (1_000, 4_000)
_UNLIKE = 0.3
SIGNING_SEEDS = (1, 2, 3, 4, 5)
"""Of permutations; the first signs where time is taken."""
Pairs = set[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Planted:
    """Texts, and the exact similarity of each planted pair (original, copy)."""

    texts: list[str]
    similarities: dict[tuple[int, int], float]

    @property
    def alike(self) -> Pairs:
        """The pairs that reach the threshold."""
        return {pair for pair, similarity in self.similarities.items() if similarity >= THRESHOLD}


def run(options: Options) -> Result:
    """Measure against datasketch, then the growth with the store."""
    datasketch = _datasketch()
    planted = plant(1_000 if options.quick else 6_000, options.seed)
    options.note(f"{len(planted.texts):,} texts, {len(planted.alike):,} planted near-duplicates")
    contenders = _contenders(datasketch, planted.texts)
    first, *others = SIGNING_SEEDS
    found: dict[str, list[Pairs]] = {name: [] for name in contenders}

    def timed(name: str) -> Callable[[], None]:
        return lambda: found.__setitem__(name, [contenders[name](first)])

    timings = take_turns({name: timed(name) for name in contenders}, note=options.note)
    for name, pairs_of in contenders.items():
        found[name] += [pairs_of(seed) for seed in others]
    growth = _growth(options)
    return _result(options, planted, timings, found, growth)


def _contenders(datasketch: Any, texts: Sequence[str]) -> dict[str, Callable[[int], Pairs]]:
    """The contenders, each by what it finds when a seed's permutations sign."""
    bands = tuple(MinHash(THRESHOLD).banding)
    return {
        "curate": lambda seed: _curate_pairs(texts, seed),
        "datasketch, same bands": lambda seed: _datasketch_pairs(datasketch, texts, bands, seed),
        "datasketch, own bands": lambda seed: _datasketch_pairs(datasketch, texts, None, seed),
        "datasketch, estimates": lambda seed: _datasketch_pairs(datasketch, texts, bands, seed, estimates=True),
    }


def plant(count: int, seed: int) -> Planted:
    """Put a copy with some words replaced beside every second text; the share of replaced words runs from 0 to 8 %."""
    chance = random.Random(seed)
    texts = _unlike(corpus(count, 0, seed).texts)
    originals = len(texts)
    similarities = {}
    for place in range(0, originals, 2):
        words = texts[place].split(" ")
        share = chance.uniform(0, 0.08)
        texts.append(" ".join(word if chance.random() >= share else f"w{chance.random()}" for word in words))
        similarities[place, len(texts) - 1] = _jaccard(_trigrams(texts[place]), _trigrams(texts[-1]))
    return Planted(texts, similarities)


def _unlike(texts: Iterable[str]) -> list[str]:
    """Keep the texts whose similarity to every text kept before is below 0.3, by exact comparison."""
    kept: list[str] = []
    sizes: list[int] = []
    holders: dict[tuple[str, ...], list[int]] = {}
    for text in texts:
        grams = _trigrams(text)
        shared: dict[int, int] = {}
        for holder in (holder for gram in grams for holder in holders.get(gram, ())):
            shared[holder] = shared.get(holder, 0) + 1
        if all(both / (len(grams) + sizes[holder] - both) < _UNLIKE for holder, both in shared.items()):
            for gram in grams:
                holders.setdefault(gram, []).append(len(kept))
            kept.append(text)
            sizes.append(len(grams))
    return kept


def _trigrams(text: str) -> set[tuple[str, ...]]:
    words = normalized(text).split()
    return {tuple(words[place : place + 3]) for place in range(max(len(words) - 2, min(len(words), 1)))}


def _jaccard(first: set[tuple[str, ...]], second: set[tuple[str, ...]]) -> float:
    return len(first & second) / max(len(first | second), 1)


def _curate_pairs(texts: Sequence[str], seed: int) -> Pairs:
    found = near_duplicates(texts, MinHash(THRESHOLD, seed=seed))
    return set(zip(found["first"].to_pylist(), found["second"].to_pylist(), strict=True))


def _datasketch_pairs(
    datasketch: Any, texts: Sequence[str], bands: tuple[int, ...] | None, seed: int, *, estimates: bool = False
) -> Pairs:
    """Query, then insert, text by text; with `estimates` only the pairs whose estimate reaches the threshold count."""
    signatures: list[Any] = []
    index = datasketch.MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, params=bands)
    found: Pairs = set()
    for place, text in enumerate(texts):
        words = normalized(text).split()
        signature = datasketch.MinHash(num_perm=PERMUTATIONS, seed=seed)
        count = max(len(words) - 2, min(len(words), 1))
        signature.update_batch([" ".join(words[start : start + 3]).encode() for start in range(count)])
        others = index.query(signature)
        if estimates:
            others = [other for other in others if signature.jaccard(signatures[other]) >= THRESHOLD]
            signatures.append(signature)
        found.update((other, place) for other in others)
        index.insert(place, signature)
    return found


def _datasketch() -> Any:
    try:
        import datasketch
    except ImportError as error:
        raise MissingExtraError(f"the benchmark of near-duplicates (it lacks {error.name})", "benchmarks") from error
    return datasketch


def _growth(options: Options) -> list[dict[str, float]]:
    """Time the comparison of batches of 1,000 and 4,000 texts with ever larger stores, which take turns."""
    sizes = (2_000, 20_000) if options.quick else (10_000, 100_000, 1_000_000)
    calls: dict[str, Callable[[], object]] = {}
    first = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            options.note(f"filling a store with {size:,} texts")
            kept = KeptTexts(Path(folder) / str(size), options.seed)
            kept.grow_to(size)
            for count in BATCHES:
                calls[_named(size, count)] = kept.comparison(count)
            began = time.perf_counter()
            calls[_named(size, BATCHES[0])]()
            first[size] = time.perf_counter() - began
        timings = take_turns(calls, note=options.note)
    return [
        {
            "kept": size,
            **{f"batch of {count:,}, s": timings.median(_named(size, count)) for count in BATCHES},
            "first batch, s": first[size],
        }
        for size in sizes
    ]


def _named(size: int, count: int) -> str:
    return f"{count:,} texts against {size:,}"


def _exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the exponent of the power law through the points, by least squares over their logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _result(
    options: Options,
    planted: Planted,
    timings: Timings,
    found: dict[str, list[Pairs]],
    growth: list[dict[str, float]],
) -> Result:
    ours, *others = timings.rounds
    rows = [_row(planted, timings, name, pairs) for name, pairs in zip(timings.rounds, found.values(), strict=True)]
    faster = {other: timings.times_faster(ours, other, options.seed) for other in others}
    kept = [row["kept"] for row in growth]
    batch, more = (f"batch of {count:,}, s" for count in BATCHES)
    bars = [
        *(Bar(f"items/s over {other}", times.value, 3, interval=times) for other, times in faster.items()),
        *_quality_bars(planted.alike, found, options.seed),
        Bar("growth exponent with the store", _exponent(kept, [row[batch] for row in growth]), 0.2, "<="),
        Bar("growth exponent with the batch", _exponent([1, 4], [growth[-1][batch], growth[-1][more]]), 1.1, "<="),
    ]
    details = {
        "texts": len(planted.texts),
        "planted_pairs": len(planted.similarities),
        "alike": len(planted.alike),
        "method": MinHash(THRESHOLD).version,
        "signing_seeds": list(SIGNING_SEEDS),
        "recall_by_seed": {name: [_recall(planted.alike, [pairs]) for pairs in found[name]] for name in found},
        "seconds": {name: list(values) for name, values in timings.rounds.items()},
        "growth": growth,
    }
    return Result(bars, rows, details, PACKAGES)


def _row(planted: Planted, timings: Timings, name: str, pairs: Sequence[Pairs]) -> dict[str, float | str]:
    return {
        "method": name,
        "items/s": len(planted.texts) / timings.median(name),
        "seconds": timings.median(name),
        "warm-up s": timings.warm_up[name],
        "recall": _recall(planted.alike, pairs),
        "precision": _precision(planted.alike, pairs),
    }


def _quality_bars(alike: Pairs, found: dict[str, list[Pairs]], seed: int) -> list[Bar]:
    bars = []
    for name in ("datasketch, same bands", "datasketch, own bands", "datasketch, estimates"):
        label = name.removeprefix("datasketch, ")
        recall = _difference(sorted(alike), found["curate"], found[name], seed)
        precision = _precision(alike, found["curate"]) - _precision(alike, found[name])
        bars.append(Bar(f"recall minus datasketch's, {label}", recall.value, 0, interval=recall))
        bars.append(Bar(f"precision minus datasketch's, {label}", precision, 0))
    return bars


def _difference(
    alike: Sequence[tuple[int, int]], ours: Sequence[Pairs], theirs: Sequence[Pairs], seed: int
) -> Interval:
    """Return by how much our mean recall is higher, with a bootstrap over the planted pairs."""
    hits = np.array([[_share(pair, ours), _share(pair, theirs)] for pair in alike], np.float64)
    return bootstrap_interval(hits, lambda rows: float(rows[:, 0].mean() - rows[:, 1].mean()), resamples=500, seed=seed)


def _share(pair: tuple[int, int], found: Sequence[Pairs]) -> float:
    return sum(pair in pairs for pairs in found) / len(found)


def _recall(alike: Pairs, found: Sequence[Pairs]) -> float:
    return sum(len(alike & pairs) for pairs in found) / len(found) / len(alike)


def _precision(alike: Pairs, found: Sequence[Pairs]) -> float:
    return sum(len(alike & pairs) / max(len(pairs), 1) for pairs in found) / len(found)


if __name__ == "__main__":
    sys.exit(main("near_duplicates", run))
