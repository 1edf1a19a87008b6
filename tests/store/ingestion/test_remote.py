"""Addresses of fsspec: a real S3 server in this process, HTTP on this machine, and memory."""

import functools
import gzip
import io
import json
import os
import socket
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import BadDataError, ConfigurationError, ServiceError
from curate.store.ingestion import remote
from curate.store.ingestion.files import list_files
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.read import read_file
from curate.store.ingestion.source_file import EmptySourceError, SourceFile

TEXTS = Mapping(source="s", modality="text")
LINES = "".join(json.dumps({"text": f"text {row}"}) + "\n" for row in range(500)).encode()


def _parquet(rows: int = 400) -> bytes:
    stream = io.BytesIO()
    table = pa.table({"text": [f"row {row}" for row in range(rows)], "ballast": [os.urandom(20_000)] * rows})
    pq.write_table(table, stream, row_group_size=100, use_dictionary=False, compression="none")
    return stream.getvalue()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for row in range(20):
            for name, content in ((f"{row}.npy", bytes(2**20)), (f"{row}.txt", b"text %d" % row)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


FILES = {
    "data/a.jsonl": LINES,
    "data/deep/b.jsonl.gz": gzip.compress(LINES),
    "data/deep/c.parquet": _parquet(),
    "data/d.tar": _tar(),
    "data/.hidden": b"x",
    "data/e.txt~": b"x",
    "elsewhere/note.txt": b"a note",
}


@pytest.fixture
def s3(make_bucket: Callable[..., Any]) -> Any:
    client = make_bucket()
    for name, content in FILES.items():
        client.put_object(Bucket="bucket", Key=name, Body=content)
    return client


@pytest.fixture
def memory() -> Iterator[None]:
    filesystem = fsspec.filesystem("memory")
    for name, content in FILES.items():
        filesystem.pipe_file(f"/bucket/{name}", content)
    yield
    filesystem.rm("/bucket", recursive=True)


@pytest.fixture(params=["s3", "memory"])
def base(request: pytest.FixtureRequest) -> str:
    """The address of the same files in each file system."""
    request.getfixturevalue(request.param)
    return f"{request.param}://bucket"


def _locators(files: list[SourceFile]) -> list[str]:
    return [file.locator for file in files]


def _texts(file: SourceFile) -> list[str]:
    return [text for parsed in read_file(file, TEXTS) for text in parsed.records["text"].to_pylist()]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("data", ["a.jsonl", "d.tar", "deep/b.jsonl.gz", "deep/c.parquet"]),
        ("data/", ["a.jsonl", "d.tar", "deep/b.jsonl.gz", "deep/c.parquet"]),
        ("data/a.jsonl", ["a.jsonl"]),
        ("data/*.jsonl*", ["a.jsonl"]),
        ("data/**/*.jsonl*", ["a.jsonl", "deep/b.jsonl.gz"]),
        ("*/*.txt", ["elsewhere/note.txt"]),
        ("data/.hidden", [".hidden"]),
    ],
)
def test_addresses(base: str, address: str, expected: list[str]) -> None:
    assert _locators(list_files(f"{base}/{address}", TEXTS)) == expected


def test_all_formats_are_read(base: str) -> None:
    counts = {file.locator: len(_texts(file)) for file in list_files(f"{base}/data", TEXTS)}
    assert counts == {"a.jsonl": 500, "deep/b.jsonl.gz": 500, "deep/c.parquet": 400, "d.tar": 20}


def test_folders_are_labels(base: str) -> None:
    assert [file.folder for file in list_files(f"{base}/data/**/*.gz", TEXTS)] == ["deep"]
    assert [file.folder for file in list_files(f"{base}/data/a.jsonl", TEXTS)] == ["data"]


def test_what_is_not_there_is_named(base: str) -> None:
    for address in ("nothing", "nothing/at/all.jsonl"):
        with pytest.raises(BadDataError, match="nothing exists at"):
            list_files(f"{base}/{address}", TEXTS)
    with pytest.raises(EmptySourceError, match="no file matches"):
        list_files(f"{base}/data/*.csv", TEXTS)
    with pytest.raises(EmptySourceError, match="'csv'"):
        list_files(f"{base}/data", Mapping(source="s", modality="text", format="csv"))


