"""Snapshots of ever larger stores: the time of a draft beside an earlier number, its growth and its peak memory.

The store is that of the benchmark `export`: short texts from three sources with an origin, a label by a rule and a
score each, and number 1 of a snapshot that holds all of them. What is timed is drafting the next number with a label, a
ranking by score, a quota for each label, and splits that honour the earlier number. A draft judges every item in the
store, so that its time grows with the store; its memory must not, but for the ids of the items chosen.

The same draft with a budget of tokens (words) comes afterwards: at first (`counting`, in a process of its own) every
text is counted and the counts are committed, then (`budgeted`, the median of three) they are found.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from benchmarks.export import KINDS, SPEC, fill
from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.memory import peak_memory
from benchmarks.harness.paired import take_turns
from curate.select.tokens import find_tokenizer
from curate.store.reader import Reader
from curate.store.snapshots import Quota, SnapshotSpec, draft_snapshot, token_scores
from curate.store.store import Store
from curate.store.write import Write

PACKAGES = ("curate", "duckdb", "pyarrow", "numpy")
_ASKED = SnapshotSpec(
    SPEC.name, SPEC.modality, order_by=SPEC.order_by, label=SPEC.label, quotas=(Quota(SPEC.label, 10**9),)
)


def run(options: Options) -> Result:
    """Draft over 10,000, 100,000 and 1,000,000 items (quick: 2,000 and 20,000)."""
    sizes = (2_000, 20_000) if options.quick else (10_000, 100_000, 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        rows = [_measured(options, Path(folder) / str(size), size) for size in sizes]
    (small, large), most = rows[-2:], rows[-1]
    return Result(
        [
            Bar(
                "seconds of a draft with known tokens, times a plain one's",
                most["budgeted"] / most["seconds"],
                1.5,
                "<=",
            ),
            Bar("megabytes added while tokens are counted", most["megabytes counting"], 1_000, "<="),
            Bar("growth exponent of the seconds", _exponent(small, large, "seconds"), 1.1, "<="),
            Bar("megabytes added at the largest store", most["megabytes added"], 1_000, "<="),
        ],
        rows,
        {"labels": len(KINDS), "growth_exponent_of_memory": _exponent(small, large, "megabytes added")},
        PACKAGES,
    )


def draft(store: Path) -> None:
    """Draft the next number."""
    with Reader(store) as reader:
        draft_snapshot(reader, _ASKED)


def draft_within_budget(store: Path) -> float:
    """Draft the next number with a budget of tokens that holds everything; return the seconds."""
    tokenizer = find_tokenizer("words")
    writer = Store.open(store, create=False, command="benchmark")

    def count(texts: pa.RecordBatch, left: int) -> pa.Array:
        tokens = pa.array(tokenizer.count(texts.column("text").to_pylist()), pa.int64())
        scores = token_scores(texts.column("item_id"), tokens, tokenizer.version)
        writer.commit(Write("snapshot", {"scores": scores}))
        return tokens

    asked = replace(_ASKED, tokens=10**12, tokenizer=tokenizer.version)
    began = time.perf_counter()
    with Reader(store) as reader:
        draft_snapshot(reader, asked, count=count)
    return time.perf_counter() - began


def _budgeted(options: Options, store: Path) -> dict[str, float]:
    began = time.perf_counter()
    counting = peak_memory(draft_within_budget, store).added
    first = time.perf_counter() - began
    again = sorted(draft_within_budget(store) for _ in range(3))[1]
    options.note(f"with a budget of tokens: {first:.1f} s, then {again:.1f} s")
    return {"counting": first, "budgeted": again, "megabytes counting": counting / 10**6}


def _measured(options: Options, store: Path, size: int) -> dict[str, float]:
    options.note(f"filling a store with {size:,} texts")
    fill(store, size, options.seed)
    timings = take_turns({"draft": lambda: draft(store)}, note=options.note)
    added = peak_memory(draft, store).added
    seconds = timings.median("draft")
    measured = {"items": size, "seconds": seconds, "items/s": size / seconds, "megabytes added": added / 10**6}
    return measured | _budgeted(options, store)


def _exponent(small: dict[str, float], large: dict[str, float], name: str) -> float:
    return math.log(large[name] / small[name]) / math.log(large["items"] / small["items"])


if __name__ == "__main__":
    sys.exit(main("snapshots", run))
