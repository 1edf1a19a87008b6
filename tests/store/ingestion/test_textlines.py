"""Plain lines: each is a text, whatever is wrong with its neighbours."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.store.ingestion.files import list_files
from curate.store.ingestion.mapping import Mapping

Read = Callable[..., Any]


def test_each_line_is_a_text(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\n\n  two \n \t\nthrée".encode())
    reading = read(path, format="lines")
    assert reading.column("text") == ["one", "  two ", "thrée"]
    assert reading.column("locator") == ["a.txt#1", "a.txt#3", "a.txt#5"]
    assert reading.column("entity") == ["", "", ""]
    assert reading.rejects == []


def test_what_is_wrong_with_a_line_is_said_of_it_alone(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"one\n\xff\n" + b"x" * 50 + b"\na\0b\ntwo\n")
    reading = read(path, format="lines", item_bytes=20)
    assert reading.column("text") == ["one", "two"]
    rejects = [(row["locator"], row["reason"]) for row in reading.rejects]
    assert rejects == [("a.log#2", "not-utf-8"), ("a.log#3", "too-large"), ("a.log#4", "binary")]


@pytest.mark.parametrize("start", [0, 3, 4, 9])
def test_reading_goes_on_anywhere(tmp_path: Path, read: Read, start: int) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"".join(b"line %d\n" % number for number in range(10))))
    reading = read(path, start, format="lines", batch_rows=2)
    assert reading.column("text") == [f"line {number}" for number in range(start, 10)]


def test_a_folder_gives_every_file(tmp_path: Path) -> None:
    for name in ("a.log", "b.txt", "c"):
        (tmp_path / name).write_text("one\n")
    files = list_files(tmp_path, Mapping(source="s", modality="text", format="lines"))
    assert [file.locator for file in files] == ["a.log", "b.txt", "c"]
