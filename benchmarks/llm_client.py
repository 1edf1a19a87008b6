"""The client of language models: how busy it keeps a server of 64 slots, what a request costs it, what a kill costs.

The server is a fake (`benchmarks/harness/fake_slots.py`), a process of its own: it takes a known time for each request,
between half and one and a half times the mean, and counts slot-seconds. Measured is the whole step `annotate` over a
store: reading items, requests, the fsynced journal, claims and commits.

- Busy: the known service times over 64 times the seconds from the first request's arrival to the last answer; the
  beginning and the end, where slots must idle, are in it. The bar is at a mean of 0.5 seconds, 40 requests a slot.
- Own overhead: processor time of the step's process for each request, with 64 slots, all start-up included; and with
  one slot the time between an answer and the next request, which keeping the answer is part of.
- Kills: `curate annotate` is killed at random instants, several times over one store. Answers that the journal or the
  store holds at a kill and that are asked for afterwards: none. Others, whose answer was on its way to us or to the
  disk, are at most as many as the client has threads.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.fake_slots import Figures, fake_slots, figures, forget, request_hash
from curate.annotate.llm.asking import SPARE_THREADS
from curate.flows.project import Project
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.ingest import IngestStep
from curate.settings import load_settings
from curate.statistics import bootstrap_interval
from curate.store.journal import Journal
from curate.types import SilentProgress

PACKAGES = ("curate", "httpx", "duckdb", "pyarrow")
SLOTS = 64
BARRED = 0.5
ONE_SLOT_SECONDS = 0.005
SETTINGS = """
[[source]]
name = "texts"
path = "texts.jsonl"

[protocol]
name = "fake"
attribute = [
  {{ name = "kind", question = "What kind of text is this?", values = ["code", "prose"] }},
  {{ name = "tone", question = "How does it sound?", values = ["dry", "lively"] }},
]

[[annotator]]
name = "model"
kind = "llm"
attributes = ["kind", "tone"]
address = "{address}"
model = "fake"
concurrency = {slots}
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the step took: shares and seconds."""

    busy: float
    processor: float
    between: float


def run(options: Options) -> Result:
    """Let the step annotate against servers of known service times, then kill it."""
    plan = {0.1: (40, 1), 0.25: (40, 1), BARRED: (40, 5)} if not options.quick else {BARRED: (12, 1)}
    rows, runs = [], {}
    for seconds, (each, repeats) in plan.items():
        options.note(f"{SLOTS} slots, {seconds} s a request")
        runs[seconds] = [measured(SLOTS, seconds, SLOTS * each) for _ in range(repeats)]
        rows.append(_row(SLOTS, seconds, SLOTS * each, runs[seconds]))
    options.note("one slot")
    single = [measured(1, ONE_SLOT_SECONDS, 300) for _ in range(1 if options.quick else 5)]
    rows.append(_row(1, ONE_SLOT_SECONDS, 300, single))
    options.note("kills")
    kills = killed(2 if options.quick else 8, options.seed)
    busy = bootstrap_interval([one.busy for one in runs[BARRED]])
    bars = [
        Bar(f"share of {SLOTS} slots busy, {BARRED} s a request", median(one.busy for one in runs[BARRED]), 0.95,
            interval=busy),
        Bar("processor milliseconds a request", 1e3 * median(one.processor for one in runs[BARRED]), 2, "<"),
        Bar("milliseconds between an answer and the next request", 1e3 * median(one.between for one in single), 2, "<"),
        Bar("kept answers asked for again after kills", kills.again if kills.kept else math.nan, 0, "<="),
        Bar("other requests repeated a kill", kills.repeated / max(1, kills.hit), SLOTS + SPARE_THREADS, "<="),
    ]  # fmt: skip
    busy_shares = {f"{seconds} s": [one.busy for one in found] for seconds, found in runs.items()}
    return Result(bars, rows, {"kills": asdict(kills), "busy": busy_shares}, PACKAGES)


def measured(slots: int, seconds: float, count: int) -> Run:
    """Annotate so many new texts and return how busy the server was and what it cost."""
    with fake_slots(slots, seconds) as address, TemporaryDirectory() as folder:
        project = _project(Path(folder), address, slots, count)
        forget(address)
        began = time.process_time()
        report = AnnotateStep().run(project, SilentProgress())
        processor = time.process_time() - began
        done = figures(address)
        assert report.done == sum(done.asked.values()) == count
    window = done.last - done.first
    return Run(done.busy / window / slots, processor / count, (window * slots - done.busy - done.overtime) / count)


@dataclass(slots=True)
class Kills:
    """What kills cost: `hit` processes at work, `kept` answers, those of them asked again, other requests repeated."""

    hit: int = 0
    kept: int = 0
    again: int = 0
    repeated: int = 0


def killed(kills: int, seed: int) -> Kills:
    """Kill the command so often while it works through one store, let it end, and count what was asked again."""
    generator, found = random.Random(seed), Kills()
    with fake_slots(SLOTS, 0.1) as address, TemporaryDirectory() as name:
        project = _project(Path(name), address, SLOTS, 1000 * kills)
        forget(address)
        for _ in range(kills):
            before, kept = figures(address), set(_kept(project))
            with _annotating(Path(name)) as process:
                while figures(address).asked == before.asked and process.poll() is None:
                    time.sleep(0.02)
                time.sleep(generator.uniform(0.05, 1.0))
                found.hit += process.poll() is None
            found.again += _asked_since(address, before, kept)
        before, kept = figures(address), set(_kept(project))
        found.kept = len(kept & before.asked.keys())
        AnnotateStep().run(project, SilentProgress())
        found.again += _asked_since(address, before, kept)
        found.repeated = sum(count - 1 for count in figures(address).asked.values()) - found.again
    return found


def _asked_since(address: str, before: Figures, requests: set[str]) -> int:
    now = figures(address).asked
    return sum(now.get(request, 0) > before.asked.get(request, 0) for request in requests)


def _kept(project: Project) -> Iterator[str]:
    """Yield the name of each request whose answer the journal or the store holds."""
    for entry in Journal(project.store_folder).entries():
        yield request_hash(entry.request.payload)
    with project.reader() as reader:
        for payload in reader.query("SELECT payload FROM requests")["payload"].to_pylist():
            yield request_hash(json.loads(payload))


@contextmanager
def _annotating(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "curate", "--quiet", "annotate"], cwd=folder, env={**os.environ, "NO_COLOR": "1"}
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _project(folder: Path, address: str, slots: int, count: int) -> Project:
    words = "some words that make an ordinary paragraph of text. " * 8
    lines = [json.dumps({"text": f"Text number {number}: {words}"}) for number in range(count)]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "curate.toml").write_text(SETTINGS.format(address=address, slots=slots), encoding="utf-8")
    project = Project(folder, load_settings(folder / "curate.toml", {}), command="benchmark")
    IngestStep().run(project, SilentProgress())
    return project


def _row(slots: int, seconds: float, count: int, runs: list[Run]) -> dict[str, object]:
    return {
        "slots": slots,
        "mean service s": seconds,
        "requests": count,
        "runs": len(runs),
        "busy": median(one.busy for one in runs),
        "processor ms a request": 1e3 * median(one.processor for one in runs),
        "slot idle ms a request": 1e3 * median(one.between for one in runs),
    }


if __name__ == "__main__":
    sys.exit(main("llm_client", run))
