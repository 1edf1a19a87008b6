"""Ingesting a million short texts against the same rows made by SQL in raw DuckDB; growth, and a file of 5 GB.

The texts are three lines of code, C headers, JSON or prose of this Python installation and a number, about 155 bytes,
in one Parquet file. Every twentieth repeats an earlier text, half of these with CRLF for line ends, so that they are
equal in their canonical form only.

curate does what `curate ingest` does: it lists and reads the file, hashes, takes out what it holds, commits batch after
batch with cursors and ledger, publishes the segments, and flushes all of it to disk. Raw DuckDB makes the same rows of
items and origins (compared value by value) in a file of its own: SHA-256 of the canonical text and everything else in
SQL, one row an id, in one transaction, on as many threads as there are cores, closed at the end. It hashes each text
once, into a temporary table, one of the two quickest of four ways that were tried. It does not look for what an earlier
run has left, counts no rejects, keeps no cursor, checks no UTF-8 and publishes nothing; "and Parquet" writes its two
tables to Parquet with zstd as well (run once, for the record), which is what publishing costs at the least.

Row groups of 500 items, by which `curate why` and near-duplicates find single rows, cost 1.1 s of processor time a
million over groups of 10,000.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness.bars import Bar
from benchmarks.harness.command import Options, Result, main
from benchmarks.harness.corpora import corpus
from benchmarks.harness.memory import peak_memory
from benchmarks.harness.paired import Timings, take_turns
from curate.cli import main as curate_command
from curate.flows.project import Project
from curate.flows.steps.ingest import IngestStep
from curate.settings import Settings, SourceSettings
from curate.store.manifest import PUBLISHED_FOLDER
from curate.types import SilentProgress

PACKAGES = ("curate", "duckdb", "pyarrow", "numpy")
GIB = 2**30
FILE = "texts.parquet"
_ITEMS = ("item_id", "modality", "text", "size")
_ORIGINS = ("item_id", "source", "locator", "entity", "licence", "metadata")
_RAW = f"""
    CREATE TABLE items (
        item_id VARCHAR, modality VARCHAR, text VARCHAR, image BLOB, events STRUCT(time DOUBLE, type INTEGER)[],
        time_unit VARCHAR, size BIGINT, run_id VARCHAR, commit_number BIGINT);
    CREATE TABLE origins (
        item_id VARCHAR, source VARCHAR, locator VARCHAR, entity VARCHAR, licence VARCHAR, metadata VARCHAR,
        run_id VARCHAR, commit_number BIGINT);
    BEGIN;
    CREATE TEMP TABLE arrived AS
        SELECT sha256(canonical) AS item_id, canonical, file_row_number + 1 AS row FROM (
            SELECT file_row_number,
                replace(replace(ltrim(text, chr(65279)), chr(13) || chr(10), chr(10)), chr(13), chr(10)) AS canonical
            FROM read_parquet('$file', file_row_number = true));
    INSERT INTO items
        SELECT item_id, 'text', any_value(canonical), NULL, NULL, NULL, strlen(any_value(canonical)), 'run', 1
        FROM arrived GROUP BY item_id;
    INSERT INTO origins SELECT item_id, 'texts', '{FILE}#' || row, '', '', '', 'run', 1 FROM arrived;
    COMMIT;"""
_PARQUET = """
    COPY items TO '$folder/items.parquet' (COMPRESSION zstd);
    COPY origins TO '$folder/origins.parquet' (COMPRESSION zstd);"""


@dataclass(frozen=True)
class Place:
    """A scratch folder with one file of texts."""

    folder: Path

    @property
    def file(self) -> Path:
        """The Parquet file that is ingested."""
        return self.folder / FILE

    def fresh(self, name: str) -> Path:
        """Return an empty folder for one contender."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def run(options: Options) -> Result:
    """Measure 1,000,000 texts (quick: 50,000), smaller files, and a file of 5 GB (quick: 0.1 GB)."""
    load = os.getloadavg()
    sizes = (5_000, 50_000) if options.quick else (10_000, 100_000, 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        measured = [_measured(Place(Path(folder) / str(size)), size, options) for size in sizes]
        place = Place(Path(folder) / str(sizes[-1]))
        different = differences(place)
        with_parquet = _seconds(lambda: raw(place.file, place.fresh("raw"), _PARQUET))
        peaks = {
            "curate": peak_memory(ingest, place.file, place.fresh("curate")).peak,
            "raw DuckDB": peak_memory(raw, place.file, place.fresh("raw")).peak,
        }
        shutil.rmtree(place.folder)
        large = large_file(Path(folder) / "large", 0.1 if options.quick else 5.0, options)
    details = {"seconds_raw_duckdb_and_parquet": with_parquet, "peak_bytes": peaks, "load": load}
    return _result(options, dict(zip(sizes, measured, strict=True)), different, large, details)


def write_texts(file: Path, count: int, seed: int) -> None:
    """Write the texts, in row groups as pyarrow makes them."""
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table({"text": _texts(count, seed)}), file)


def _texts(count: int, seed: int) -> list[str]:
    lines = [line for text in corpus(2_000, 1, seed).texts for line in text.splitlines() if len(line) > 20]
    generator = random.Random(seed)
    texts: list[str] = []
    for number in range(count):
        if number % 20 < 19:
            texts.append("\n".join([*generator.choices(lines, k=3), str(number)]))
        else:
            repeated = texts[generator.randrange(number)]
            texts.append(repeated.replace("\n", "\r\n") if number % 40 < 20 else repeated)
    return texts


