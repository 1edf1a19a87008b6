"""Folders of Hugging Face datasets, written by `datasets` itself: only their data are read, and nothing twice."""

import io
import json
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Picture

from curate.store.ingestion.files import list_files
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.patterns import dataset_files
from curate.store.ingestion.read import read_file

TEXTS = Mapping(source="s", modality="text", label="label")


def _texts(count: int = 30) -> Dataset:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    return Dataset.from_dict(
        {"text": [f"text {n}" for n in range(count)], "label": [n % 2 for n in range(count)]}, features
    )


def _read(folder: Path | str, mapping: Mapping = TEXTS) -> tuple[list[str], list[str | None], list[str]]:
    files = list_files(folder, mapping)
    batches = [parsed for file in files for parsed in read_file(file, mapping)]
    assert all(parsed.rejects.num_rows == 0 for parsed in batches)
    labels = [label for parsed in batches for label in parsed.records["label"].to_pylist()]
    content = [value for parsed in batches for value in parsed.records[mapping.modality].to_pylist()]
    return [file.locator for file in files], labels, content


def test_a_saved_dataset(tmp_path: Path) -> None:
    _texts().save_to_disk(tmp_path / "saved", num_shards=2)
    locators, labels, texts = _read(tmp_path / "saved")
    assert locators == ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    assert labels == ["no", "yes"] * 15
    assert texts == [f"text {n}" for n in range(30)]


def test_shards_of_an_older_saving_are_left_out(tmp_path: Path) -> None:
    _texts().save_to_disk(tmp_path / "saved", num_shards=3)
    _texts().save_to_disk(tmp_path / "saved", num_shards=1)
    locators, labels, _ = _read(tmp_path / "saved")
    assert (locators, len(labels)) == (["data-00000-of-00001.arrow"], 30)


def test_saved_splits(tmp_path: Path) -> None:
    DatasetDict(train=_texts(), test=_texts(4)).save_to_disk(tmp_path / "saved")
    locators, labels, _ = _read(tmp_path / "saved")
    assert locators == ["test/data-00000-of-00001.arrow", "train/data-00000-of-00001.arrow"]
    assert len(labels) == 34


def test_saved_images(tmp_path: Path) -> None:
    pictures = [Picture.new("L", (4, 3), shade) for shade in range(5)]
    Dataset.from_dict({"image": pictures}, Features({"image": Image()})).save_to_disk(tmp_path / "saved")
    _, _, images = _read(tmp_path / "saved", Mapping(source="s", modality="image"))
    assert [Picture.open(io.BytesIO(image)).getpixel((0, 0)) for image in images] == list(range(5))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["data/train-00000-of-00001.parquet", "data/part.parquet", "fr/train-00000-of-00001.parquet"]
)
def test_a_folder_as_on_the_hub(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    _texts().to_parquet(path)
    (tmp_path / "README.md").write_text("# A dataset")
    (tmp_path / "croissant.json").write_text("{}")
    locators, labels, _ = _read(tmp_path)
    assert (locators, labels) == ([name], ["no", "yes"] * 15)


def test_a_dataset_behind_an_address(tmp_path: Path) -> None:
    import fsspec

    DatasetDict(train=_texts(), test=_texts(4)).save_to_disk(tmp_path / "saved")
    filesystem = fsspec.filesystem("memory")
    filesystem.put(str(tmp_path / "saved"), "/saved", recursive=True)
    locators, labels, _ = _read("memory://saved")
    filesystem.rm("/saved", recursive=True)
    assert locators == ["test/data-00000-of-00001.arrow", "train/data-00000-of-00001.arrow"]
    assert len(labels) == 34


def test_other_folders_are_no_datasets(tmp_path: Path) -> None:
    for name in ("README.md", "state.json", "notes/a.parquet.txt", "train.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    assert len(list_files(tmp_path, TEXTS)) == 4


def test_a_missing_shard_is_a_reject(tmp_path: Path) -> None:
    _texts().save_to_disk(tmp_path / "saved", num_shards=2)
    (tmp_path / "saved" / "data-00001-of-00002.arrow").unlink()
    _, missing = list_files(tmp_path / "saved", TEXTS)
    (parsed,) = read_file(missing, TEXTS)
    assert parsed.rejects["reason"].to_pylist() == ["unreadable"]


@pytest.mark.parametrize("listed", ["../../etc/passwd", "/etc/passwd", "a/b.arrow", ".hidden", 5, None])
def test_a_list_of_shards_cannot_climb_out(listed: object) -> None:
    names = ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"]
    state = json.dumps({"_data_files": [{"filename": listed}]}).encode()
    assert dataset_files(names, lambda _: state) in (["data-00000-of-00001.arrow"], [str(listed)])
    assert all("/" not in name and not name.startswith(".") for name in dataset_files(names, lambda _: state) or [])


@pytest.mark.parametrize("state", [b"", b"[]", b"{", b"[" * 10_000, b'{"_data_files": 5}', b"\xff"])
def test_a_broken_list_means_every_shard(state: bytes) -> None:
    names = ["state.json", "dataset_info.json", "data-00000-of-00001.arrow", "deeper/data.arrow"]
    assert dataset_files(names, lambda _: state) == ["data-00000-of-00001.arrow"]


ROWS = json.dumps([{"text": "one", "label": "no"}, {"text": "two", "label": "yes"}])


def _write(folder: Path, **files: str) -> None:
    for name, content in files.items():
        (folder / name.replace("__", "/").replace("_", ".")).parent.mkdir(exist_ok=True)
        (folder / name.replace("__", "/").replace("_", ".")).write_text(content)


@pytest.mark.parametrize("name", ["data_json", "data__train_json", "train_jsonl"])
def test_a_folder_made_by_hand_is_its_data_files(tmp_path: Path, name: str) -> None:
    rows = ROWS if name.endswith("json") else "\n".join(map(json.dumps, json.loads(ROWS)))
    _write(tmp_path, README_md="# Mine", LICENSE="MIT", **{name: rows})
    (tmp_path / "dataset_infos.json").write_text("{}")
    locators, labels, texts = _read(tmp_path)
    assert locators == [name.replace("__", "/").replace("_", ".")]
    assert (texts, labels) == (["one", "two"], ["no", "yes"])


def test_a_card_makes_a_folder_a_dataset_whatever_else_lies_there(tmp_path: Path) -> None:
    _write(tmp_path, README_md="---\nlicense: mit\n---\n# Mine", data_json=ROWS, more_txt="three", load_py="print()")
    locators, _, texts = _read(tmp_path)
    assert (locators, texts) == (["data.json", "more.txt"], ["one", "two", "three"])


def test_a_readme_among_texts_is_one_of_them(tmp_path: Path) -> None:
    _write(tmp_path, README_md="# Notes", data_json=ROWS, more_txt="three")
    assert _read(tmp_path)[0] == ["README.md", "data.json", "more.txt"]
