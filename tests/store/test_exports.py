"""Exports: what `datasets` finds in them, byte for byte the same each time."""

import io
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate.errors import BadDataError
from curate.store.exports.manifest import read_export_manifest
from curate.store.exports.plan import ExportPlan
from curate.store.exports.write import export_snapshot, is_complete
from curate.store.snapshots import Numbered, SnapshotSpec, draft_snapshot, latest_snapshot, snapshot_write
from curate.store.store import Store
from curate.store.write import Write

datasets = pytest.importorskip("datasets")

Add = Callable[..., int]
ODD = (
    "a: b", "it's", 'say "hi"', "null", "~", "1", "1.0", "yes", "- list", "# remark", "{a: 1}", "[b]", "%x", "@y", "`z",
    "", " space ", "tab\t", "line\nbreak", "back\\slash", "ünï ☃", "😀", "\x7f", "\x85", "\u2028", "nul\0", "!!str x",
    "&a",
)  # fmt: skip


def freeze(store: Store, spec: SnapshotSpec) -> Numbered:
    with store.reader() as reader:
        draft = draft_snapshot(reader, spec)
    store.commit(snapshot_write(draft, 1, 0))
    with store.reader() as reader:
        frozen = latest_snapshot(reader, spec.name)
    assert frozen is not None
    return frozen


def export(store: Store, spec: SnapshotSpec, folder: Path, declared: tuple[str, ...] = ()) -> Path:
    frozen = freeze(store, spec)
    with store.reader() as reader:
        plan = ExportPlan(frozen, spec.modality, declared)
        written = export_snapshot(reader, plan, folder)
    manifest = read_export_manifest(written)
    assert manifest is not None
    assert is_complete(manifest, frozen)
    return written


