"""What a step costs beside its work: 1,000 new items beside 10,000, 100,000 and 1,000,000 done ones; status and help.

The step's work is nothing but one score an item, so what is timed is the store's part: finding what is new, the ledger,
the anti-join, the lease, the transaction and publishing. Before each round 1,000 new items are committed, outside the
clock. All older items were done by the same step, so its ledger is as long as the table of items. Beside it stands,
with no bar, one transaction of raw DuckDB that finds the new items by an anti-join and adds the same scores and ledger
rows to a file of as many. `curate status` (of 100,000 items) and `curate --help` are timed as whole processes, Python's
own start among them.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.paired import Timings, take_turns
from curate.flows.project import Project
from curate.flows.steps.base import ItemWork, Outcome, run_over_items
from curate.settings import Settings
from curate.store.write import CursorMove, LedgerKey, Write, rows
from curate.types import SilentProgress

PACKAGES = ("curate", "duckdb", "pyarrow")
NEW = 1_000
KEY = LedgerKey("score", "1", "benchmark")
STATUS_ITEMS = 100_000
_COMMIT_ROWS = 100_000
_RAW_TABLES = """
    CREATE TABLE items (item_id VARCHAR, text VARCHAR);
    CREATE TABLE scores (item_id VARCHAR, selector VARCHAR, score DOUBLE);
    CREATE TABLE ledger (step VARCHAR, item_id VARCHAR);"""
_RAW_FILL = """
    INSERT INTO items SELECT item_id, text FROM arrived;
    INSERT INTO scores SELECT item_id, 's', 1.0 FROM arrived;
    INSERT INTO ledger SELECT 'score', item_id FROM arrived;"""
_RAW_STEP = """
    BEGIN;
    CREATE TEMP TABLE pending AS FROM items ANTI JOIN ledger USING (item_id);
    INSERT INTO scores SELECT item_id, 's', 1.0 FROM pending;
    INSERT INTO ledger SELECT 'score', item_id FROM pending;
    COMMIT;"""


def run(options: Options) -> Result:
    """Measure stores of 10,000, 100,000 and 1,000,000 items (quick: 2,000 and 20,000)."""
    load = os.getloadavg()
    sizes = (2_000, 20_000) if options.quick else (10_000, 100_000, 1_000_000)
    timings: dict[int, Timings] = {}
    commands: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for size in sizes:
            bench.grow_to(size)
            options.note(f"{size:,} items")
            contenders = {"curate": bench.step, "raw DuckDB": bench.raw_step}
            timings[size] = take_turns(contenders, note=options.note, before=bench.arrive)
            if size == min(STATUS_ITEMS, sizes[-1]):
                commands = _commands(Path(folder), options)
    return _result(timings, commands, load)


class Bench:
    """A store and a raw DuckDB file that grow alike."""

    def __init__(self, folder: Path) -> None:
        (folder / "curate.toml").write_text('[[source]]\nname = "texts"\npath = "inbox"\n', encoding="utf-8")
        self._project = Project(folder, Settings(), "benchmark")
        self._raw = folder / "raw.duckdb"
        self._size = 0
        with duckdb.connect(str(self._raw)) as connection:
            connection.execute(_RAW_TABLES)

    def grow_to(self, size: int) -> None:
        """Add items that the step has done already."""
        for items in self._items(size - self._size, _COMMIT_ROWS):
            with self._project.reader() as reader:
                commit = reader.commit_number
            move = CursorMove(KEY.consumer, "", str(commit or ""), str(commit + 1))
            tables = {"items": items, **_scores(items).tables}
            self._project.store.commit(Write("score", tables, [move], KEY, items["item_id"].to_pylist()))
            self._fill_raw(items, _RAW_FILL)

    def step(self) -> None:
        """Let the step do what is new."""
        done, failed = run_over_items(self._project, SilentProgress(), ItemWork(KEY, ["text"], _scores))
        if (done, failed) != (NEW, 0):
            raise RuntimeError(f"{done} of {NEW} items were done, {failed} failed")

    def raw_step(self) -> None:
        """Do the same in SQL."""
        with duckdb.connect(str(self._raw)) as connection:
            connection.execute(_RAW_STEP)

    def arrive(self) -> None:
        """Commit new items."""
        [items] = self._items(NEW, NEW)
        self._project.store.commit(Write("ingest", {"items": items}))
        self._fill_raw(items, "INSERT INTO items SELECT item_id, text FROM arrived")

    def _items(self, count: int, at_once: int) -> Iterator[pa.Table]:
        while count > 0:
            numbers = range(self._size, self._size + min(count, at_once))
            texts = [f"text {number} of the benchmark" for number in numbers]
            ids = [sha256(text.encode()).hexdigest() for text in texts]
            content = {"text": texts, "image": None, "events": None, "time_unit": None, "size": 30}
            self._size, count = self._size + len(numbers), count - len(numbers)
            yield rows("items", {"item_id": ids, "modality": "text", **content}, len(ids))

    def _fill_raw(self, items: pa.Table, statements: str) -> None:
        with duckdb.connect(str(self._raw)) as connection:
            connection.register("arrived", items.select(["item_id", "text"]))
            connection.execute(statements)


def _scores(items: pa.Table) -> Outcome:
    columns = {"item_id": items["item_id"], "selector": "s", "selector_version": "1", "target": "", "score": 1.0}
    return Outcome({"scores": rows("scores", columns, len(items))})


def _commands(folder: Path, options: Options) -> dict[str, float]:
    """Return the median seconds of whole processes."""

    def timed(*arguments: str) -> Callable[[], object]:
        command = [sys.executable, "-m", "curate", *arguments]
        return lambda: subprocess.run(command, capture_output=True, check=True)

    contenders = {
        "curate status": timed("status", "--project", str(folder)),
        "curate --help": timed("--help"),
        "python -c pass": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
    }
    timings = take_turns(contenders, note=options.note)
    return {name: timings.median(name) for name in contenders}


def _result(timings: dict[int, Timings], commands: dict[str, float], load: tuple[float, float, float]) -> Result:
    sizes = list(timings)
    seconds = {size: found.median("curate") for size, found in timings.items()}
    exponent = math.log(seconds[sizes[-1]] / seconds[sizes[0]]) / math.log(sizes[-1] / sizes[0])
    bars = [
        Bar(f"seconds of a step, {NEW:,} new of {sizes[-1]:,} items", seconds[sizes[-1]], 2, "<"),
        Bar("growth exponent with the store", exponent, 0.5, "<="),
        Bar("seconds of curate status", commands["curate status"], 0.5, "<="),
        Bar("seconds of curate --help", commands["curate --help"], 0.25, "<="),
    ]
    table: list[dict[str, object]] = [
        {"what": f"a step, {name}", "items": size, "seconds": found.median(name)}
        for size, found in timings.items()
        for name in found.rounds
    ]
    table += [
        {"what": name, "items": min(STATUS_ITEMS, sizes[-1]), "seconds": value} for name, value in commands.items()
    ]
    details = {
        "new_items": NEW,
        "load": load,
        "seconds": {size: {name: list(values) for name, values in t.rounds.items()} for size, t in timings.items()},
        "seconds_of_commands": commands,
    }
    return Result(bars, table, details, PACKAGES)


if __name__ == "__main__":
    sys.exit(main("step_overhead", run))