def ingest(file: Path, folder: Path) -> None:
    """Let the step ingest a file into a new store."""
    settings = Settings(source=(SourceSettings(name="texts", path=str(file)),))
    report = IngestStep().run(Project(folder, settings, "benchmark"), SilentProgress())
    if report.rejected:
        raise RuntimeError(f"{report.rejected} rows were rejected")


def raw(file: Path, folder: Path, after: str = "") -> None:
    """Make the same rows with SQL, in a new file."""
    with duckdb.connect(str(folder / "raw.duckdb")) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(_RAW.replace("$file", str(file)))
        connection.execute(after.replace("$folder", str(folder)))


def differences(place: Place) -> int:
    """Return how many rows of items and origins only one of the two has."""
    published = place.folder / "curate" / "curate-store" / PUBLISHED_FOLDER
    count = 0
    with duckdb.connect(str(place.folder / "raw" / "raw.duckdb"), read_only=True) as connection:
        connection.execute("SET enable_progress_bar = false")
        for table, columns in (("items", _ITEMS), ("origins", _ORIGINS)):
            ours = f"SELECT {', '.join(columns)} FROM read_parquet('{published}/{table}-*.parquet')"
            theirs = f"SELECT {', '.join(columns)} FROM {table}"
            for one, other in ((ours, theirs), (theirs, ours)):
                [(found,)] = connection.execute(f"SELECT count(*) FROM ({one} EXCEPT ALL {other})").fetchall()
                count += int(found)
    return count


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _measured(place: Place, size: int, options: Options) -> Timings:
    options.note(f"{size:,} texts")
    write_texts(place.file, size, options.seed)
    contenders: dict[str, Callable[[], object]] = {
        "curate": lambda: ingest(place.file, place.fresh("curate")),
        "raw DuckDB": lambda: raw(place.file, place.fresh("raw")),
    }
    return take_turns(contenders, note=options.note)


@dataclass(frozen=True, slots=True)
class Large:
    """What ingesting the large file took: its bytes, its rows, peak memory of the whole process."""

    bytes: int
    rows: int
    peak: int


def large_file(folder: Path, gigabytes: float, options: Options) -> Large:
    """Ingest a file of texts of 4,000 characters in row groups of 500 MB with the command itself, in a new process."""
    folder.mkdir()
    rows = int(gigabytes * 1e9 / 4_000)
    options.note(f"writing a file of {gigabytes} GB")
    _write_large(folder / "large.parquet", rows, options.seed)
    (folder / "curate.toml").write_text('[[source]]\nname = "large"\npath = "large.parquet"\n')
    peak = peak_memory(ingest_command, folder).peak
    with Project(folder, Settings()).reader() as reader:
        count = reader.manifest.rows("items")
    if count != rows:
        raise RuntimeError(f"{count} of {rows} items were ingested")
    return Large((folder / "large.parquet").stat().st_size, rows, peak)


def ingest_command(folder: Path) -> None:
    """Do what `curate ingest` does."""
    try:
        curate_command(["ingest", "--project", str(folder)])
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"curate ingest ended with {end.code}") from end


def _write_large(file: Path, rows: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    letters = generator.integers(97, 123, 8_000_000, np.uint8)
    letters[generator.integers(0, len(letters), len(letters) // 6)] = 32
    text = letters.tobytes().decode()
    group = 125_000
    with pq.ParquetWriter(file, pa.schema([("text", pa.string())]), compression="none", use_dictionary=False) as writer:
        for start in range(0, rows, group):
            numbers = range(start, min(rows, start + group))
            begins = generator.integers(0, len(text) - 4_000, len(numbers)).tolist()
            texts = [f"{number} {text[at : at + 3_990]}" for number, at in zip(numbers, begins, strict=True)]
            writer.write_table(pa.table({"text": texts}), row_group_size=group)


def _exponent(timings: dict[int, Timings], name: str) -> float:
    (small, first), *_, (large, last) = timings.items()
    return math.log(last.median(name) / first.median(name)) / math.log(large / small)


def _result(
    options: Options, timings: dict[int, Timings], different: int, large: Large, details: dict[str, object]
) -> Result:
    size, last = list(timings.items())[-1]
    ratio = last.times_faster("raw DuckDB", "curate", options.seed)
    table: list[dict[str, object]] = [
        {"what": name, "texts": count, "seconds": found.median(name), "rows/s": count / found.median(name)}
        for count, found in timings.items()
        for name in found.rounds
    ]
    bars = [
        Bar(f"seconds over raw DuckDB, {size:,} texts", ratio.value, 1.5, "<=", ratio),
        Bar("rows of items and origins that differ", different, 0, "<="),
        Bar("growth exponent, 1 is linear", _exponent(timings, "curate"), 1.1, "<="),
        Bar(f"GiB at the peak, a file of {large.bytes / 1e9:.1f} GB", large.peak / GIB, 1e9 / GIB, "<="),
    ]
    details |= {
        "growth_exponent_raw_duckdb": _exponent(timings, "raw DuckDB"),
        "large_file": {"bytes": large.bytes, "rows": large.rows, "peak_bytes": large.peak},
        "seconds": {count: {name: list(values) for name, values in t.rounds.items()} for count, t in timings.items()},
    }
    return Result(bars, table, details, PACKAGES)


if __name__ == "__main__":
    sys.exit(main("ingest", run))
