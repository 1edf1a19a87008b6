"""What every operation of the store costs at 10,000, 100,000 and 1,000,000 items, in one table, with the exponents.

Operations over the whole store (ingesting a file of texts, freezing, exporting) should grow with it, by an exponent of
1. What handles 1,000 new items, or asks about one, should not: 1,000 arrivals of which half are there already, a batch
of 1,000 texts compared with all that is kept, a step that does nothing but its books, `sql`, `status` and `why`. An
exponent is the slope of a line through the logarithms of sizes and seconds, by least squares; "at the end" is that of
the two largest sizes alone, where what a call costs at any size weighs least: the bars of what goes over the whole
store are for that one.

Each figure is the median of five rounds after one to warm up. The stores are those of the benchmarks `ingest`,
`near_duplicates`, `export` and `step_overhead`, which compare single operations with raw DuckDB and with other
libraries; here the sizes come one after the other, and what is timed is called in this process, without Python's start.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.export import Place, export, fill, unchecked
from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.kept_texts import KeptTexts
from benchmarks.harness.paired import take_turns
from benchmarks.ingest import ingest, write_texts
from benchmarks.snapshots import draft
from benchmarks.step_overhead import NEW, Bench
from curate.store.overview import overview, writer
from curate.store.reader import Reader
from curate.store.why import explain

PACKAGES = ("curate", "duckdb", "pyarrow", "numpy")
WHOLE = 1.1
"""The bar for what goes over the whole store, as in `benchmarks.ingest` and `benchmarks.snapshots`."""
_WHOLE_STORE = ("ingest", "snapshot", "export")
_NEW_ITEMS = {
    f"near duplicates of {NEW:,} texts": 0.2,
    f"a step, {NEW:,} new items": 0.5,
}
_SQL = "SELECT value, count(*) AS items, avg(score) AS score FROM annotations JOIN scores USING (item_id) GROUP BY 1"
Operations = dict[str, float]


def run(options: Options) -> Result:
    """Measure stores of 10,000, 100,000 and 1,000,000 items (quick: 1,000 and 5,000)."""
    load = os.getloadavg()
    sizes = (1_000, 5_000) if options.quick else (10_000, 100_000, 1_000_000)
    measured: dict[int, Operations] = {}
    for size in sizes:
        options.note(f"{size:,} items")
        with tempfile.TemporaryDirectory() as folder:
            measured[size] = {
                **_arrivals(Path(folder) / "arrivals", size, options),
                **_near_duplicates(Path(folder) / "kept", size, options),
                **_training_sets(Place(Path(folder) / "store", Path(folder) / "outputs"), size, options),
                **_step(Path(folder) / "step", size, options),
            }
    return _result(measured, load)


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of a line through the logarithms, by least squares.

    >>> round(exponent([10, 100, 1000], [1, 10, 100]), 3)
    1.0
    """
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _timed(
    options: Options, contenders: dict[str, Callable[[], object]], before: Callable[[], None] = lambda: None
) -> Operations:
    timings = take_turns(contenders, note=options.note, before=before)
    return {name: timings.median(name) for name in contenders}


def _arrivals(folder: Path, size: int, options: Options) -> Operations:
    """A file of texts into an empty store; then 1,000 texts, of which half are there already, into the full one."""
    inbox = folder / "inbox"
    write_texts(inbox / "0.parquet", size, options.seed)
    place = Place(folder, folder / "stores")
    whole = _timed(options, {"ingest": lambda: ingest(inbox, place.fresh("store"))})
    known = pq.read_table(inbox / "0.parquet")["text"][: NEW // 2].to_pylist()
    rounds: list[int] = []

    def bring() -> None:
        rounds.append(len(rounds) + 1)
        texts = known + [f"arrival {number} of round {rounds[-1]}" for number in range(NEW - len(known))]
        pq.write_table(pa.table({"text": texts}), inbox / f"{rounds[-1]}.parquet")

    name = f"{NEW:,} arrivals, half there (exact duplicates)"
    return whole | _timed(options, {name: lambda: ingest(inbox, place.outputs / "store")}, before=bring)


def _near_duplicates(folder: Path, size: int, options: Options) -> Operations:
    kept = KeptTexts(folder, options.seed)
    kept.grow_to(size)
    return _timed(options, {f"near duplicates of {NEW:,} texts": kept.comparison(NEW)})


def _training_sets(place: Place, size: int, options: Options) -> Operations:
    """A snapshot's next number, its export, and the questions that people ask of such a store."""
    fill(place.store, size, options.seed)
    with Reader(place.store) as reader:
        [item] = reader.query("SELECT min(item_id) AS item FROM items")["item"].to_pylist()
    contenders: dict[str, Callable[[], object]] = {
        "snapshot": lambda: draft(place.store),
        "export": lambda: export(place.store, place.fresh("exports"), unchecked),
        "sql, over all labels and scores": lambda: _asked(place.store),
        "status": lambda: (overview(place.store), writer(place.store)),
        "why": lambda: _explained(place.store, item),
    }
    return _timed(options, contenders)


def _step(folder: Path, size: int, options: Options) -> Operations:
    folder.mkdir(parents=True)
    bench = Bench(folder)
    bench.grow_to(size)
    return _timed(options, {f"a step, {NEW:,} new items": bench.step}, before=bench.arrive)


def _asked(store: Path) -> None:
    with Reader(store) as reader:
        reader.ask(_SQL).read_all()


def _explained(store: Path, item: str) -> None:
    with Reader(store) as reader:
        explain(reader, item)


def _result(measured: dict[int, Operations], load: tuple[float, float, float]) -> Result:
    sizes = list(measured)
    table: list[dict[str, object]] = []
    exponents: dict[str, float] = {}
    ends: dict[str, float] = {}
    for name in measured[sizes[0]]:
        seconds = [measured[size][name] for size in sizes]
        exponents[name], ends[name] = exponent(sizes, seconds), exponent(sizes[-2:], seconds[-2:])
        columns = {f"s at {size:,}": value for size, value in zip(sizes, seconds, strict=True)}
        table.append({"operation": name, **columns, "exponent": exponents[name], "at the end": ends[name]})
    bars = [Bar(f"growth exponent at the end, {name}", ends[name], WHOLE, "<=") for name in _WHOLE_STORE]
    bars += [Bar(f"growth exponent, {name}", exponents[name], bar, "<=") for name, bar in _NEW_ITEMS.items()]
    step = measured[sizes[-1]][f"a step, {NEW:,} new items"]
    bars.append(Bar(f"seconds of a step, {NEW:,} new of {sizes[-1]:,} items", step, 2, "<"))
    return Result(bars, table, {"load": load}, PACKAGES)


if __name__ == "__main__":
    sys.exit(main("scale", run))
