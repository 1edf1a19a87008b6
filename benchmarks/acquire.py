"""Items a second through `curate acquire` on a store: 100,000 texts, hashed n-grams, a linear learner, 5 % asked about.

The step is run as the command runs it: encoding, utilities, decisions, commits, questions, and the learning of answers.
Twice: with nobody answering, and with simulated people who answer each question before the next batch (of 2,000 items),
whose own look-ups and commits are on the clock too. Ingestion is not. Each time a fresh copy of the same store.
"""

from __future__ import annotations

import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from curate.flows.project import Project
from curate.flows.steps.acquire import AcquireStep
from curate.flows.steps.ingest import IngestStep
from curate.settings import load_settings
from curate.types import SilentProgress

PACKAGES = ("curate", "duckdb", "numpy", "numba", "pyarrow")
RATE = 0.05
SETTINGS = f"""
[[source]]
name = "notes"
path = "notes.parquet"
meta = ["topic"]

[protocol]
name = "notes"
version = "1"

[[protocol.attribute]]
name = "topic"
question = "What is it about?"
values = ["sea", "land", "air"]

[[acquire]]
name = "topics"
attribute = "topic"
rate = {RATE}
"""
PEOPLE = {"nobody answers": "", "simulated people": 'people = "oracle:topic"\n'}


def run(options: Options) -> Result:
    """Let 100,000 items pass (quick: 5,000), five times each way."""
    count, rounds = (5_000, 1) if options.quick else (100_000, 5)
    seconds: dict[str, list[float]] = {name: [] for name in PEOPLE}
    off = 0.0
    with tempfile.TemporaryDirectory() as folder:
        source = _store(Path(folder) / "source", count, options.seed)
        for number in range(rounds):
            for name, people in PEOPLE.items():
                place = Path(shutil.copytree(source, Path(folder) / f"{name}-{number}"))
                taken, asked = _acquire(place, people)
                seconds[name].append(taken)
                off = max(off, abs(asked - RATE * count))
                options.note(f"{name}: {count / taken:,.0f} items/s")
                shutil.rmtree(place)
    rates = {name: count / statistics.median(taken) for name, taken in seconds.items()}
    bars = [Bar(f"items/s, {name}", rate, 5_000, ">=") for name, rate in rates.items()]
    bars.append(Bar("questions off the budget, most of all runs", off, 1.0, "<="))
    table = [{"people": name, "items/s": rates[name], "seconds": taken} for name, taken in seconds.items()]
    return Result(bars, table, {"items": count, "rate": RATE, "rounds": rounds}, PACKAGES)


def _store(folder: Path, count: int, seed: int) -> Path:
    folder.mkdir()
    generator = random.Random(seed)
    words = {topic: [f"{topic}{number}" for number in range(40)] for topic in ("sea", "land", "air")}
    topics = [generator.choice(list(words)) for _ in range(count)]
    texts = [f"{number}: {' '.join(generator.choices(words[topic], k=8))}" for number, topic in enumerate(topics)]
    pq.write_table(pa.table({"text": texts, "topic": topics}), folder / "notes.parquet")
    IngestStep().run(_project(folder, ""), SilentProgress())
    return folder


def _project(folder: Path, people: str) -> Project:
    (folder / "curate.toml").write_text(SETTINGS + people, encoding="utf-8")
    return Project(folder, load_settings(folder / "curate.toml", {}), command="benchmark")


def _acquire(folder: Path, people: str) -> tuple[float, int]:
    project = _project(folder, people)
    began = time.perf_counter()
    report = AcquireStep().run(project, SilentProgress())
    return time.perf_counter() - began, int(report.details["topics"]["asked"])


if __name__ == "__main__":
    sys.exit(main("acquire", run))
