"""Two hundred malformed files, made from good ones of every format: each row is taken in or refused, none is lost."""

import csv
import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

ROWS = 40
SEEDS = 13
TEXTS = [f"text number {row} {'word ' * (row % 7)}end" for row in range(ROWS)]
TABLE = pa.table({"text": TEXTS, "label": pa.array([f"class {row % 3}" for row in range(ROWS)]).dictionary_encode()})
Damage = Callable[[random.Random, bytes], bytes]


def _jsonl() -> bytes:
    return "".join(json.dumps({"text": text, "label": "x"}) + "\n" for text in TEXTS).encode()


def _events() -> bytes:
    return "".join(
        json.dumps({"events": [[row, 1], [row + 1, 2]], "label": "x"}) + "\n" for row in range(ROWS)
    ).encode()


def _csv() -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC).writerows([("text", "label"), *((text, "x") for text in TEXTS)])
    return stream.getvalue().encode()


def _parquet(compression: str, table: pa.Table = TABLE) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, row_group_size=10, compression=compression)
    return stream.getvalue()


def _arrow(new: Callable[..., Any], compression: str | None) -> bytes:
    stream = io.BytesIO()
    with new(stream, TABLE.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(TABLE, max_chunksize=10)
    return stream.getvalue()


def _image(row: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (5 + row, 4), (row, 2 * row, 3)).save(stream, kind)
    return stream.getvalue()


def _labelled(name: str, column: list[Any]) -> pa.Table:
    return pa.table({name: column, "label": ["x"] * ROWS})


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for row in range(ROWS):
            for name, content in ((f"{row:03}.png", _image(row)), (f"{row:03}.label", b"x")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


GOOD = {
    "a.json": b"[\n" + _jsonl().replace(b"}\n", b"},\n")[:-2] + b"\n]\n",
    "a.jsonl": _jsonl(),
    "a.jsonl.gz": gzip.compress(_jsonl(), mtime=0),
    "a.jsonl.zst": zstandard.compress(_jsonl()),
    "events.jsonl": _events(),
    "a.csv": _csv(),
    "a.csv.gz": gzip.compress(_csv(), mtime=0),
    "a.parquet": _parquet("snappy"),
    "b.parquet": _parquet("zstd"),
    "events.parquet": _parquet(
        "snappy", _labelled("events", [[{"time": row / 2, "type": 1}, {"time": row, "type": 2}] for row in range(ROWS)])
    ),
    "image.parquet": _parquet("none", _labelled("image", [{"bytes": _image(row), "path": ""} for row in range(ROWS)])),
    "a.arrow": _arrow(pa.ipc.new_file, None),
    "b.arrow": _arrow(pa.ipc.new_file, "zstd"),
    "a.arrows": _arrow(pa.ipc.new_stream, "lz4"),
    "a.tar": _tar(),
    "a.tar.gz": gzip.compress(_tar(), mtime=0),
    "a.txt": TEXTS[3].encode(),
    "a.png": _image(9),
    "a.jpg": _image(9, "JPEG"),
    "a.webp": _image(9, "WEBP"),
    "a.gif": _image(9, "GIF"),
}
SINGLE = {name for name in GOOD if name.endswith((".txt", ".png", ".jpg", ".webp", ".gif"))}


def _truncated(chance: random.Random, content: bytes) -> bytes:
    return content[: chance.randrange(len(content))]


def _flipped(chance: random.Random, content: bytes) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.randrange(1, 9)):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _blanked(chance: random.Random, content: bytes) -> bytes:
    start, length = chance.randrange(len(content)), chance.randrange(1, 64)
    return content[:start] + bytes(len(content[start : start + length])) + content[start + length :]


def _shortened(chance: random.Random, content: bytes) -> bytes:
    start = chance.randrange(len(content))
    return content[:start] + content[start + chance.randrange(1, 200) :]


def _lengthened(chance: random.Random, content: bytes) -> bytes:
    start = chance.randrange(len(content))
    return content[:start] + chance.randbytes(chance.randrange(1, 100)) + content[start:]


DAMAGES: tuple[Damage, ...] = (_truncated, _flipped, _blanked, _shortened, _lengthened)


def _options(name: str) -> dict[str, Any]:
    is_image = ".tar" in name or name.startswith("image") or name in SINGLE - {"a.txt"}
    modality = "events" if name.startswith("events") else "image" if is_image else "text"
    return {"modality": modality, "label": "" if name in SINGLE else "label"}


def _check(reading: Any, name: str, *, all_there: bool) -> None:
    """Whatever is missing has a reject that says where and why."""
    expected = 1 if name in SINGLE else ROWS
    for reject in reading.rejects:
        assert reject["locator"].startswith(name)
        assert reject["detail"]
        assert reject["detail"].isprintable()
        assert len(reject["detail"]) < 600
    if all_there and len(reading.records) < expected:
        assert reading.rejects


@pytest.mark.parametrize("name", GOOD)
def test_good_files_are_read_whole(tmp_path: Path, read: Callable[..., Any], name: str) -> None:
    (tmp_path / name).write_bytes(GOOD[name])
    reading = read(tmp_path / name, **_options(name))
    assert len(reading.records) == (1 if name in SINGLE else ROWS)
    assert reading.rejects == []


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("name", GOOD)
def test_malformed_files(tmp_path: Path, read: Callable[..., Any], name: str, seed: int) -> None:
    damage = DAMAGES[seed % len(DAMAGES)]
    (tmp_path / name).write_bytes(damage(random.Random(f"{name} {seed}"), GOOD[name]))
    # Lines that were cut out, or off at a border, leave no trace in a file that is a list of lines.
    traceless = name in ("a.json", "a.jsonl", "events.jsonl", "a.csv") and damage is not _flipped
    _check(read(tmp_path / name, **_options(name)), name, all_there=not traceless)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.integers(0, ROWS - 1),
    junk=st.binary(max_size=60),
    kind=st.sampled_from(["a.jsonl", "events.jsonl", "a.csv"]),
)
@example(row=3, junk=b'"', kind="a.csv")
@example(row=3, junk=b'"open, "a"', kind="a.csv")
def test_a_line_of_junk_costs_no_other_line(
    tmp_path: Path, read: Callable[..., Any], row: int, junk: bytes, kind: str
) -> None:
    lines = GOOD[kind].splitlines(keepends=True)
    header = lines[:1] if kind == "a.csv" else []
    rows = lines[len(header) :]
    junk = junk.replace(b"\n", b"").replace(b"\r", b"")
    (tmp_path / kind).write_bytes(b"".join([*header, *rows[:row], junk + b"\n", *rows[row:]]))
    reading = read(tmp_path / kind, **_options(kind))
    kept = [record["locator"] for record in reading.records]
    at = row + 1 + len(header)
    own = {f"{kind}#{number}" for number in range(1 + len(header), ROWS + 2 + len(header)) if number != at}
    assert own <= {*kept}, (own - {*kept}, reading.rejects)
