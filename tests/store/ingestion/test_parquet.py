"""Parquet: every type that may hold an item, Hugging Face's conventions, and damage."""

import datetime
import decimal
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.store.ingestion import batches, parquet
from curate.store.ingestion.canonical import canonical_json, events_id, image_id, text_id
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.metadata import json_objects

Read = Callable[..., Any]
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def _write(folder: Path, table: pa.Table | dict[str, Any], **options: Any) -> Path:
    path = folder / "a.parquet"
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), path, **options)
    return path


def test_a_row_becomes_a_record(tmp_path: Path, read: Read) -> None:
    path = _write(tmp_path, {"text": ["a", "b\r\n"], "id": [1, 2], "y": ["no", "yes"], "z": [0.5, None]})
    record = read(path, identifier="id", label="y", metadata=("z", "id")).records[1]
    assert record == {
        "item_id": text_id("b\n"),
        "modality": "text",
        "text": "b\n",
        "image": None,
        "events": None,
        "time_unit": None,
        "size": 2,
        "locator": "a.parquet#2",
        "entity": "s:2",
        "licence": "",
        "metadata": '{"id":2,"z":null}',
        "label": "yes",
    }


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(),
     pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.large_string())],
    ids=str,
)  # fmt: skip
def test_text_of_any_type(tmp_path: Path, read: Read, kind: pa.DataType) -> None:
    reading = read(_write(tmp_path, {"text": pa.array(["one", "one", None, "zwölf"]).cast(kind)}))
    assert reading.column("text") == ["one", "one", "zwölf"]
    assert [(reject["locator"], reject["reason"]) for reject in reading.rejects] == [("a.parquet#3", "missing-text")]


def test_bad_texts_are_rejects_and_their_neighbours_stay(tmp_path: Path, read: Read) -> None:
    values = pa.array([b"a", b"caf\xe9", b"", b"nul\0", b"x" * 100, b"\xed\xa0\x80", None, b"b\r"], pa.binary())
    reading = read(_write(tmp_path, {"text": values}), item_bytes=50)
    assert reading.column("text") == ["a", "b\n"]
    reasons = ["not-utf-8", "empty-text", "binary", "too-large", "not-utf-8", "missing-text"]
    assert reading.reasons == reasons
    assert [reject["locator"] for reject in reading.rejects] == [f"a.parquet#{row}" for row in range(2, 8)]


def test_a_string_column_with_bytes_that_are_no_utf8(tmp_path: Path, read: Read) -> None:
    lies = pa.array([b"a", b"\xff", b"b"]).view(pa.string())
    reading = read(_write(tmp_path, {"text": lies}))
    assert (reading.column("text"), reading.reasons) == (["a", "b"], ["not-utf-8"])
    options = {"label": "other", "identifier": "other", "metadata": ("other",)}
    reading = read(_write(tmp_path, {"text": ["x", "y", "z"], "other": lies}), **options)
    assert (reading.column("text"), reading.reasons) == (["x", "z"], ["not-utf-8"])


@pytest.mark.parametrize(
    ("options", "reason", "words"),
    [
        ({"text": "body"}, "missing-column", "'body'; there are text, n, list"),
        ({"label": "class"}, "missing-column", "'class'"),
        ({"metadata": ("n", "m")}, "missing-column", "'m'"),
        ({"text": "n"}, "not-text", "int64"),
        ({"label": "list"}, "invalid-label", "list"),
        ({"identifier": "list"}, "invalid-identifier", "list"),
        ({"modality": "image", "image": "n"}, "not-an-image", "int64"),
        ({"modality": "events", "events": "list"}, "invalid-events", "list"),
    ],
)
def test_a_file_that_does_not_fit_the_mapping_is_one_reject(
    tmp_path: Path, read: Read, options: dict[str, Any], reason: str, words: str
) -> None:
    reading = read(_write(tmp_path, {"text": ["a", "b"], "n": [1, 2], "list": [[1], [2]]}), **options)
    assert reading.records == []
    (reject,) = reading.rejects
    assert (reject["locator"], reject["reason"]) == ("a.parquet", reason)
    assert words in reject["detail"]


def test_a_column_twice_is_a_reject(tmp_path: Path, read: Read) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"])
    assert read(_write(tmp_path, table)).reasons == ["ambiguous-column"]


