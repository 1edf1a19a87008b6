"""The same rows in further formats, as the tools that they are for read them."""

import base64
import io
import json
import tarfile
import xml.etree.ElementTree
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import mlcroissant
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.store.answers import read_answers
from curate.store.exports import parts
from curate.store.exports.check import check_export
from curate.store.exports.formats import image_ending
from curate.store.exports.manifest import read_export_manifest
from curate.store.exports.pieces import Workers
from curate.store.exports.plan import ExportPlan
from curate.store.exports.rows import OrderedRows
from curate.store.exports.target import Target
from curate.store.reader import Reader
from curate.store.snapshots import SnapshotSpec, draft_snapshot, latest_snapshot, snapshot_write
from curate.store.store import Store
from curate.store.write import Write
from curate.store.write import rows as table_rows

Add = Callable[..., int]
Export = Callable[..., Path]
ALL = ("jsonl", "webdataset", "label-studio")
TEXTS = SnapshotSpec("texts", "text", label="topic", splits={"train": 0.7, "test": 0.3})


@pytest.fixture
def texts(add: Add, make: Any, export: Export, tmp_path: Path) -> Path:
    """Sixty texts in all formats, in several shards."""
    ids = make.ids(*range(60))
    add(items=make.items(ids, size=1_000), origins=make.origins(ids, licence="MIT"))
    add(annotations=make.claims(ids, list("ab<") * 20, confidence=0.75))
    add(annotations=make.claims(ids[:6], "a", annotator="eva", kind="human"))
    attributes = {
        "protocol": "p", "protocol_version": "1", "attribute": ["topic"], "question": 'Which "topic"?',
        "values": [["a", "b", "<"]],
    }  # fmt: skip
    add(attributes=table_rows("attributes", attributes, 1))
    return export(TEXTS, tmp_path / "exports", formats=ALL, shard_bytes=20_000, check=check_export)


def parquet_rows(folder: Path) -> list[dict[str, Any]]:
    manifest = read_export_manifest(folder)
    assert manifest is not None
    found = []
    for shard in manifest.listed:
        for row in pq.read_table(folder / shard.files["parquet"].path).to_pylist():
            found.append({**row, "label": manifest.class_names[row["label"]]})
    return found


def test_large_snapshots_are_cut_into_shards(texts: Path) -> None:
    names = sorted(path.name for path in (texts / "data").iterdir())
    assert names == [
        *(f"test-{number:05d}-of-00002.parquet" for number in range(2)),
        *(f"train-{number:05d}-of-00003.parquet" for number in range(3)),
    ]
    manifest = read_export_manifest(texts)
    assert manifest is not None
    assert manifest.splits == {"train": 37, "test": 23}
    assert [shard.rows for shard in manifest.listed] == [13, 12, 12, 12, 11]


def test_json_lines_say_the_same(texts: Path) -> None:
    lines = [json.loads(line) for path in sorted((texts / "jsonl").iterdir()) for line in path.open(encoding="utf-8")]
    expected = {row["item_id"]: row for row in parquet_rows(texts)}
    assert {line["item_id"]: line for line in lines} == expected
    assert len(lines) == 60


def test_webdataset_tars_are_read_by_datasets(texts: Path, tmp_path: Path) -> None:
    files = {"train": [str(path) for path in sorted((texts / "webdataset").glob("train-*.tar"))]}
    loaded = datasets.load_dataset("webdataset", data_files=files, cache_dir=str(tmp_path / "cache"))["train"]
    expected = {row["item_id"]: row for row in parquet_rows(texts)}
    assert len(loaded) == 37
    for row in loaded:
        assert row["__key__"] == row["json"]["item_id"]
        assert row["txt"] == expected[row["__key__"]]["text"]
        assert row["json"]["label"] == expected[row["__key__"]]["label"]


def test_tars_carry_no_clock_and_no_owner(texts: Path) -> None:
    for path in (texts / "webdataset").iterdir():
        with tarfile.open(path) as tar:
            assert {(entry.mtime, entry.uid, entry.uname, entry.mode) for entry in tar} == {(0, 0, "", 0o644)}


def test_tasks_carry_claims_as_predictions_that_fit_the_interface(texts: Path) -> None:
    tasks = [task for path in sorted((texts / "label-studio").glob("*.json")) for task in json.loads(path.read_bytes())]
    assert {task["data"]["item_id"] for task in tasks} == {row["item_id"] for row in parquet_rows(texts)}
    view = xml.etree.ElementTree.fromstring((texts / "label-studio" / "labelling.xml").read_text())
    [shown], [choices] = view.findall("Text"), view.findall("Choices")
    assert (shown.get("name"), shown.get("value")) == ("text", "$text")
    values = [choice.get("value") for choice in choices]
    assert values == ["a", "b", "<"]
    for task in tasks:
        for prediction in task["predictions"]:
            [result] = prediction["result"]
            assert (result["from_name"], result["to_name"]) == (choices.get("name"), choices.get("toName"))
            assert result["value"]["choices"][0] in values
    by_annotator = [prediction["model_version"] for task in tasks for prediction in task["predictions"]]
    assert (by_annotator.count("rules 1"), by_annotator.count("eva 1")) == (60, 6)
    assert {prediction["score"] for task in tasks for prediction in task["predictions"]} == {0.75, 1.0}