def test_fingerprints_stay_until_the_content_changes(s3: Any) -> None:
    (before,) = list_files("s3://bucket/elsewhere/*", TEXTS)
    (again,) = list_files("s3://bucket/elsewhere/*", TEXTS)
    assert before.fingerprint == again.fingerprint
    s3.put_object(Bucket="bucket", Key="elsewhere/note.txt", Body=b"A note")
    (after,) = list_files("s3://bucket/elsewhere/*", TEXTS)
    assert before.fingerprint != after.fingerprint
    assert _texts(after) == ["A note"]


def test_a_file_that_vanished_is_a_reject(s3: Any) -> None:
    for name in ("a.txt", "a.parquet"):
        s3.put_object(Bucket="bucket", Key=f"fading/{name}", Body=b"text")
        (file,) = list_files("s3://bucket/fading", TEXTS)
        s3.delete_object(Bucket="bucket", Key=f"fading/{name}")
        (parsed,) = read_file(file, TEXTS)
        (reject,) = parsed.rejects.to_pylist()
        assert (reject["reason"], reject["detail"]) == ("unreadable", "No such file or directory")


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of all ranges that were asked of S3."""
    import s3fs

    lengths: list[int] = []
    original = s3fs.S3File._fetch_range

    def counted(self: Any, start: int, end: int) -> bytes:
        lengths.append(end - start)
        return bytes(original(self, start, end))

    monkeypatch.setattr(s3fs.S3File, "_fetch_range", counted)
    return lengths


@pytest.mark.usefixtures("s3")
def test_of_parquet_only_the_columns_that_count_are_fetched(fetched: list[int]) -> None:
    (file,) = list_files("s3://bucket/data/**/*.parquet", TEXTS)
    assert len(_texts(file)) == 400
    assert sum(fetched) < file.size / 10


@pytest.mark.usefixtures("s3")
def test_a_stream_is_fetched_in_blocks(fetched: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_BLOCK_BYTES", 2**16)
    (file,) = list_files("s3://bucket/data/d.tar", TEXTS)
    assert len(_texts(file)) == 20
    assert max(fetched) < 2**18
    assert sum(fetched) < file.size / 4  # members that do not count are stepped over


def test_a_service_that_fails_does_not_spoil_the_file() -> None:
    class Failing:
        def open(self, *_: object, **__: object) -> "Failing":
            return self

        def read(self, _: int) -> bytes:
            raise RuntimeError("the service is tired")

        def seekable(self) -> bool:
            return True

        seek = read

        def close(self) -> None:
            pass

    for name in ("a.jsonl", "a.csv", "a.parquet", "a.arrow", "a.tar", "a.txt", "a.jsonl.gz"):
        file = remote.RemoteFile(name, "1-x", 1, path=name, filesystem=Failing())
        with pytest.raises(ServiceError, match="the service is tired"):
            list(read_file(file, TEXTS))


@pytest.mark.parametrize("address", ["s3://key:secret@bucket/data", "ftp://someone@example.org/x"])
def test_secrets_are_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        list_files(address, TEXTS)
    assert "secret@" not in str(caught.value)


def test_unknown_addresses_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="nope"):
        list_files("nope://bucket/data", TEXTS)


def test_file_addresses_are_paths(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    assert _locators(list_files(f"file://{tmp_path}", TEXTS)) == ["a.txt"]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine over a folder."""
    (tmp_path / "a.jsonl").write_bytes(LINES)
    handler = functools.partial(_QuietHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _QuietHandler(SimpleHTTPRequestHandler):
    def send_head(self) -> Any:
        if self.path == "/tired":
            self.send_error(503)
            return None
        return super().send_head()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_http(web: str) -> None:
    (file,) = list_files(f"{web}/a.jsonl", TEXTS)
    assert file.locator == "a.jsonl"
    assert file.fingerprint
    assert len(_texts(file)) == 500
    with pytest.raises(BadDataError, match="nothing exists"):
        list_files(f"{web}/nothing.jsonl", TEXTS)


def test_a_web_server_that_refuses_may_be_there_later(web: str) -> None:
    (file,) = list_files(f"{web}/a.jsonl", TEXTS)
    with pytest.raises(ServiceError, match="503"):
        list_files(f"{web}/tired", TEXTS)
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unheard.getsockname()[1]}/a.jsonl"
        with pytest.raises(ServiceError, match=r"Cannot connect to host 127\.0\.0\.1") as refused:
            list_files(nobody, TEXTS)
        with pytest.raises(ServiceError, match="Cannot connect"):
            list(read_file(replace(cast(remote.RemoteFile, file), path=nobody), TEXTS))
    assert refused.value.exit_code == 7
    with pytest.raises(ServiceError, match="nowhere"):
        list_files("http://nowhere.invalid/a.jsonl", TEXTS)