def _with_class_label(labels: list[int | None], names: list[str]) -> pa.Table:
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = pa.table({"text": [f"text {position}" for position in range(len(labels))], "label": labels})
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def test_hugging_face_class_labels_get_their_names(tmp_path: Path, read: Read) -> None:
    reading = read(_write(tmp_path, _with_class_label([1, 0, -1, None, 2], ["no", "yes"])), label="label")
    assert reading.column("label") == ["yes", "no", None, None]
    assert [(reject["locator"], reject["reason"]) for reject in reading.rejects] == [("a.parquet#5", "invalid-label")]


def test_integer_labels_without_names_are_their_digits(tmp_path: Path, read: Read) -> None:
    table = _with_class_label([1, 0, None], ["no", "yes"]).replace_schema_metadata({"huggingface": "{nonsense"})
    assert read(_write(tmp_path, table), label="label").column("label") == ["1", "0", None]


def test_a_label_may_be_the_folder(tmp_path: Path, read: Read) -> None:
    assert read(_write(tmp_path, {"text": ["a"]}), label="folder").column("label") == [tmp_path.name]


def _png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (3, 2), shade).save(stream, "PNG")
    return stream.getvalue()


def test_images_in_hugging_faces_struct(tmp_path: Path, read: Read) -> None:
    images = [
        {"bytes": _png(1), "path": "x.png"},
        {"bytes": None, "path": "y.png"},
        None,
        {"bytes": b"?", "path": None},
    ]
    reading = read(_write(tmp_path, {"image": images}), modality="image")
    assert reading.column("image") == [_png(1)]
    assert reading.column("item_id") == [image_id(Image.new("L", (3, 2), 1))]
    assert reading.reasons == ["missing-image", "missing-image", "image-does-not-decode"]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.binary())], ids=str)
def test_images_as_plain_bytes(tmp_path: Path, read: Read, kind: pa.DataType) -> None:
    path = _write(tmp_path, {"image": pa.array([_png(1), _png(2)], pa.binary()).cast(kind)})
    assert read(path, modality="image").column("image") == [_png(1), _png(2)]


@pytest.mark.parametrize("time", [pa.float32(), pa.int64(), pa.uint8(), pa.decimal128(10, 2)], ids=str)
@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float64()], ids=str)
@pytest.mark.parametrize("container", [pa.list_, pa.large_list, lambda value: pa.list_(value, 2)])
def test_events_of_any_numeric_type(
    tmp_path: Path, read: Read, time: pa.DataType, kind: pa.DataType, container: Callable[[pa.DataType], pa.DataType]
) -> None:
    values = [[{"type": 2, "time": 3}, {"type": 1, "time": 1}], None, [{"type": 0, "time": 4}, {"type": 0, "time": 4}]]
    kind = container(pa.struct([("type", kind), ("time", time)]))
    reading = read(_write(tmp_path, {"events": pa.array(values, kind)}), modality="events")
    assert reading.column("item_id") == [events_id([(3.0, 2), (1.0, 1)], "days"), events_id([(4.0, 0)] * 2, "days")]
    assert reading.column("size") == [24, 24]
    assert reading.reasons == ["missing-events"]


def test_bad_events_refuse_their_own_sequence_only(tmp_path: Path, read: Read) -> None:
    kind = pa.list_(pa.struct([("time", pa.float64()), ("type", pa.float64())]))
    bad = [(float("nan"), 1), (float("inf"), 1), (1, 0.5), (1, 2**31), (None, 1), (1, None), (1, float("nan"))]
    values: list[Any] = [[{"time": time, "type": number}] for time, number in bad]
    values = [[{"time": 1, "type": 1}], *values, [None], [], [{"time": 2, "type": -(2**31)}]]
    reading = read(_write(tmp_path, {"events": pa.array(values, kind)}), modality="events")
    assert [events[0]["time"] for events in reading.column("events")] == [1.0, 2.0]
    assert reading.reasons == ["invalid-events"] * 8 + ["empty-events"]


SCALARS = [
    (st.text(), pa.string()),
    (st.integers(-(2**63), 2**63 - 1), pa.int64()),
    (st.booleans(), pa.bool_()),
    (st.floats(), pa.float64()),
    (st.lists(st.text() | st.none()), pa.list_(pa.string())),
    (st.binary(), pa.binary()),
    (st.dates(), pa.date32()),
    (st.decimals(-1000, 1000, places=2), pa.decimal128(10, 2)),
]


@pytest.mark.parametrize(("values", "kind"), SCALARS, ids=[str(kind) for _, kind in SCALARS])
@given(data=st.data())
def test_metadata_is_canonical_json(values: st.SearchStrategy[Any], kind: pa.DataType, data: st.DataObject) -> None:
    column = data.draw(st.lists(values | st.none(), max_size=5))
    name = data.draw(st.text(max_size=5))
    array = pa.array(column, kind)
    found = json_objects({name: array, "\U0010ffff": array}, {}).to_pylist()
    assert found == [canonical_json({name: value, "\U0010ffff": value}) for value in column]