def test_answers_to_the_tasks_come_back(texts: Path) -> None:
    path = next((texts / "label-studio").glob("test-*.json"))
    tasks = json.loads(path.read_bytes())
    for task in tasks:
        task["annotations"] = [{"completed_by": 3, "result": task["predictions"][0]["result"]}]
    answers, unusable = read_answers(json.dumps(tasks).encode(), {"topic": ["a", "b", "<"]})
    assert not unusable
    claimed = {task["data"]["item_id"]: task["predictions"][0]["result"][0]["value"]["choices"][0] for task in tasks}
    assert {answer.item_id: answer.value for answer in answers} == claimed


def test_a_format_can_be_added_later(
    add: Add, make: Any, export: Export, freeze: Any, content_of: Any, tmp_path: Path
) -> None:
    ids = make.ids(*range(9))
    add(items=make.items(ids), annotations=make.claims(ids, "a"))
    frozen = freeze(TEXTS)
    plain = export(TEXTS, tmp_path / "plain", frozen)
    before = content_of(plain)
    export(TEXTS, tmp_path / "plain", frozen, formats=("jsonl",), check=check_export)
    after = content_of(plain)
    assert {path: data for path, data in before.items() if path != "manifest.json"}.items() < after.items()
    assert after == content_of(export(TEXTS, tmp_path / "at-once", frozen, formats=("jsonl",)))


class TestCroissant:
    """What mlcroissant, the reference implementation, makes of the description."""

    def test_it_is_valid_and_finds_every_row(self, texts: Path) -> None:
        described = mlcroissant.Dataset(jsonld=texts / "croissant.json")
        assert not described.metadata.ctx.issues.errors
        assert described.metadata.license == ["MIT"]
        expected = parquet_rows(texts)
        for split, count in (("train", 37), ("test", 23)):
            found = {record[f"{split}/item_id"].decode(): record for record in described.records(split)}
            assert len(found) == count
            for row in (row for row in expected if row["item_id"] in found):
                assert found[row["item_id"]][f"{split}/text"].decode() == row["text"]

    def test_it_names_only_the_newest_shards(self, texts: Path, add: Add, make: Any, export: Export) -> None:
        add(
            decisions=make.decisions(make.ids(*range(60)), "drop"),
            items=make.items(["new"]),
            annotations=make.claims(["new"], "a"),
        )
        export(TEXTS, texts.parent, check=check_export)
        described = mlcroissant.Dataset(jsonld=texts / "croissant.json")
        [split] = [record_set.id for record_set in described.metadata.record_sets]
        assert [record[f"{split}/item_id"] for record in described.records(split)] == [b"new"]

    def test_images_come_back(self, pictures: Path) -> None:
        described = mlcroissant.Dataset(jsonld=pictures / "croissant.json")
        assert not described.metadata.ctx.issues.errors
        shades = {record["train/item_id"].decode(): record["train/image"] for record in described.records("train")}
        assert sorted(np.asarray(image.convert("L"))[0, 0].item() for image in shades.values()) == [0, 40, 80, 120]


@pytest.fixture
def pictures(add: Add, make: Any, export: Export, tmp_path: Path) -> Path:
    """Four images, each in a format of its own."""
    ids = make.ids(*range(4))
    content = []
    for shade, name in enumerate(("PNG", "JPEG", "GIF", "WEBP")):
        buffer = io.BytesIO()
        Image.new("L", (3, 2), shade * 40).save(buffer, name, **({"lossless": True} if name == "WEBP" else {}))
        content.append(buffer.getvalue())
    add(items=make.items(ids, "image", image=content, size=10), annotations=make.claims(ids, list("0011")))
    spec = SnapshotSpec("pictures", "image", label="topic", splits={"train": 1.0})
    return export(spec, tmp_path / "exports", formats=ALL, check=check_export)


