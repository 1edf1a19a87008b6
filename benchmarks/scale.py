"""What a store's operations cost against its size: 10,000, 100,000 and 1,000,000 short texts, in one table.

A new project takes in the texts of the benchmark `ingest` (about 155 bytes, every twentieth a repetition) and walks:
ingestion, duplicates (normalised and near ones, of all texts), a snapshot of all that stays, and its export, loaded
back. Then 1,000 texts more come, and each step is timed again: what a turn of the wheel costs beside ever more that is
done. Last, a reader's questions: opening the store alone, an aggregate in SQL, and `why` of one item.

Each figure is the median of three new projects, but of the largest size one (quick: one of each). The exponent is that
of the seconds between the two larger sizes: 1 grows as the store does, 0 not at all. Steps over everything must not
grow faster than the store, and those over 1,000 texts more slowly; ingestion, a step's overhead and near-duplicates of
1,000 have stricter bars in benchmarks of their own.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.ingest import write_texts
from curate.flows.project import Project
from curate.flows.steps import step_named
from curate.settings import load_settings
from curate.store.why import explain
from curate.types import SilentProgress

PACKAGES = ("curate", "duckdb", "pyarrow", "numpy", "numba")
NEW = 1_000
ROUNDS = 3
STEPS = {"ingest": "ingest", "dedup": "duplicates", "snapshot": "snapshot", "export": "export"}
_SETTINGS = """
[[source]]
name = "texts"
path = "texts"

[[snapshot]]
name = "all"
splits = { train = 1.0 }
"""
_AGGREGATE = "SELECT source, count(*) AS items FROM origins GROUP BY source"
Seconds = dict[str, dict[int, list[float]]]


def run(options: Options) -> Result:
    """Walk projects of every size (quick: 2,000 and 20,000)."""
    sizes = (2_000, 20_000) if options.quick else (10_000, 100_000, 1_000_000)
    seconds: Seconds = defaultdict(lambda: defaultdict(list))
    for size in sizes:
        for number in range(1 if options.quick or size == sizes[-1] else ROUNDS):
            options.note(f"{size:,} texts, round {number + 1}")
            with tempfile.TemporaryDirectory() as folder:
                for name, took in walk(Path(folder), size, options.seed).items():
                    seconds[name][size].append(took)
    rows = [_row(name, {size: median(by_size[size]) for size in sizes}) for name, by_size in seconds.items()]
    exponents = {str(row["what"]): float(str(row["exponent"])) for row in rows}
    details = {"rounds": {name: {str(size): took for size, took in sizes.items()} for name, sizes in seconds.items()}}
    return Result(_bars(exponents), rows, details, PACKAGES)


def walk(folder: Path, size: int, seed: int) -> dict[str, float]:
    """Walk a new project, then again with 1,000 texts more, and return the seconds of each operation by its name."""
    write_texts(folder / "texts" / "first.parquet", size, seed)
    (folder / "curate.toml").write_text(_SETTINGS, encoding="utf-8")
    seconds = {f"{told} of all": _timed(folder, step) for step, told in STEPS.items()}
    more = [f"what came later, number {number} of {size}" for number in range(NEW)]
    pq.write_table(pa.table({"text": more}), folder / "texts" / "second.parquet")
    seconds |= {f"{told}, {NEW:,} more": _timed(folder, step) for step, told in STEPS.items()}
    return seconds | _asked(folder)


def _timed(folder: Path, step: str) -> float:
    project = _project(folder)
    began = time.perf_counter()
    report = step_named(step).run(project, SilentProgress())
    seconds = time.perf_counter() - began
    if report.failed or report.rejected:
        raise RuntimeError(f"{step}: {report.failed} failed, {report.rejected} rejected")
    return seconds


def _asked(folder: Path) -> dict[str, float]:
    project = _project(folder)
    with project.reader() as reader:
        [item] = reader.query("SELECT item_id FROM items LIMIT 1")["item_id"].to_pylist()

    def ask(question: Callable[[], object]) -> float:
        began = time.perf_counter()
        question()
        return time.perf_counter() - began

    def opened() -> None:
        with project.reader():
            pass

    def aggregate() -> None:
        with project.reader() as reader:
            reader.query(_AGGREGATE)

    def why() -> None:
        with project.reader() as reader:
            explain(reader, item)

    return {"opening the store": ask(opened), "SQL over all origins": ask(aggregate), "why of one item": ask(why)}


def _project(folder: Path) -> Project:
    return Project(folder, load_settings(folder / "curate.toml", {}), command="benchmark")


def _row(name: str, seconds: dict[int, float]) -> dict[str, object]:
    small, large = list(seconds)[-2:]
    exponent = math.log(seconds[large] / seconds[small]) / math.log(large / small)
    return {"what": name, **{f"{size:,}": took for size, took in seconds.items()}, "exponent": exponent}


def _bars(exponents: dict[str, float]) -> list[Bar]:
    whole = max(value for name, value in exponents.items() if name.endswith("of all"))
    more = max(value for name, value in exponents.items() if name.endswith("more"))
    return [
        Bar("largest growth exponent of a step over everything", whole, 1.1, "<="),
        Bar(f"largest growth exponent of a step over {NEW:,} more", more, 1.0, "<"),
    ]


if __name__ == "__main__":
    sys.exit(main("scale", run))
