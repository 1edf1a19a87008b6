"""JSON files: arrays of objects, objects one after the other, and what of them is refused."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.store.ingestion.json_values import _PIECE_BYTES

Read = Callable[..., Any]
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
OBJECTS = [{"text": 'a "quoted" \\ text\n'}, {"text": "brackets }]{[", "label": "x"}, {"label": ["deep", {"a": [1]}]}]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def _write(folder: Path, content: str | bytes, name: str = "a.json") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(OBJECTS),
        json.dumps(OBJECTS, indent=2),
        "\ufeff" + json.dumps(OBJECTS, indent="\t").replace("\n", "\r\n"),
        "\n".join(map(json.dumps, OBJECTS)),
        "".join(json.dumps(value, indent=1) for value in OBJECTS),
        "".join(json.dumps([value]) for value in OBJECTS),
    ],
    ids=["array", "indented", "marked", "lines", "one after the other", "arrays"],
)
def test_objects_are_records(tmp_path: Path, read: Read, content: str) -> None:
    reading = read(_write(tmp_path, content))
    assert reading.column("text") == ['a "quoted" \\ text\n', "brackets }]{["]
    assert reading.column("locator") == ["a.json#1", "a.json#2"]
    assert [(reject["locator"], reject["reason"]) for reject in reading.rejects] == [("a.json#3", "missing-text")]


def test_one_object_is_one_record(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, json.dumps({"text": "a", "label": "x"}, indent=2))
    (record,) = read(path, label="label").records
    assert (record["text"], record["label"], record["entity"]) == ("a", "x", "")


def test_as_a_text_it_stays_whole(tmp_path: Path, read: Read) -> None:
    assert read(_write(tmp_path, "[{}]"), format="text").column("text") == ["[{}]"]


@pytest.mark.parametrize("content", ["", " \n", "[]", "[\n]\n"])
def test_nothing_in_it_is_nothing(tmp_path: Path, read: Read, content: str) -> None:
    assert read(_write(tmp_path, content)).batches[0].complete


@pytest.mark.parametrize(
    ("broken", "reason", "words"),
    [
        ('{"text": "bro},', "broken-json", "Unterminated string"),
        ('{"text": bro},', "broken-json", "Expecting value"),
        ('{"text": [1},', "broken-json", "Expecting"),
        ('{"text" "a"},', "broken-json", "Expecting"),
        ("bro,", "broken-json", "'bro'"),
        ("},", "broken-json", "'}'"),
        ('"a ] text",', "not-an-object", "a ] text"),
        ("[[{}], 1],", "not-an-object", "[[{}], 1]"),
        ('{"text": 5},', "not-text", "'5'"),
        ('{"text": " "},', "empty-text", ""),
        ('{"text": "' + "x" * 200 + '"},', "too-large", "100 bytes"),
        ('{"text": ' + "[" * 50 + '"]" ' + "]" * 50 + "},", "too-large", "100 bytes"),
    ],
)
def test_what_is_malformed_is_refused_alone(tmp_path: Path, read: Read, broken: str, reason: str, words: str) -> None:
    path = _write(tmp_path, f'[\n {{"text": "before"}},\n {broken}\n {{"text": "after"}}\n]\n')
    reading = read(path, item_bytes=100)
    (reject,) = reading.rejects
    assert (reject["locator"], reject["reason"]) == ("a.json#2", reason)
    assert reject["detail"].startswith("line 3: ")
    assert words in reject["detail"]
    assert reading.column("text") == ["before", "after"]


def test_bytes_that_are_no_utf8_cost_their_object(tmp_path: Path, read: Read) -> None:
    reading = read(_write(tmp_path, b'[{"text": "\xff"}, {"text": "b"}]'))
    assert (reading.reasons, reading.column("text")) == (["not-utf-8"], ["b"])


@pytest.mark.parametrize("end", ["", ",", ', {"text": "b', ', {"text": "b\\'])
def test_an_array_that_is_cut_off_says_so(tmp_path: Path, read: Read, end: str) -> None:
    reading = read(_write(tmp_path, '[\n{"text": "a"}' + end))
    assert reading.column("text") == ["a"]
    assert set(reading.reasons) == {"broken-json"}
    assert "the file ends, and the array does not" in reading.rejects[-1]["detail"]


@pytest.mark.parametrize("tail", [b'"', b'\\"', b"\\\\", "ä".encode() * 3])
def test_values_may_lie_across_pieces(tmp_path: Path, read: Read, tail: bytes) -> None:
    text = "x" * (_PIECE_BYTES - 30) + tail.decode() * 40
    objects = [{"text": text}, {"text": text[:-1] + "y"}, {"text": "last"}]
    assert read(_write(tmp_path, json.dumps(objects, ensure_ascii=False))).column("text") == [
        value["text"] for value in objects
    ]


def test_it_may_be_packed_and_read_on_later(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, gzip.compress(json.dumps([{"text": str(row)} for row in range(50)]).encode()), "a.json.gz")
    batches = read(path, batch_rows=20).batches
    rest = read(path, batches[0].next_row, batch_rows=20)
    assert rest.column("text") == [str(row) for row in range(20, 50)]


def test_memory_is_bounded_by_one_value(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.json"
    with path.open("w") as stream:
        stream.write('[{"text": "a"}, {"text": "' + "x" * 2**26 + '"}, ')
        stream.writelines('{"text": "b", "ballast": "' + "y" * 1000 + '"},\n' for _ in range(2**12))
        stream.write('{"text": "c"}]')
    tracemalloc.start()
    reading = read(path, item_bytes=10_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reading.reasons == ["too-large"]
    assert len(reading.records) == 2**12 + 2
    assert peak < 2**25


def test_event_sequences_come_in_arrays(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, '[{"events": [[1, 2], [3, 4]]}, {"events": [[5, 6]]}]')
    assert [len(record["events"]) for record in read(path, modality="events").records] == [2, 1]


@settings(SAME_FOLDER, max_examples=40)
@given(values=st.lists(VALUES, max_size=8), indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_every_value_is_a_row(tmp_path: Path, read: Read, values: list[Any], indent: int, ascii_only: bool) -> None:
    path = _write(tmp_path, json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace"))
    reading = read(path, batch_rows=3)
    numbers = [int(row["locator"].partition("#")[2]) for row in (*reading.records, *reading.rejects)]
    assert sorted(numbers) == list(range(1, len(values) + 1))


@SAME_FOLDER
@given(content=st.binary() | st.text(alphabet='[]{}",:\\ \na1').map(str.encode))
def test_any_bytes_end_as_rows(tmp_path: Path, read: Read, content: bytes) -> None:
    reading = read(_write(tmp_path, content))
    assert reading.records == []
    assert all(reject["detail"] for reject in reading.rejects)