def test_times_in_metadata_are_text(tmp_path: Path, read: Read) -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    columns = {"text": ["a"], "t": pa.array([moment], pa.timestamp("ns", "UTC")), "d": [decimal.Decimal("1.50")]}
    path = _write(tmp_path, columns)
    assert read(path, metadata=("t", "d")).column("metadata") == ['{"d":"1.50","t":"2026-01-02 03:04:05.000000000Z"}']


TABLE = pa.table(
    {
        "text": [f"text number {row}" for row in range(400)],
        "label": [row % 3 for row in range(400)],
        "image": [{"bytes": b"x" * row, "path": None} for row in range(400)],
        "events": [[{"time": 1.0 * at, "type": at} for at in range(row % 4)] for row in range(400)],
    }
)


def _parquet(**options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(TABLE, stream, **options)
    return stream.getvalue()


FILES = (_parquet(row_group_size=100), _parquet(compression="none", use_dictionary=False, write_page_checksum=True))


@pytest.mark.parametrize(
    ("length", "reason"),
    [(0, "broken-parquet"), (3, "broken-parquet"), (4, "broken-parquet"), (8, "truncated-parquet"),
     (1000, "truncated-parquet"), (len(FILES[0]) - 1, "truncated-parquet")],
)  # fmt: skip
def test_a_truncated_file_is_one_reject(tmp_path: Path, read: Read, length: int, reason: str) -> None:
    (tmp_path / "a.parquet").write_bytes(FILES[0][:length])
    reading = read(tmp_path / "a.parquet")
    assert reading.records == []
    assert [(reject["locator"], reject["reason"]) for reject in reading.rejects] == [("a.parquet", reason)]


def test_damage_in_the_middle_costs_its_row_group_only(tmp_path: Path, read: Read) -> None:
    content = bytearray(FILES[0])
    group = pq.ParquetFile(pa.BufferReader(FILES[0])).metadata.row_group(2).column(0)
    start = group.dictionary_page_offset
    content[start : start + group.total_compressed_size] = bytes(group.total_compressed_size)
    (tmp_path / "a.parquet").write_bytes(content)
    reading = read(tmp_path / "a.parquet", batch_rows=60)
    texts = TABLE["text"].to_pylist()
    assert reading.column("text") == texts[:200] + texts[300:]
    (reject,) = reading.rejects
    assert (reject["locator"], reject["reason"]) == ("a.parquet#201", "broken-parquet")
    assert reject["detail"].startswith("rows 201 to 300: ")
    assert read(tmp_path / "a.parquet", start_row=300).column("text") == texts[300:]


@SAME_FOLDER
@given(
    content=st.sampled_from(FILES),
    flips=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 7)), min_size=1, max_size=8),
    modality=st.sampled_from(["text", "image", "events"]),
)
def test_flipped_bits_never_raise(
    tmp_path: Path, read: Read, content: bytes, flips: list[tuple[int, int]], modality: str
) -> None:
    damaged = bytearray(content)
    for position, bit in flips:
        damaged[position % len(damaged)] ^= 1 << bit
    (tmp_path / "a.parquet").write_bytes(damaged)
    read(tmp_path / "a.parquet", modality=modality, label="label", metadata=("label",))


