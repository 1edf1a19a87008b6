"""Files made to cost absurdly more than they are worth: refused in bounded memory and time, and none beside them lost.

They are read by one process whose address space and processor time have hard limits; its peak is measured.
"""

import gzip
import io
import json
import resource
import struct
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

MIB = 2**20
SECONDS = 60
PEAK_MIB = 450
Hostile = tuple[str, Callable[[], bytes], list[str]]
CHILD = """
import json, re, sys
from pathlib import Path
from curate.store.ingestion.files import list_files
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.read import read_files
told = {}
for modality, folder in (("text", "texts"), ("image", "images")):
    mapping = Mapping(source="s", modality=modality)
    for part in read_files(list_files(Path(sys.argv[1], folder), mapping), mapping, lambda file: 0):
        for locator in part.parsed.records["locator"].to_pylist():
            told.setdefault(locator.partition("#")[0], []).append("record")
        for row in part.parsed.rejects.to_pylist():
            assert row["detail"] and len(row["detail"]) < 700 and len(row["locator"]) < 5_000, row["locator"][:99]
            told.setdefault(row["locator"].partition("#")[0], []).append(row["reason"])
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
print(json.dumps({"told": told, "peak": peak}))
"""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _chunk(b"IEND", b"")


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _scans(times: int) -> bytes:
    """A progressive JPEG whose scans are there many times over: each is drawn over the whole picture."""
    jpeg = _saved(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    first = jpeg.index(b"\xff\xda")
    return jpeg[:-2] + jpeg[first:-2] * times + jpeg[-2:]


@cache
def _gzipped(piece: bytes, times: int) -> bytes:
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as packed:
        for _ in range(times):
            packed.write(piece)
    return stream.getvalue()


def _tar(*members: tuple[str, bytes, bytes]) -> bytes:
    """A tar of members, each with a name, a content and the type of its header."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _parquet(column: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": column}), stream, **options)
    return stream.getvalue()


def _dictionary(rows: int, text: str) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))


def _lists(depth: int) -> pa.Array:
    kind: pa.DataType = pa.string()
    for _ in range(depth):
        kind = pa.list_(kind)
    return pa.array([None], kind)


def _batches() -> bytes:
    table = pa.table({"text": ["a" * 15 * MIB] * 20})
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return stream.getvalue()


def _texts() -> Iterator[Hostile]:
    """File by file: its name, its content, and how its rows must end."""
    zeros = bytes(MIB)
    fine = b'\n{"text": "fine"}\n'
    regular, unsafe = tarfile.REGTYPE, "unsafe-member"
    name = tarfile.TarInfo("x")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, MIB
    yield "fine.txt", lambda: b"fine", ["record"]
    yield "zeros.jsonl.gz", lambda: _gzipped(zeros, 256), ["decompression-bomb"]
    yield "zeros.csv.gz", lambda: _gzipped(zeros, 256), ["decompression-bomb"]
    yield "zeros.txt.gz", lambda: _gzipped(zeros, 256), ["too-large"]
    yield "zeros.tar.gz", lambda: _gzipped(zeros, 256), ["decompression-bomb"]
    yield "zeros.jsonl.zst", lambda: pa.Codec("zstd").compress(zeros * 256, asbytes=True), ["decompression-bomb"]
    yield "zeros.arrow", lambda: pa.Codec("zstd").compress(zeros * 256, asbytes=True), ["broken-arrow"]
    yield "twice.txt.gz", lambda: gzip.compress(_gzipped(zeros, 4)), ["binary"]
    yield "lists.jsonl", lambda: b'{"text": ' + b"[" * MIB + b"]" * MIB + b"}" + fine, ["broken-json", "record"]
    yield "objects.jsonl", lambda: b'{"a":' * MIB + b"1" + b"}" * MIB + fine, ["broken-json", "record"]
    yield "open.jsonl", lambda: b"[" * MIB + fine, ["broken-json", "record"]
    yield "digits.jsonl", lambda: b'{"text": "a", "n": ' + b"9" * MIB + b"}" + fine, ["broken-json", "record"]
    yield "long.jsonl", lambda: b'{"text": "' + b"a" * 40 * MIB + b'"}' + fine, ["too-large", "record"]
    yield "fields.csv", lambda: b"text,b\n" + b",".join([b"a"] * MIB) + b"\nfine,b\n", ["wrong-columns", "record"]
    yield "quotes.csv", lambda: b"text,b\n" + b'x","\n' * 40_000, ["broken-csv"]
    yield "lines.csv", lambda: b'text,b\n"' + b"\n" * 2 * MIB + b"fine,b\n", ["broken-csv", "record"]
    members = [(path, b"x", regular) for path in ("../../o.txt", "/etc/o.txt", "a/../../b.txt", "..\\w.txt")]
    links = [(f"{kind!r}.txt", b"", kind) for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)]
    yield "paths.tar", lambda: _tar(*members, ("fine.txt", b"fine", regular)), [unsafe] * 4 + ["record"]
    yield "links.tar", lambda: _tar(*links, ("fine.txt", b"fine", regular)), [unsafe] * 3 + ["record"]
    yield "names.tar", lambda: (name.tobuf() + b"n" * MIB) * 4 + _tar(("a.txt", b"fine", regular)), [unsafe]
    yield (
        "packed.parquet",
        lambda: _parquet(["a" * 15 * MIB] * 8, compression="zstd", use_dictionary=False),
        ["decompression-bomb"],
    )
    yield (
        "dictionary.parquet",
        lambda: _parquet(_dictionary(2_000, "a" * MIB), compression="zstd"),
        [
            "decompression-bomb",
            "record",
        ],
    )
    yield "deep.parquet", lambda: _parquet(_lists(900)), ["broken-parquet"]
    yield "packed.arrows", lambda: _batches(), ["absurd-size"]
    yield "a.zip", lambda: b"PK\x03\x04\0\0\0\0" + zlib.compress(zeros), ["binary"]


@cache
def _packed() -> bytes:
    return zlib.compress(bytes(256 * MIB), 1)


def _images() -> Iterator[Hostile]:
    rows = _chunk(b"IDAT", zlib.compress(bytes(4 * 13)))
    yield "fine.png", lambda: _saved(Image.new("RGB", (4, 4)), "PNG"), ["record"]
    yield "size.png", lambda: _png(60_000, 60_000, _chunk(b"IDAT", _packed())), ["image-too-large"]
    yield (
        "blank.webp",
        lambda: _saved(Image.new("RGB", (7_000, 7_000)), "WEBP", lossless=True, method=0),
        ["decompression-bomb"],
    )
    yield "blank.gif", lambda: _saved(Image.new("P", (7_000, 7_000)), "GIF"), ["decompression-bomb"]
    yield "scans.jpg", lambda: _scans(500), ["decompression-bomb"]
    yield "comment.png", lambda: _png(4, 4, _chunk(b"zTXt", b"k\0\0" + _packed()), rows), ["image-does-not-decode"]
    yield "profile.png", lambda: _png(4, 4, _chunk(b"iCCP", b"k\0\0" + _packed()), rows), ["image-does-not-decode"]
    yield "behind.png", lambda: _png(4, 4, _chunk(b"IDAT", _packed())), ["record"]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """How every file's rows ended, and the peak of the process in MiB."""
    folder = tmp_path_factory.mktemp("hostile")
    for place, files in (("texts", _texts()), ("images", _images())):
        (folder / place).mkdir()
        for name, content, _ in files:
            (folder / place / name).write_bytes(content())
    (folder / "texts" / "link.txt").symlink_to("/etc/passwd")
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)], capture_output=True, text=True, timeout=280, preexec_fn=_limits
    )
    assert child.returncode == 0, child.stderr[-2_000:]
    found: dict[str, Any] = json.loads(child.stdout)
    return found


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def _expected(files: Callable[[], Iterator[Hostile]]) -> list[Any]:
    return [pytest.param(name, ends, id=name) for name, _, ends in files()]


@pytest.mark.parametrize(("name", "ends"), [*_expected(_texts), *_expected(_images)])
def test_each_ends_as_it_must(answer: dict[str, Any], name: str, ends: list[str]) -> None:
    found = answer["told"][name]
    assert sorted(set(found)) == sorted(set(ends))
    assert found.count("record") >= ends.count("record")


def test_a_link_that_leads_out_is_not_followed(answer: dict[str, Any]) -> None:
    assert answer["told"]["link.txt"] == ["outside-the-source"]


def test_the_peak_stays_within_bounds(answer: dict[str, Any]) -> None:
    assert answer["peak"] < PEAK_MIB
