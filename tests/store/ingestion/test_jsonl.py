"""JSON Lines: what a line becomes, and that no line gets lost."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.store.ingestion.canonical import events_id, text_id

Read = Callable[..., Any]
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
DOCUMENTS = st.dictionaries(st.sampled_from(["text", "id", "label", "meta"]), VALUES).map(json.dumps).map(str.encode)


def _write(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "a.jsonl"
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines))
    return path


def test_a_line_becomes_a_record(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, "", '{"text": "a\\r\\nb", "id": 7, "label": "yes", "z": [1, null], "b": "é", "other": 1}')
    (record,) = read(path, identifier="id", label="label", metadata=("z", "b", "absent"), licence="CC0").records
    assert record == {
        "item_id": text_id("a\nb"),
        "modality": "text",
        "text": "a\nb",
        "image": None,
        "events": None,
        "time_unit": None,
        "size": 3,
        "locator": "a.jsonl#2",
        "entity": "s:7",
        "licence": "CC0",
        "metadata": '{"b":"é","z":[1,null]}',
        "label": "yes",
    }


@pytest.mark.parametrize(
    ("line", "reason", "words"),
    [
        (b'{"text": "a"', "broken-json", 'at column 13; it begins \'{"text": "a"\''),
        (b'{"text": "bro', "broken-json", "Unterminated string at column 10"),
        (b"\x1b[2J", "broken-json", "\\x1b[2J"),
        (b"[1]", "not-an-object", "[1]"),
        (b"{}", "missing-text", "'text'"),
        (b'{"text": null}', "missing-text", ""),
        (b'{"text": NaN}', "missing-text", ""),
        (b'{"text": 5}', "not-text", "'5'"),
        (b'{"text": " \\n"}', "empty-text", ""),
        (b'{"text": "a\\u0000"}', "binary", "byte 1"),
        (b'{"text": "\xff"}', "not-utf-8", "byte 10"),
        (b'{"text": "\\ud800"}', "not-utf-8", "lone surrogate"),
        (b'{"text": "a", "label": "\\udc00"}', "not-utf-8", "lone surrogate"),
        (b'{"text": "a", "label": [1]}', "invalid-label", "[1]"),
        (b'{"text": "a", "id": {}}', "invalid-identifier", "{}"),
        (b"[" * 100_000, "broken-json", "deeply"),
        (b'{"text": ' + b"1" * 5_000 + b"}", "broken-json", ""),
    ],
)
def test_what_a_line_can_lack(tmp_path: Path, read: Read, line: bytes, reason: str, words: str) -> None:
    reading = read(_write(tmp_path, '{"text": "before"}', line, '{"text": "after"}'), label="label", identifier="id")
    (reject,) = reading.rejects
    assert (reject["locator"], reject["reason"]) == ("a.jsonl#2", reason)
    assert words in reject["detail"]
    assert len(reject["detail"]) < 400
    assert reject["detail"].isprintable()
    assert reading.column("text") == ["before", "after"]
    assert reading.column("locator") == ["a.jsonl#1", "a.jsonl#3"]


@pytest.mark.parametrize(
    ("value", "label"),
    [('"x"', "x"), ("3", "3"), ("true", "true"), ("1.5", "1.5"), ("null", None), ("NaN", None), ('""', None)],
)
def test_labels_are_strings_or_nothing(tmp_path: Path, read: Read, value: str, label: str | None) -> None:
    path = _write(tmp_path, f'{{"text": "a", "label": {value}}}')
    assert read(path, label="label").column("label") == [label]


def test_emoji_written_as_surrogate_pairs_are_text(tmp_path: Path, read: Read) -> None:
    assert read(_write(tmp_path, '{"text": "\\ud83d\\ude00"}')).column("text") == ["😀"]


def test_byte_order_marks_and_crlf_do_not_matter(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, b'\xef\xbb\xbf{"text": "a"}\r', b"\xef\xbb\xbf\r", b'\xef\xbb\xbf{"text": "b"}\r')
    assert read(path).column("locator") == ["a.jsonl#1", "a.jsonl#3"]


def test_a_line_that_is_too_long_is_not_loaded(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, '{"text": "a"}', b'{"text": "' + b"x" * 2**24 + b'"}', '{"text": "b"}')
    tracemalloc.start()
    reading = read(path, item_bytes=100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reading.column("text") == ["a", "b"]
    assert [(reject["locator"], reject["reason"]) for reject in reading.rejects] == [("a.jsonl#2", "too-large")]
    assert peak < 2**23


def test_the_limit_is_the_lines_length_without_its_end(tmp_path: Path, read: Read) -> None:
    line = '{"text": "a"}'
    assert read(_write(tmp_path, line, line), item_bytes=len(line)).reasons == []
    assert read(_write(tmp_path, line, line), item_bytes=len(line) - 1).reasons == ["too-large"] * 2


def test_event_sequences_come_as_objects_or_pairs(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, '{"events": [{"time": 2, "type": 1}, [1.5, -3], [2e3, 4.0]]}')
    (record,) = read(path, modality="events", time_unit="hours").records
    assert record["events"] == [{"time": 2.0, "type": 1}, {"time": 1.5, "type": -3}, {"time": 2000.0, "type": 4}]
    assert record["item_id"] == events_id([(2.0, 1), (1.5, -3), (2000.0, 4)], "hours")
    assert (record["time_unit"], record["size"]) == ("hours", 36)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ("null", "missing-events"),
        ("[]", "empty-events"),
        ("5", "invalid-events"),
        ("[[1]]", "invalid-events"),
        ("[[1, 2, 3]]", "invalid-events"),
        ('[[1, "a"]]', "invalid-events"),
        ("[[1, true]]", "invalid-events"),
        ("[[NaN, 1]]", "invalid-events"),
        ("[[1e999, 1]]", "invalid-events"),
        ("[[1" + "0" * 400 + ", 1]]", "invalid-events"),
        ("[[1, 1.5]]", "invalid-events"),
        ("[[1, 2147483648]]", "invalid-events"),
        ("[[1, -2147483649]]", "invalid-events"),
        ('[[1, 1], {"time": 1}]', "invalid-events"),
    ],
)
def test_what_is_no_event_sequence_is_a_reject(tmp_path: Path, read: Read, events: str, reason: str) -> None:
    path = _write(tmp_path, '{"events": [[1, 1]]}', f'{{"events": {events}}}', '{"events": [[2, 2]]}')
    reading = read(path, modality="events")
    assert [(reject["locator"], reject["reason"]) for reject in reading.rejects] == [("a.jsonl#2", reason)]
    assert [row["events"][0]["type"] for row in reading.records] == [1, 2]


@SAME_FOLDER
@given(lines=st.lists(DOCUMENTS | st.binary().map(lambda line: line.replace(b"\n", b"")), max_size=30))
@pytest.mark.parametrize("modality", ["text", "events"])
def test_every_line_ends_as_record_or_reject(tmp_path: Path, read: Read, modality: str, lines: list[bytes]) -> None:
    options = {"modality": modality, "identifier": "id", "label": "label", "metadata": ("meta",), "batch_rows": 7}
    reading = read(_write(tmp_path, *lines), **options)
    numbers = sorted(int(row["locator"].partition("#")[2]) for row in reading.records + reading.rejects)
    bom = b"\xef\xbb\xbf"
    assert numbers == [number for number, line in enumerate(lines, 1) if line.removeprefix(bom).strip()]
