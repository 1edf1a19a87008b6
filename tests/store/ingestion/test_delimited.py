"""CSV: what a record becomes, and that a missing quote costs one line."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.store.ingestion.canonical import canonical_text, text_id

Read = Callable[..., Any]
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
FIELD = st.text(st.sampled_from('ab,;"\n\r\t é'), max_size=8)


def _write(folder: Path, *lines: str | bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(b"\r\n".join(line.encode() if isinstance(line, str) else line for line in lines))
    return path


def _rejects(reading: Any) -> list[tuple[str, str]]:
    return [(reject["locator"], reject["reason"]) for reject in reading.rejects]


def test_a_record_becomes_a_record(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, "\ufeffid,text,kind,z", "", '7,"a ""b""\r\nc, d",yes,é')
    (record,) = read(path, identifier="id", label="kind", metadata=("z",), licence="CC0").records
    assert record == {
        "item_id": text_id('a "b"\nc, d'),
        "modality": "text",
        "text": 'a "b"\nc, d',
        "image": None,
        "events": None,
        "time_unit": None,
        "size": 10,
        "locator": "a.csv#3",
        "entity": "s:7",
        "licence": "CC0",
        "metadata": '{"z":"é"}',
        "label": "yes",
    }


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_tells_the_delimiter(tmp_path: Path, read: Read, delimiter: str) -> None:
    path = _write(tmp_path, delimiter.join(("a,b" if delimiter != "," else "a", "text")), delimiter.join(("1", "x")))
    assert read(path).column("text") == ["x"]
    assert read(_write(tmp_path, delimiter.join(("n", "m")))).reasons == ["missing-column"]


@pytest.mark.parametrize(
    ("line", "reason", "words"),
    [
        ("a", "wrong-columns", "1 columns where the header has 2; the line is 'a'"),
        ("a,b,c", "wrong-columns", "3 columns"),
        ('"a,b', "broken-csv", "'\"a,b'"),
        ('"a"b,c', "broken-csv", "expected after"),
        (",b", "empty-text", ""),
        (b"caf\xe9,b", "not-utf-8", "byte 3"),
        (b"a,\xff", "not-utf-8", "label is no UTF-8"),
        (b"a\0,b", "binary", ""),
        ("x" * 70 + ",b", "too-large", ""),
    ],
)
def test_a_bad_record_costs_its_own_line(
    tmp_path: Path, read: Read, line: str | bytes, reason: str, words: str
) -> None:
    path = _write(tmp_path, "text,label", "before,1", line, "after,2", '"last ""one""",3')
    reading = read(path, label="label", item_bytes=60)
    assert _rejects(reading) == [("a.csv#3", reason)]
    assert words in reading.rejects[0]["detail"]
    assert reading.column("text") == ["before", "after", 'last "one"']
    assert reading.column("locator") == ["a.csv#2", "a.csv#4", "a.csv#5"]


def test_a_quote_that_never_closes_is_not_loaded_whole(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, "text,n", '"open,1', *(f"text {row},{row}" for row in range(20_000)), "end,1")
    reading = read(path, item_bytes=1_000)
    assert _rejects(reading) == [("a.csv#2", "broken-csv")]
    assert len(reading.records) == 20_001


def test_a_header_that_will_not_do_is_one_reject(tmp_path: Path, read: Read) -> None:
    assert read(_write(tmp_path, "text,text", "a,b")).reasons == ["ambiguous-column"]
    assert read(_write(tmp_path, "text,b", "a,b"), metadata=("c",)).reasons == ["missing-column"]
    assert read(_write(tmp_path, '"text', "a")).reasons == ["missing-column"]
    assert read(_write(tmp_path, "x" * 100, "a"), item_bytes=50).reasons == ["too-large"]
    assert read(_write(tmp_path, "", " "), item_bytes=50).reasons == []


@SAME_FOLDER
@given(rows=st.lists(st.tuples(FIELD, FIELD), max_size=12), start=st.integers(0, 14))
def test_what_python_writes_is_read(tmp_path: Path, read: Read, rows: list[tuple[str, str]], start: int) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([("text", "id"), *rows])
    (tmp_path / "a.csv").write_bytes(stream.getvalue().encode())
    reading = read(tmp_path / "a.csv", identifier="id", batch_rows=5)
    expected = [canonical_text(text) for text, _ in rows if canonical_text(text).strip()]
    assert reading.column("text") == expected
    assert set(reading.reasons) <= {"empty-text"}
    assert len(reading.records) + len(reading.rejects) == len(rows)
    again = read(tmp_path / "a.csv", start_row=start, identifier="id")
    assert again.records == [row for row in reading.records if int(row["locator"].partition("#")[2]) > start]


@SAME_FOLDER
@given(content=st.binary() | st.text(st.sampled_from('ab,"\n\r')).map(lambda text: ("text,b\n" + text).encode()))
def test_any_bytes_become_records_or_rejects(tmp_path: Path, read: Read, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    reading = read(tmp_path / "a.csv")
    numbers = [int(row["locator"].partition("#")[2] or 1) for row in reading.records + reading.rejects]
    assert len(numbers) == len(set(numbers))
