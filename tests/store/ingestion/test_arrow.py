"""Arrow IPC: files and streams, batches that lie, and damage that costs its own batch."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.store.ingestion import messages

Read = Callable[..., Any]
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
TABLE = pa.table(
    {
        "n": range(400),
        "text": [f"text number {row}" for row in range(400)],
        "label": pa.array([f"class {row % 3}" for row in range(400)]).dictionary_encode(),
        "image": [{"bytes": b"x" * row, "path": None} for row in range(400)],
        "events": [[{"time": 1.0 * at, "type": at} for at in range(row % 4)] for row in range(400)],
    }
)
KINDS = {"a.arrow": pa.ipc.new_file, "a.arrows": pa.ipc.new_stream}


def _arrow(name: str, table: pa.Table = TABLE, compression: str | None = None, rows: int = 100) -> bytes:
    stream = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with KINDS[name](stream, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return stream.getvalue()


FILES = tuple((name, _arrow(name, compression=packer)) for name in KINDS for packer in (None, "zstd", "lz4"))
EACH = pytest.mark.parametrize(("name", "content"), FILES)


def _write(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@EACH
def test_rows_become_records(tmp_path: Path, read: Read, name: str, content: bytes) -> None:
    options = {"label": "label", "identifier": "n", "metadata": ("n",)}
    reading = read(_write(tmp_path, name, content), **options)
    assert reading.column("text") == TABLE["text"].to_pylist()
    assert reading.column("label") == TABLE["label"].to_pylist()
    last = reading.records[-1]
    assert (last["locator"], last["entity"], last["metadata"]) == (f"{name}#400", "s:399", '{"n":399}')
    later = read(tmp_path / name, start_row=150, **options)
    assert later.records == reading.records[150:]


def test_feather_and_empty_files_are_read(tmp_path: Path, read: Read) -> None:
    pyarrow.feather.write_feather(TABLE, tmp_path / "a.feather")
    assert len(read(tmp_path / "a.feather").records) == 400
    path = _write(tmp_path, "a.arrows", _arrow("a.arrows", TABLE.slice(0, 0)))
    assert (read(path).records, read(path).rejects) == ([], [])


def test_strings_that_are_no_utf8_refuse_their_own_row(tmp_path: Path, read: Read) -> None:
    table = pa.table({"text": pa.array([b"a", b"\xff", b"b"]).view(pa.string())})
    reading = read(_write(tmp_path, "a.arrow", _arrow("a.arrow", table)))
    assert (reading.column("text"), reading.reasons) == (["a", "b"], ["not-utf-8"])


def test_columns_that_will_not_do_are_one_reject(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, "a.arrow", FILES[0][1])
    assert read(path, text="body").reasons == ["missing-column"]
    assert read(path, text="n").reasons == ["not-text"]


@EACH
def test_an_offset_that_lies_costs_its_batch_only(tmp_path: Path, read: Read, name: str, content: bytes) -> None:
    stream = io.BufferedReader(io.BytesIO(content))
    bodies = [each.body for each in messages.messages(stream) if each.kind == messages.RECORDS]
    start = content.index(bodies[1])
    damaged = content[:start] + b"\xfe" * len(bodies[1]) + content[start + len(bodies[1]) :]
    reading = read(_write(tmp_path, name, damaged))
    texts = TABLE["text"].to_pylist()
    assert reading.column("text") == texts[:100] + texts[200:]
    (reject,) = reading.rejects
    assert reject["locator"] == f"{name}#101"
    assert reject["detail"].startswith("rows 101 to 200: ")


@EACH
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_of_a_truncated_file_the_beginning_stays(
    tmp_path: Path, read: Read, name: str, content: bytes, share: float
) -> None:
    reading = read(_write(tmp_path, name, content[: int(share * len(content))]))
    assert reading.column("text") == TABLE["text"].to_pylist()[: len(reading.records)]
    assert reading.reasons == ["broken-arrow"]


@pytest.mark.parametrize("claim", [2**40, 2**62, -(2**62)])
def test_absurd_numbers_of_rows_are_refused(tmp_path: Path, read: Read, claim: int) -> None:
    content = _arrow("a.arrows", pa.table({"text": pa.nulls(12_345)}), rows=12_345)
    lies = content.replace(struct.pack("<q", 12_345), struct.pack("<q", claim))
    reading = read(_write(tmp_path, "a.arrows", lies))
    assert reading.records == []
    assert reading.reasons in (["absurd-size"], ["broken-arrow"])


def test_what_unpacks_to_more_than_memory_is_not_unpacked(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "_BODY_BYTES", 2**20)
    table = pa.table({"text": ["small", "x" * 2**24, "small too"]})
    for compression in ("zstd", None):
        reading = read(_write(tmp_path, "a.arrow", _arrow("a.arrow", table, compression, rows=1)))
        assert reading.column("text") == ["small", "small too"]
        assert [(each["locator"], each["reason"]) for each in reading.rejects] == [("a.arrow#2", "absurd-size")]


@SAME_FOLDER
@given(
    file=st.sampled_from(FILES),
    flips=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 7)), min_size=1, max_size=8),
    modality=st.sampled_from(["text", "image", "events"]),
)
def test_flipped_bits_never_raise(
    tmp_path: Path, read: Read, file: tuple[str, bytes], flips: list[tuple[int, int]], modality: str
) -> None:
    name, content = file
    damaged = bytearray(content)
    for position, bit in flips:
        damaged[position % len(damaged)] ^= 1 << bit
    read(_write(tmp_path, name, damaged), modality=modality, label="label", metadata=("n",))


@SAME_FOLDER
@given(content=st.binary() | st.binary().map(lambda body: b"ARROW1\0\0\xff\xff\xff\xff" + body))
def test_any_bytes_are_one_reject(tmp_path: Path, read: Read, content: bytes) -> None:
    assert read(_write(tmp_path, "a.arrow", content)).reasons in (["broken-arrow"], ["broken-compression"])