def test_images_in_every_format(pictures: Path, tmp_path: Path) -> None:
    expected = {row["item_id"]: row["image"]["bytes"] for row in parquet_rows(pictures)}
    lines = [json.loads(line) for path in (pictures / "jsonl").iterdir() for line in path.open(encoding="utf-8")]
    assert {line["item_id"]: base64.b64decode(line["image"]) for line in lines} == expected
    [path] = (pictures / "webdataset").iterdir()
    with tarfile.open(path) as tar:
        endings = sorted(name.partition(".")[2] for name in tar.getnames())
        held = {name.partition(".")[0]: tar.extractfile(name).read() for name in tar.getnames() if "json" not in name}  # type: ignore[union-attr]
    assert endings == sorted(["png", "jpg", "gif", "webp", *["json"] * 4])
    assert held == expected
    [path] = (pictures / "label-studio").glob("*.json")
    shown = {task["data"]["item_id"]: task["data"]["image"] for task in json.loads(path.read_bytes())}
    assert {item: base64.b64decode(image.partition(",")[2]) for item, image in shown.items()} == expected


def test_events_in_every_format(add: Add, make: Any, export: Export, tmp_path: Path) -> None:
    events = [[{"time": 0.5, "type": 1}], [{"time": 2.25, "type": 3}, {"time": 3.0, "type": 1}]]
    add(items=make.items(["a", "b"], "events", events=events, time_unit="days"))
    spec = SnapshotSpec("streams", "events", splits={"train": 1.0})
    folder = export(spec, tmp_path / "exports", formats=ALL, check=check_export)
    [path] = (folder / "jsonl").iterdir()
    assert [json.loads(line)["events"] for line in path.open(encoding="utf-8")] == events
    assert not mlcroissant.Dataset(jsonld=folder / "croissant.json").metadata.ctx.issues.errors


@pytest.mark.parametrize(("content", "ending"), [(b"\xff\xd8\xff\xe0", "jpg"), (b"RIFF....WEBP", "webp"), (b"", "bin")])
def test_an_image_says_its_own_ending(content: bytes, ending: str) -> None:
    assert image_ending(content) == ending


def rows_in_order(
    reader: Reader, plan: ExportPlan, scratch: Path, memory: int
) -> list[tuple[parts.Part, list[dict[str, Any]]]]:
    with ThreadPoolExecutor(2) as threads:
        workers = Workers(threads, reader)
        target = Target(reader, plan, workers)
        ordered = OrderedRows(target, plan, np.zeros(len(target.rows), np.bool_), scratch, workers, memory)
        ordered.wait()
        stored = int(target.sizes.sum()) > memory
        assert any(scratch.iterdir()) == stored
        found = [(part, [group.to_pydict() for group in ordered.groups(at)]) for at, part in enumerate(ordered.parts)]
    assert not any(scratch.iterdir())
    return found


SHARDS = given(
    scores=st.lists(st.none() | st.sampled_from([0.5, -0.0, 0.0, 1.0, -3.25]), min_size=1, max_size=40),
    shard_bytes=st.integers(100, 5_000),
    group_rows=st.integers(1, 7),
)


@settings(max_examples=6)
@SHARDS
def test_rows_out_of_memory_and_out_of_files_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, make: Any, **drawn: Any
) -> None:
    check_rows(tmp_path_factory, make, **drawn)


@pytest.mark.slow
@settings(max_examples=60)
@SHARDS
def test_many_more_rows_are_the_same(tmp_path_factory: pytest.TempPathFactory, make: Any, **drawn: Any) -> None:
    check_rows(tmp_path_factory, make, **drawn)


def check_rows(
    tmp_path_factory: pytest.TempPathFactory, make: Any, scores: list[float | None], shard_bytes: int, group_rows: int
) -> None:
    store = Store.open(tmp_path_factory.mktemp("store") / "store", create=True)
    ids = make.ids(*range(len(scores)))
    sources = [f"s{number % 3}" for number in range(len(ids))]
    tables = {"items": make.items(ids, size=50), "origins": make.origins(ids, sources)}
    store.commit(Write("test", tables))
    ranked = [(item, score) for item, score in zip(ids, scores, strict=True) if score is not None]
    if ranked:
        store.commit(
            Write("test", {"scores": make.scores([item for item, _ in ranked], [score for _, score in ranked])})
        )
    spec = SnapshotSpec("texts", "text", order_by="" if len(ranked) < len(ids) else "align")
    with store.reader() as reader:
        store.commit(snapshot_write(draft_snapshot(reader, spec), 1, 0))
    with pytest.MonkeyPatch.context() as patch, store.reader() as reader:
        patch.setattr(parts, "GROUP_ROWS", group_rows)
        frozen = latest_snapshot(reader, "texts")
        assert frozen is not None
        plan = ExportPlan(frozen, "text", (), shard_bytes=shard_bytes)
        found = []
        for memory in (2**30, 0, 120):
            found.append(rows_in_order(reader, plan, tmp_path_factory.mktemp("scratch"), memory))
    assert found[0] == found[1] == found[2]
    held = {
        row: source
        for part, groups in found[0]
        for group in groups
        for row, source in zip(group["item_id"], group["source"], strict=True)
    }
    assert held == dict(zip(ids, sources, strict=True))
