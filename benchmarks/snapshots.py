"""Snapshots of ever larger stores: the time of a draft beside an earlier number, its growth and its peak memory.

The store is that of the benchmark `export`: short texts from three sources with an origin, a label by a rule and a
score each, and number 1 of a snapshot that holds all of them. What is timed is drafting the next number with a label, a
ranking by score, a quota for each label, and splits that honour the earlier number. A draft judges every item in the
store, so that its time grows with the store; its memory must not, but for the ids of the items chosen.
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path

from benchmarks.export import KINDS, SPEC, fill
from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.memory import peak_memory
from benchmarks.harness.paired import take_turns
from curate.store.reader import Reader
from curate.store.snapshots import Quota, SnapshotSpec, draft_snapshot

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


def _measured(options: Options, store: Path, size: int) -> dict[str, float]:
    options.note(f"filling a store with {size:,} texts")
    fill(store, size, options.seed)
    timings = take_turns({"draft": lambda: draft(store)}, note=options.note)
    added = peak_memory(draft, store).added
    seconds = timings.median("draft")
    return {"items": size, "seconds": seconds, "items/s": size / seconds, "megabytes added": added / 10**6}


def _exponent(small: dict[str, float], large: dict[str, float], name: str) -> float:
    return math.log(large[name] / small[name]) / math.log(large["items"] / small["items"])


if __name__ == "__main__":
    sys.exit(main("snapshots", run))