@SAME_FOLDER
@given(content=st.binary() | st.binary().map(lambda body: b"PAR1" + body + b"PAR1"))
def test_any_bytes_are_one_reject(tmp_path: Path, read: Read, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    assert len(read(tmp_path / "a.parquet").reasons) == 1


def _footer_with(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A Parquet file whose footer says something else."""
    length = int.from_bytes(content[-8:-4], "little")
    footer = change(content[-8 - length : -8])
    return content[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _number(value: int) -> bytes:
    """A number as Thrift's compact protocol writes it."""
    value = (value << 1) ^ (value >> 63)
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


@pytest.mark.parametrize("claim", [2**20 * 3, 2**40, 2**62, -5])
def test_absurd_numbers_of_rows_are_refused(tmp_path: Path, read: Read, claim: int) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": [f"text {row}" for row in range(12_345)]}), stream)
    lies = _footer_with(stream.getvalue(), lambda footer: footer.replace(_number(12_345), _number(claim)))
    assert lies != stream.getvalue()
    (tmp_path / "a.parquet").write_bytes(lies)
    reading = read(tmp_path / "a.parquet")
    assert len(reading.records) in (0, 12_345)
    assert reading.reasons[-1] in ("absurd-size", "broken-parquet")
    assert len(reading.rejects) == 1


def test_true_but_absurd_numbers_of_rows_are_refused_at_once(tmp_path: Path, read: Read) -> None:
    with pq.ParquetWriter(tmp_path / "a.parquet", pa.schema([("text", pa.string())])) as writer:
        for _ in range(3):
            writer.write_table(pa.table({"text": pa.nulls(1_000_000, pa.string())}))
    assert read(tmp_path / "a.parquet").reasons == ["absurd-size"]


def test_row_groups_that_hold_less_than_they_say(tmp_path: Path, read: Read) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": [f"text {row}" for row in range(300)]}), stream, row_group_size=150)
    lies = _footer_with(stream.getvalue(), lambda footer: footer.replace(_number(150), _number(170)))
    (tmp_path / "a.parquet").write_bytes(lies)
    reading = read(tmp_path / "a.parquet")
    assert len(reading.records) + 20 * 2 >= 300
    assert set(reading.reasons) == {"broken-parquet"}


def test_what_unpacks_to_more_than_memory_is_not_unpacked(tmp_path: Path, read: Read) -> None:
    table = pa.table({"text": ["x" * 2**20] * 100})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    assert (tmp_path / "a.parquet").stat().st_size < 2**17
    before = pa.default_memory_pool().max_memory()
    assert read(tmp_path / "a.parquet").reasons == ["decompression-bomb"]
    assert pa.default_memory_pool().max_memory() <= max(before, 2**24)


class TestManyTinyRowGroups:
    """Thousands of row groups of one row each are read as what they are together, and each is damaged for itself."""

    TEXTS = tuple(f"text number {row}" for row in range(2_000))

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return _write(tmp_path, {"text": self.TEXTS}, row_group_size=1, use_dictionary=False, compression="none")

    def test_few_readings_and_few_tables(self, file: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
        asked, joined = [], []
        concat, runs = batches.pa.concat_tables, parquet._Groups._batches
        monkeypatch.setattr(parquet._Groups, "_batches", lambda *given: asked.append(1) or runs(*given))
        monkeypatch.setattr(batches.pa, "concat_tables", lambda tables: joined.extend(tables) or concat(tables))
        reading = read(file)
        assert reading.column("text") == list(self.TEXTS)
        assert reading.column("locator")[-1] == "a.parquet#2000"
        assert len(asked) <= 2
        assert len(joined) <= 2 * len(asked)
        assert read(file, start_row=1_990).column("text") == list(self.TEXTS[1_990:])

    def test_damage_costs_the_rows_of_its_group_only(self, file: Path, read: Read) -> None:
        content = bytearray(file.read_bytes())
        column = pq.read_metadata(file).row_group(700).column(0)
        content[column.data_page_offset : column.data_page_offset + 8] = b"\xff" * 8
        file.write_bytes(content)
        reading = read(file)
        assert reading.column("text") == [text for row, text in enumerate(self.TEXTS) if row != 700]
        assert [(reject["locator"], reject["reason"]) for reject in reading.rejects] == [
            ("a.parquet#701", "broken-parquet")
        ]

    def test_a_text_that_a_whole_group_repeats_is_not_multiplied(self, tmp_path: Path, read: Read) -> None:
        """What groups can hold together stays below a chunk: each may repeat its dictionary's text in every row."""
        path = _write(tmp_path, {"text": ["x" * 100_000] * 400}, row_group_size=20, compression="none")
        metadata = pq.read_metadata(path)
        assert metadata.row_group(0).total_byte_size < 101_000
        runs = list(parquet._runs(metadata))
        assert [group.number for run in runs for group in run] == list(range(20))
        assert max(len(run) for run in runs) <= 8
        assert len(read(path).records) == 400


def test_small_tables_are_put_together_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader may yield any number of small tables; what is held of a batch is not copied with each."""
    joined: list[pa.Table] = []
    concat = batches.pa.concat_tables
    monkeypatch.setattr(batches.pa, "concat_tables", lambda tables: joined.extend(tables) or concat(tables))
    row = {"text": "x", "size": 1, "row": 0}
    tables = [pa.Table.from_pylist([row | {"row": number}], batches.ROWS) for number in range(500)]
    mapping = Mapping(source="s", modality="text", batch_rows=200)
    assert [len(parsed.records) for parsed in batches.group(tables, mapping, 0)] == [200, 200, 100]
    assert len(joined) == 500
