"""The demo's project on disk: every reader is used, what lies there stays, and settings and files fit together."""

import json
from pathlib import Path

import pytest

from curate.demo import corpus, digits, inbox
from curate.demo.language_model import LanguageModel, choose
from curate.demo.pieces import Piece
from curate.errors import ConfigurationError, UsageError
from curate.settings import load_settings
from curate.types import SilentProgress

_NO_MODEL = LanguageModel("none", available=False)


@pytest.fixture
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the search of the installation by three texts a kind, the only slow part."""

    def few(kind: str) -> list[Piece]:
        return [Piece(kind, f"{kind}/{number}", f"{kind} text {number} " * 20) for number in range(3)]

    monkeypatch.setattr(corpus, "pool", few)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.usefixtures("few_texts")
def test_every_format_is_written_and_a_second_time_nothing(tmp_path: Path) -> None:
    assert inbox.write_project(tmp_path, _NO_MODEL)
    assert inbox.deliver_texts(tmp_path, SilentProgress())
    before = _files(tmp_path)
    assert {"curate.toml", "target.jsonl", "inbox/code.jsonl", "inbox/documents.parquet"} < set(before)
    assert "inbox/prose/english/0002.txt" in before
    assert not inbox.write_project(tmp_path, _NO_MODEL)
    assert not inbox.deliver_texts(tmp_path, SilentProgress())
    assert _files(tmp_path) == before


@pytest.mark.usefixtures("few_texts")
def test_what_is_missing_is_written_and_what_lies_there_stays(tmp_path: Path) -> None:
    inbox.deliver_texts(tmp_path, SilentProgress())
    (tmp_path / "inbox" / "code.jsonl").write_text("mine\n")
    (tmp_path / "target.jsonl").unlink()
    (tmp_path / "inbox" / ".prose.partial").mkdir()
    assert inbox.deliver_texts(tmp_path, SilentProgress())
    assert (tmp_path / "inbox" / "code.jsonl").read_text() == "mine\n"
    assert len((tmp_path / "target.jsonl").read_text().splitlines()) == len(corpus.target())


@pytest.mark.usefixtures("few_texts")
def test_some_input_is_broken_on_purpose(tmp_path: Path) -> None:
    inbox.deliver_texts(tmp_path, SilentProgress())
    *whole, broken, without_text = (tmp_path / "inbox" / "code.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in whole] == ["python"] * 3 + ["c"] * 3
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)
    assert "text" not in json.loads(without_text)
    with pytest.raises(UnicodeDecodeError):
        (tmp_path / "inbox" / "prose" / "english" / "picture.txt").read_text("utf-8")


def test_the_settings_are_valid_with_and_without_a_model(tmp_path: Path) -> None:
    for name, model in {"with": LanguageModel("embedded"), "without": _NO_MODEL}.items():
        inbox.write_project(tmp_path / name, model)
        settings = load_settings(tmp_path / name / "curate.toml")
        annotators = [annotator.name for annotator in settings.annotator]
        assert annotators == (["patterns", "language-model"] if name == "with" else ["patterns"])
        assert {source.format for source in settings.source} >= {"auto", "text"}


def test_a_foreign_project_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "curate.toml").write_text("store = 'precious'\n")
    with pytest.raises(UsageError, match="did not write"):
        inbox.write_project(tmp_path, _NO_MODEL)
    assert _files(tmp_path) == {"curate.toml": b"store = 'precious'\n"}


def test_digits_arrive_class_by_class_as_they_are_in_scikit_learn(tmp_path: Path) -> None:
    from PIL import Image
    from sklearn.datasets import load_digits

    folder = tmp_path / "inbox"
    assert not digits.arrived(folder, (2, 3))
    bunch = load_digits()
    labelled = [place for place in range(len(bunch.target)) if place % 4]
    assert digits.deliver(folder, (2, 3)) == sum(bunch.target[place] in (2, 3) for place in labelled)
    assert digits.arrived(folder, (2, 3))
    assert not digits.arrived(folder, (3, 4))
    first = sorted((folder / "digits" / "2").glob("*.png"))[0]
    expected = (bunch.images[int(first.stem)] * 255 / 16).round()
    with Image.open(first) as image:
        assert image.tobytes() == expected.astype("uint8").tobytes()


def test_some_digits_of_all_classes_arrive_unlabelled_and_only_so(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    folder = tmp_path / "inbox"
    assert digits.deliver_unlabelled(folder) == 450
    assert digits.deliver_unlabelled(folder) == 0
    digits.deliver(folder, tuple(range(10)))
    unlabelled = {file.name for file in (folder / "unlabelled-digits").iterdir()}
    labelled = {file.name for file in (folder / "digits").rglob("*.png")} - {"half.png"}
    assert len(unlabelled) == 450
    target = load_digits().target
    assert len(labelled) + 450 == len(target)
    assert not unlabelled & labelled
    assert {target[int(Path(name).stem)] for name in unlabelled} == set(range(10))


def test_half_an_image_arrives_with_the_zeros(tmp_path: Path) -> None:
    from PIL import Image

    digits.deliver(tmp_path / "inbox", (0,))
    with pytest.raises(OSError, match="truncated"), Image.open(tmp_path / "inbox/digits/0/half.png") as image:
        image.load()


def test_the_increments_are_all_ten_digits_once() -> None:
    assert sorted(digit for classes in digits.INCREMENTS for digit in classes) == list(range(10))


def test_an_address_in_the_environment_wins_and_needs_a_model(tmp_path: Path) -> None:
    named = {"DEMO_LLM_ADDRESS": "http://127.0.0.1:1/v1", "DEMO_LLM_MODEL": 'a "quoted" name'}
    inbox.write_project(tmp_path, choose(named))
    [annotator] = [one for one in load_settings(tmp_path / "curate.toml").annotator if one.kind == "llm"]
    assert (annotator.address, annotator.model) == (named["DEMO_LLM_ADDRESS"], named["DEMO_LLM_MODEL"])
    with pytest.raises(ConfigurationError, match="DEMO_LLM_MODEL"):
        choose({"DEMO_LLM_ADDRESS": "http://127.0.0.1:1/v1"})


def test_a_missing_model_is_said_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.demo.language_model.find_spec", lambda name: None)
    model = choose({})
    assert not model.available
    assert model.section == ""
    assert "xllamacpp" in model.note
