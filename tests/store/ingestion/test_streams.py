"""Packed files: what they hold, what is left of damaged ones, and bombs."""

import gzip
import io
import json
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard

from curate.store.ingestion import streams
from curate.store.ingestion.shapes import RefusedFileError
from curate.store.ingestion.streams import unpacked

Read = Callable[..., Any]
ROWS = 12_000
LINES = [json.dumps({"text": f"text {row} {zlib.crc32(str(row).encode())}"}) for row in range(ROWS)]
CONTENT = ("\n".join(LINES) + "\n").encode()
PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.compress}
EACH = pytest.mark.parametrize("suffix", PACKERS)


@EACH
def test_packed_lines_are_the_lines(tmp_path: Path, read: Read, suffix: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(CONTENT)
    (tmp_path / f"a.jsonl{suffix}").write_bytes(PACKERS[suffix](CONTENT))
    plain, packed = read(tmp_path / "a.jsonl"), read(tmp_path / f"a.jsonl{suffix}")
    assert packed.column("item_id") == plain.column("item_id")
    assert packed.column("locator")[-1] == f"a.jsonl{suffix}#12000"


@EACH
def test_members_behind_one_another_are_one_file(tmp_path: Path, read: Read, suffix: str) -> None:
    half = CONTENT.index(b"\n", len(CONTENT) // 2) + 1
    (tmp_path / f"a.jsonl{suffix}").write_bytes(PACKERS[suffix](CONTENT[:half]) + PACKERS[suffix](CONTENT[half:]))
    assert len(read(tmp_path / f"a.jsonl{suffix}").records) == ROWS


@EACH
def test_a_packed_file_needs_no_telling_name(tmp_path: Path, read: Read, suffix: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(PACKERS[suffix](CONTENT))
    (tmp_path / f"note.txt{suffix}").write_bytes(PACKERS[suffix](b"a note"))
    assert len(read(tmp_path / "a.jsonl").records) == ROWS
    assert read(tmp_path / f"note.txt{suffix}").column("text") == ["a note"]


@EACH
def test_a_name_that_lies_is_a_reject(tmp_path: Path, read: Read, suffix: str) -> None:
    for content in (CONTENT, b""):
        (tmp_path / f"a.jsonl{suffix}").write_bytes(content)
        assert read(tmp_path / f"a.jsonl{suffix}").reasons == ["broken-compression"]


@EACH
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_of_a_truncated_file_the_beginning_stays(tmp_path: Path, read: Read, suffix: str, share: float) -> None:
    packed = PACKERS[suffix](CONTENT)
    (tmp_path / f"a.jsonl{suffix}").write_bytes(packed[: max(5, int(share * len(packed)))])
    reading = read(tmp_path / f"a.jsonl{suffix}")
    count = len(reading.records)
    assert reading.column("text") == [json.loads(line)["text"] for line in LINES[:count]]
    assert reading.reasons == ["broken-compression"]
    lost_bytes = 2**17 + 2**12 if suffix == ".zst" else 2**13  # zstd has blocks of 128 KiB
    assert count >= ROWS * share - 1.5 * lost_bytes * ROWS / len(CONTENT) - 50
    if count:
        assert reading.rejects[0]["detail"].startswith(f"from row {count + 1} on: ")


@EACH
def test_damage_is_noticed(tmp_path: Path, read: Read, suffix: str) -> None:
    packer = zstandard.ZstdCompressor(write_checksum=True).compress if suffix == ".zst" else gzip.compress
    packed = bytearray(packer(CONTENT * 4))
    packed[-2] ^= 1
    (tmp_path / f"a.jsonl{suffix}").write_bytes(packed)
    reading = read(tmp_path / f"a.jsonl{suffix}")
    assert reading.reasons == ["broken-compression"]
    lost_bytes = 2**20 if suffix == ".zst" else 2**13
    assert len(reading.records) >= 4 * ROWS * (1 - lost_bytes / len(4 * CONTENT)) - 200


@EACH
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.tar", "a.arrows"])
def test_bombs_are_refused_in_bounded_memory(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch, suffix: str, name: str
) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 2**20)
    (tmp_path / f"{name}{suffix}").write_bytes(PACKERS[suffix](b"text\n" + bytes(2**26)))
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    reading = read(tmp_path / f"{name}{suffix}", item_bytes=2**22)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reading.records == []
    assert reading.reasons[-1] in ("decompression-bomb", "broken-arrow")
    assert peak + pa.total_allocated_bytes() - before < 2**24


def test_a_window_that_would_fill_the_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(b"x") + packer.flush()
    with pytest.raises(RefusedFileError, match="too much memory"):
        unpacked(io.BufferedReader(io.BytesIO(packed)), "a.zst").read()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text\tlabel\none é\tx\n😀 two\ty\n"),
        ("a.jsonl", '{"text": "one é"}\r\n{"text": "😀 two"}\r\n'),
        ("a.json", '[{"text": "one é"}, {"text": "😀 two"}]'),
        ("a.csv.gz", "text\none é\n😀 two\n"),
    ],
)
def test_utf16_is_read_by_its_byte_order_mark(
    tmp_path: Path, read: Read, name: str, content: str, encoding: str
) -> None:
    packed = ("\ufeff" + content).encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(packed) if name.endswith(".gz") else packed)
    assert read(tmp_path / name).column("text") == ["one é", "😀 two"]


def test_half_a_character_of_utf16_costs_its_row(tmp_path: Path, read: Read) -> None:
    rows = [f"row {number} {'x' * 100}" for number in range(500)]
    content = "\ufeff" + "\n".join(["text", *rows[:250], "\ud83d half", *rows[250:]]) + "\n"
    (tmp_path / "a.csv").write_bytes(content.encode("utf-16-le", "surrogatepass") + b"x")
    reading = read(tmp_path / "a.csv")
    assert reading.column("text") == rows
    assert [(reject["locator"], reject["reason"]) for reject in reading.rejects] == [
        ("a.csv#252", "not-utf-8"),
        ("a.csv", "not-utf-8"),
    ]