def content_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def load(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Callable[..., Mapping[str, Any]]:
    """Load an export with `datasets`, which must not find anything to complain about."""

    def from_disk(*arguments: str, **options: Any) -> Mapping[str, Any]:
        logging.getLogger("datasets").propagate = True
        loaded: Mapping[str, Any] = datasets.load_dataset(*arguments, cache_dir=str(tmp_path / "cache"), **options)
        assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
        return loaded

    return from_disk


Load = Callable[..., Mapping[str, Any]]


def files(folder: Path) -> dict[str, str]:
    return {path.name.split("-")[0]: str(path) for path in (folder / "data").iterdir()}


class TestTexts:
    """Texts with labels."""

    @pytest.fixture
    def spec(self, add: Add, make: Any) -> SnapshotSpec:
        ids = make.ids(*range(2_500))
        labels = [ODD[number % len(ODD)] for number in range(2_500)]
        add(items=make.items(ids), origins=make.origins(ids, licence="MIT"), annotations=make.claims(ids, labels))
        add(scores=make.scores(ids[:2_000], [number / 1_000 for number in range(2_000)]))
        return SnapshotSpec("texts", "text", label="topic")

    def test_labels_and_splits_are_found(self, store: Store, spec: SnapshotSpec, tmp_path: Path, load: Load) -> None:
        folder = export(store, spec, tmp_path / "exports", declared=("never used",))
        names = ["never used", *sorted(ODD)]
        for loaded in (load(str(folder)), load("parquet", data_files=files(folder))):
            assert set(loaded) == {"train", "validation", "test"}
            assert sum(len(loaded[split]) for split in loaded) == 2_500
            features = loaded["train"].features
            assert features["label"] == datasets.ClassLabel(names=names)
            assert list(features) == ["item_id", "text", "label", "score", "source", "licence"]
            row = loaded["train"][0]
            assert row["text"] == f"text of {row['item_id']}"
            assert (row["source"], row["licence"]) == ("web", "MIT")

    def test_every_item_keeps_its_label_and_split(
        self, store: Store, spec: SnapshotSpec, tmp_path: Path, load: Load
    ) -> None:
        loaded = load(str(export(store, spec, tmp_path / "exports")))
        with store.reader() as reader:
            held = reader.query("SELECT item_id, label, split FROM snapshot_items").to_pylist()
        expected = {row["item_id"]: (row["label"], row["split"]) for row in held}
        for split in loaded:
            label = loaded[split].features["label"]
            for row in loaded[split].select_columns(["item_id", "label"]):
                assert expected.pop(row["item_id"]) == (label.int2str(row["label"]), split)
        assert expected == {}

    def test_the_same_snapshot_gives_the_same_bytes(self, store: Store, spec: SnapshotSpec, tmp_path: Path) -> None:
        first = export(store, spec, tmp_path / "one")
        second = export(store, spec, tmp_path / "two")
        assert content_of(first) == content_of(second)
        assert sorted(content_of(first)) == [
            "README.md",
            "croissant.json",
            "data/test-00000-of-00001.parquet",
            "data/train-00000-of-00001.parquet",
            "data/validation-00000-of-00001.parquet",
            "manifest.json",
        ]

    def test_the_best_come_first(self, store: Store, add: Add, spec: SnapshotSpec, tmp_path: Path) -> None:
        ranked = SnapshotSpec("ranked", "text", order_by="align", splits={"train": 1.0})
        folder = export(store, ranked, tmp_path / "exports")
        table = pq.read_table(folder / "data" / "train-00000-of-00001.parquet")
        assert table["score"].to_pylist() == [number / 1_000 for number in reversed(range(2_000))]
        assert "label" not in table.column_names
        assert all(field.nullable for field in table.schema)


def test_unlabelled_items_have_no_class(store: Store, add: Add, make: Any, tmp_path: Path, load: Load) -> None:
    add(items=make.items(["a", "b"]), annotations=make.claims(["a"], "x"))
    frozen = freeze(store, SnapshotSpec("texts", "text", splits={"train": 1.0}))
    with store.reader() as reader:
        folder = export_snapshot(reader, ExportPlan(frozen, "text", ("x",)), tmp_path)
    assert load(str(folder))["train"].column_names == ["item_id", "text", "score", "source", "licence"]


def test_images_are_found(store: Store, add: Add, make: Any, tmp_path: Path, load: Load) -> None:
    pixels: list[bytes] = []
    for shade in range(6):
        buffer = io.BytesIO()
        Image.new("L", (3, 2), shade * 40).save(buffer, "PNG")
        pixels.append(buffer.getvalue())
    ids = make.ids(*range(6))
    add(items=make.items(ids, "image", image=pixels), annotations=make.claims(ids, list("001122")))
    folder = export(store, SnapshotSpec("pictures", "image", label="topic", splits={"train": 1.0}), tmp_path)
    for loaded in (load(str(folder)), load("parquet", data_files=files(folder))):
        train = loaded["train"]
        assert isinstance(train.features["image"], datasets.Image)
        assert train.features["label"] == datasets.ClassLabel(names=["0", "1", "2"])
        shades = {row["item_id"]: row["image"].getpixel((0, 0)) for row in train}
        assert shades == {item: shade * 40 for shade, item in enumerate(ids)}


def test_events_are_found(store: Store, add: Add, make: Any, tmp_path: Path, load: Load) -> None:
    events = [[{"time": 0.5, "type": 1}, {"time": 2.25, "type": 3}], [], None]
    add(items=make.items(["a", "b", "c"], "events", events=events, time_unit="days"))
    folder = export(store, SnapshotSpec("streams", "events", splits={"train": 1.0}), tmp_path)
    for loaded in (load(str(folder)), load("parquet", data_files=files(folder))):
        train = loaded["train"]
        assert train["events"][:] == events
        value = datasets.Value
        assert train.features["events"] == datasets.List({"time": value("float64"), "type": value("int32")})


class TestFolders:
    """An export goes on in a folder that is its own, and in no other."""

    @pytest.fixture
    def plan(self, store: Store, add: Add, make: Any) -> ExportPlan:
        add(items=make.items(["a"]))
        return ExportPlan(freeze(store, SnapshotSpec("texts", "text")), "text", ())

    def write(self, store: Store, plan: ExportPlan, folder: Path) -> Path:
        with store.reader() as reader:
            return export_snapshot(reader, plan, folder)

    @pytest.mark.parametrize("file", ["notes.txt", "manifest.json"])
    def test_a_strangers_folder_is_left_alone(self, store: Store, plan: ExportPlan, tmp_path: Path, file: str) -> None:
        (tmp_path / plan.folder_name).mkdir()
        (tmp_path / plan.folder_name / file).write_text('{"name": "my web app"}')
        with pytest.raises(BadDataError, match="is not an export of curate") as caught:
            self.write(store, plan, tmp_path)
        assert caught.value.hint
        assert [path.name for path in tmp_path.iterdir() if path.name != "store"] == [plan.folder_name]
        assert [path.name for path in (tmp_path / plan.folder_name).iterdir()] == [file]

    def test_a_strangers_file_is_left_alone(self, store: Store, plan: ExportPlan, tmp_path: Path) -> None:
        (tmp_path / plan.folder_name).write_text("mine")
        with pytest.raises(BadDataError):
            self.write(store, plan, tmp_path)
        assert (tmp_path / plan.folder_name).read_text() == "mine"

    def test_an_empty_folder_is_filled(self, store: Store, plan: ExportPlan, tmp_path: Path) -> None:
        (tmp_path / plan.folder_name).mkdir()
        assert (self.write(store, plan, tmp_path) / "manifest.json").exists()

    @pytest.mark.parametrize("content", ["", "[]", "null", '{"content_hash": 1}', '{"format": 2, "numbers": []}'])
    def test_a_damaged_manifest_is_no_export(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "manifest.json").write_text(content)
        assert read_export_manifest(tmp_path) is None

    def test_an_export_of_another_store_is_left_alone(
        self, store: Store, plan: ExportPlan, tmp_path: Path, make: Any
    ) -> None:
        written = self.write(store, plan, tmp_path)
        other = Store.open(tmp_path / "other", create=True)
        other.commit(Write("test", {"items": make.items(["b"])}))
        theirs = ExportPlan(freeze(other, SnapshotSpec("texts", "text")), "text", ())
        before = content_of(written)
        with pytest.raises(BadDataError, match="number 1 of another store's snapshot"):
            self.write(other, theirs, tmp_path)
        assert content_of(written) == before


def test_the_card_carries_no_clock(store: Store, add: Add, make: Any, tmp_path: Path) -> None:
    add(items=make.items(["a|b"]), origins=make.origins(["a|b"], "web|site"), annotations=make.claims(["a|b"], "x"))
    spec = SnapshotSpec("texts", "text", label="topic", splits={"train": 1.0})
    folder = export(store, spec, tmp_path)
    card = (folder / "README.md").read_text()
    other = Store.open(tmp_path / "other", create=True)
    tables = ("items", "origins", "annotations")
    with store.reader() as reader:
        contents = {name: reader.query(f"FROM {name}").drop_columns(["run_id", "commit_number"]) for name in tables}
    other.commit(Write("test", contents))
    assert (export(other, spec, tmp_path / "again") / "README.md").read_text() == card
    for part in ("1 items", "web\\|site", "not declared", "| rules | rule | 1 | 1 |", freeze_hash(card)):
        assert part in card


def freeze_hash(card: str) -> str:
    [line] = [line for line in card.splitlines() if line.startswith("Content hash")]
    return line.split("`")[1]
