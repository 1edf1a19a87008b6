"""Batch borders depend on the file only, and memory on the batch only."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.store.ingestion import batches
from curate.store.ingestion.files import list_files
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.read import read_file
from curate.store.ingestion.source_file import SourceFile

SAME_FOLDER = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=[3, 16_384])
def _chunk_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks as usual, and far smaller than a batch: borders must not notice."""
    monkeypatch.setattr(batches, "CHUNK_ROWS", request.param)


def _files(folder: Path, texts: list[str], mapping: Mapping) -> Iterator[SourceFile]:
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" * (1 + len(text) % 3) for text in texts))
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), folder / "a.parquet", row_group_size=7)
    for name in ("a.jsonl", "a.parquet"):
        yield from list_files(folder / name, mapping)


def _rows(file: SourceFile, mapping: Mapping, start_row: int) -> list[tuple[int, list[Any], list[Any]]]:
    return [
        (parsed.next_row, parsed.records.to_pylist(), parsed.rejects.to_pylist())
        for parsed in read_file(file, mapping, start_row)
    ]


@SAME_FOLDER
@given(
    texts=st.lists(st.integers(0, 30).map("x".__mul__), max_size=40),
    batch_rows=st.integers(1, 12),
    batch_bytes=st.integers(1, 60),
)
@pytest.mark.usefixtures("_chunk_rows")
def test_starting_again_anywhere_gives_the_same_batches(
    tmp_path: Path, texts: list[str], batch_rows: int, batch_bytes: int
) -> None:
    mapping = Mapping(source="s", modality="text", batch_rows=batch_rows, batch_bytes=batch_bytes)
    for file in _files(tmp_path, texts, mapping):
        whole = _rows(file, mapping, 0)
        assert sum(len(records) + len(rejects) for _, records, rejects in whole) == len(texts)
        for number, (next_row, records, rejects) in enumerate(whole[:-1]):
            assert _rows(file, mapping, next_row) == whole[number + 1 :]
            size = sum(record["size"] for record in records)
            assert len(records) + len(rejects) <= batch_rows
            assert size <= batch_bytes or len(records) + len(rejects) == 1
            following = whole[number + 1][1]
            full = len(records) + len(rejects) == batch_rows
            assert full or size + (following[0]["size"] if following else batch_bytes + 1) > batch_bytes or rejects


def test_an_empty_file_is_one_empty_complete_batch(tmp_path: Path) -> None:
    mapping = Mapping(source="s", modality="text")
    for file in _files(tmp_path, [], mapping):
        (parsed,) = read_file(file, mapping)
        assert (parsed.records.num_rows, parsed.rejects.num_rows, parsed.next_row, parsed.complete) == (0, 0, 0, True)


def test_groups_before_the_start_are_not_read(tmp_path: Path) -> None:
    mapping = Mapping(source="s", modality="text", batch_rows=100)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {row}" for row in range(300)]}), path, row_group_size=100)
    size = pq.ParquetFile(path).metadata.row_group(0).column(0).total_compressed_size
    content = bytearray(path.read_bytes())
    content[4 : 4 + size] = bytes(size)
    path.write_bytes(content)
    (file,) = list_files(path, mapping)
    assert [reject["reason"] for _, _, rejects in _rows(file, mapping, 0) for reject in rejects] == ["broken-parquet"]
    assert [len(records) for _, records, _ in _rows(file, mapping, 100)] == [100, 100]


def _peak_and_count(path: Path, mapping: Mapping) -> tuple[int, int]:
    """The most bytes that Arrow held while the file was read, and how many records came."""
    before = pa.total_allocated_bytes()
    peak = count = 0
    for parsed in read_file(list_files(path, mapping)[0], mapping):
        peak = max(peak, pa.total_allocated_bytes() - before)
        count += parsed.records.num_rows
    return peak, count


@pytest.mark.parametrize("row_group_size", [1000, 1_000_000])
def test_memory_is_bounded_by_the_batch(tmp_path: Path, row_group_size: int) -> None:
    table = pa.table({"text": [f"{row} ".ljust(8192, "x") for row in range(20_000)]})
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=False, row_group_size=row_group_size)
    size = table.nbytes
    del table
    peak, count = _peak_and_count(tmp_path / "a.parquet", Mapping(source="s", modality="text", batch_bytes=2**20))
    assert count == 20_000
    assert peak < 2**26 < size // 2


def test_memory_is_bounded_where_a_dictionary_hides_the_size(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x" * 2**18] * 600}), path)
    assert path.stat().st_size < 2**20
    peak, count = _peak_and_count(path, Mapping(source="s", modality="text", batch_bytes=2**20))
    assert count == 600
    assert peak < 2**26 < 600 * 2**18 // 2
