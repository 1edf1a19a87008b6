"""Alignment's pairs per second and average precision against the package zip-fit, on the same texts and cores.

The texts are pieces of code, C headers, JSON and prose found in this Python installation, the targets functions with
docstrings of its standard library. zip-fit runs as its users run it, one call to `rank_sequences_by_alignment`, with
its processes on all cores; curate runs as `score`, with its threads on all cores. Both take texts in memory and give
one score for each. The warm-up, in which numba compiles or loads the kernel, is reported apart.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.corpora import Corpus, corpus
from benchmarks.harness.memory import peak_memory
from benchmarks.harness.paired import Timings, take_turns
from curate.errors import MissingExtraError
from curate.select.alignment import score
from curate.select.compressors import DEFAULT, compressor
from curate.statistics import Interval, average_precision, bootstrap_interval

PACKAGES = ("curate", "zip-fit", "lz4", "zstandard", "numba", "numpy")
Scores = NDArray[np.float64]


def run(options: Options) -> Result:
    """Measure alignment's speed and quality against the package zip-fit."""
    zip_fit = _zip_fit()
    pool = corpus(1_300 if options.quick else 5_000, 82, options.seed)
    pairs = len(pool.texts) * len(pool.targets)
    options.note(f"{len(pool.texts):,} texts x {len(pool.targets)} targets = {pairs:,} pairs")
    found: dict[str, Scores] = {}

    def keep(name: str, scores: Callable[[], Scores]) -> Callable[[], None]:
        return lambda: found.__setitem__(name, scores())

    contenders = {
        f"curate {DEFAULT}": keep("curate", lambda: score(pool.texts, pool.targets)),
        "zip-fit lz4 0": keep("lz4", lambda: _zip_fit_scores(zip_fit, pool, "lz4", 0)),
        "zip-fit gzip 6": keep("gzip", lambda: _zip_fit_scores(zip_fit, pool, "gzip", 6)),
    }
    timings = take_turns(contenders, note=options.note)
    return _result(options, pool, timings, found)


def _result(options: Options, pool: Corpus, timings: Timings, found: dict[str, Scores]) -> Result:
    ours, lz4, gzip = timings.rounds
    pairs = len(pool.texts) * len(pool.targets)
    python = np.array([kind == "python" for kind in pool.kinds])
    gain = _gain(python, found["curate"], found["gzip"], options.seed)
    memory = peak_memory(score, pool.texts, pool.targets)
    rows = [
        {
            "method": name,
            "pairs/s": pairs / timings.median(name),
            "seconds": timings.median(name),
            "warm-up s": timings.warm_up[name],
            "average precision": average_precision(python, scores),
        }
        for name, scores in zip(timings.rounds, found.values(), strict=True)
    ]
    times_lz4, times_gzip = (timings.times_faster(ours, other, options.seed) for other in (lz4, gzip))
    bars = [
        Bar("pairs/s over zip-fit lz4 level 0", times_lz4.value, 10, interval=times_lz4),
        Bar("pairs/s over zip-fit gzip level 6", times_gzip.value, 30, interval=times_gzip),
        Bar("average precision minus zip-fit gzip level 6", gain.value, 0, ">", interval=gain),
        Bar("largest difference to the formula", _error(pool, found), 1e-9, "<="),
        Bar("MB added by scoring", memory.added / 1e6, 500, "<="),
    ]
    details = {
        "texts": len(pool.texts),
        "targets": len(pool.targets),
        "mean_characters": {"texts": _mean_length(pool.texts), "targets": _mean_length(pool.targets)},
        "share_of_python": float(python.mean()),
        "seconds": {name: list(values) for name, values in timings.rounds.items()},
        "compressor": compressor(DEFAULT).version,
    }
    return Result(bars, rows, details, PACKAGES)


def _zip_fit() -> Any:
    try:
        from zip_fit import ZIPFIT
    except ImportError as error:
        raise MissingExtraError(f"the benchmark of alignment (it lacks {error.name})", "benchmarks") from error
    return ZIPFIT


def _zip_fit_scores(zip_fit: Any, pool: Corpus, algorithm: str, level: int) -> Scores:
    """Let zip-fit rank the whole pool and put its scores, which come with the texts, back into the pool's order."""
    ranker = zip_fit("", "", k=len(pool.texts), compression_algorithm=algorithm, compress_level=level)
    with contextlib.redirect_stdout(io.StringIO()):
        ranked = ranker.rank_sequences_by_alignment(pool.texts, pool.targets)
    by_text = dict(ranked)
    return np.array([by_text[text] for text in pool.texts])


def _gain(relevant: NDArray[np.bool_], ours: Scores, theirs: Scores, seed: int) -> Interval:
    """Return by how much our average precision for Python functions is higher, with a bootstrap over the texts."""
    return bootstrap_interval(
        np.column_stack([relevant, ours, theirs]),
        lambda rows: average_precision(rows[:, 0] > 0, rows[:, 1]) - average_precision(rows[:, 0] > 0, rows[:, 2]),
        resamples=500,
        seed=seed,
    )


def _error(pool: Corpus, found: dict[str, Scores]) -> float:
    """Return the largest difference of our scores to zip-fit's for its two settings, and to the formula for ours."""
    checked = slice(0, 200)
    texts = pool.texts[checked]
    differences = [
        score(texts, pool.targets, "lz4-frame:0") - found["lz4"][checked],
        score(texts, pool.targets, "gzip:6") - found["gzip"][checked],
        found["curate"][checked] - [_formula(text, pool.targets) for text in texts],
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


def _mean_length(texts: Sequence[str]) -> float:
    return round(sum(map(len, texts)) / len(texts), 1)


if __name__ == "__main__":
    sys.exit(main("alignment", run))
