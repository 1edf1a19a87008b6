"""Memory is bounded by the batch, measured as the operating system sees it: the peak of a process of its own."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

CHILD = """
import re, sys
from pathlib import Path
from curate.store.ingestion.files import list_files
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.read import read_file
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
mapping = Mapping(source="s", modality="text")
(file,) = list_files(sys.argv[1], mapping)
next(read_file(file, mapping))
before = peak()
count = sum(len(parsed.records) for parsed in read_file(file, mapping))
print(count, peak() - before, before)
"""
ROWS = 30_000


def _texts() -> list[str]:
    """Texts of 6,000 characters that pack about as badly as prose."""
    words = ["".join(map(chr, word)) for word in np.random.default_rng(0).integers(97, 123, (3_000, 6))]
    lines = [" ".join(np.random.default_rng(seed).choice(words, 850)) for seed in range(50)]
    return [f"{row} {lines[row % 50]}" for row in range(ROWS)]


def _parquet(path: Path) -> None:
    table = pa.table({"text": _texts()})
    pq.write_table(table, path, row_group_size=ROWS, use_dictionary=False, compression="none")


def _arrow(path: Path) -> None:
    table = pa.table({"text": _texts()})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=1_000)


def _jsonl(path: Path) -> None:
    with gzip.open(path, "wt", compresslevel=1) as stream:
        stream.writelines(json.dumps({"text": text}) + "\n" for text in _texts())


def _csv(path: Path) -> None:
    path.write_text("text\n" + "".join(f'"{text}"\n' for text in _texts()))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize(
    ("name", "write"), [("a.parquet", _parquet), ("a.arrow", _arrow), ("a.jsonl.gz", _jsonl), ("a.csv", _csv)]
)
def test_the_peak_is_a_fraction_of_the_file(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / name)], capture_output=True, text=True, check=True, timeout=100
    )
    count, grown, before = map(int, child.stdout.split())
    assert count == ROWS
    assert before < 400
    assert grown < 140 < 5.8 * ROWS / 1024  # MiB, of 170 MiB of text in one row group
