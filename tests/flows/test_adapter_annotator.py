"""A fitted classifier annotates what it was not fitted to, and what it claims never teaches it."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curate.errors import ConfigurationError, UnknownNameError, UsageError
from curate.flows.project import Project
from curate.flows.sequence import run_step
from curate.flows.steps import step_named
from curate.flows.steps.promoting import promote, roll_back
from curate.settings import load_settings
from curate.settings.teaching import with_annotator
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
WORDS = {
    "sea": ["sail", "anchor", "harbour", "wave", "tide", "gull", "mast", "rudder", "keel", "deck"],
    "land": ["field", "forest", "meadow", "plough", "fence", "barn", "orchard", "horse", "cart", "lane"],
}
SETTINGS = """
[[source]]
name = "notes"
path = "notes*.jsonl"
label = "topic"
attribute = "topic"

[[source]]
name = "later"
path = "later*.jsonl"

[dedup]
near = false

[protocol]
name = "notes"
version = "1"

[[protocol.attribute]]
name = "topic"
question = "What is it about?"
values = ["sea", "land"]

[[snapshot]]
name = "notes"
label = "topic"
strict = true
annotators = ["notes"]
splits = { train = 0.7, validation = 0.1, test = 0.2 }

[[adapter]]
name = "topics"
snapshot = "notes"
base = "base"
task = "text-classification"
parameters = { steps = 40, passes = 20, batch_size = 4 }

[[adapter]]
name = "style"
snapshot = "notes"
base = "base"
task = "causal-language-model"
parameters = { steps = 1 }
"""
ANNOTATOR = """
[[annotator]]
name = "pupil"
kind = "learner"
learner = "adapter:topics"
"""


def write_notes(folder: Path, count: int, file: str, seed: int) -> None:
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        topic = ("sea", "land")[number % 2]
        text = " ".join(chance.choice(WORDS[topic]) for _ in range(8))
        lines.append(json.dumps({"text": text, "topic": topic}))
    (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def opened(folder: Path, text: str = SETTINGS) -> Project:
    (folder / "curate.toml").write_text(text, encoding="utf-8")
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def run(folder: Path, *names: str, text: str = SETTINGS) -> dict[str, StepReport]:
    project = opened(folder, text)
    return {name: run_step(project, step_named(name), QUIET) for name in names}


def annotate(folder: Path, name: str = "adapter:topics", text: str = SETTINGS) -> StepReport:
    project = opened(folder, text)
    return run_step(
        Project(folder, with_annotator(project.settings, name), command="test"), step_named("annotate"), QUIET
    )


def ask(folder: Path, sql: str) -> list[dict[str, Any]]:
    with opened(folder).reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_models: Any) -> Path:
    """A project with fitted adapters, never to be written to."""
    folder = tmp_path_factory.mktemp("fitted") / "project"
    folder.mkdir()
    tiny_models.write_language_model(folder / "base", [word for words in WORDS.values() for word in words])
    write_notes(folder, 60, "notes.jsonl", 1)
    run(folder, "ingest", "snapshot", "train")
    write_notes(folder, 20, "later.jsonl", 2)
    run(folder, "ingest")
    return folder


@pytest.fixture
def folder(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "project"))


CLAIMS = "SELECT a.*, i.text FROM annotations a JOIN items i USING (item_id) WHERE annotator_kind = 'learner'"


def test_a_fitted_classifier_annotates_what_did_not_teach_it(folder: Path) -> None:
    report = annotate(folder)
    claims = ask(folder, CLAIMS)
    taught = {row["item_id"] for row in ask(folder, "FROM snapshot_items WHERE split = 'train'")}
    assert {claim["annotator"] for claim in claims} == {"adapter:topics"}
    assert not taught & {claim["item_id"] for claim in claims}
    assert len(claims) == 80 - len(taught)
    right = [set(claim["text"].split()) <= set(WORDS[claim["value"]]) for claim in claims]
    assert sum(right) / len(right) > 0.9
    assert "learner 'adapter:topics' after notes 1" in " ".join(report.notes)
    assert annotate(folder).done == 0


def test_it_is_an_annotator_of_each_walk_and_never_teaches_itself(folder: Path) -> None:
    assert run(folder, "annotate", text=SETTINGS + ANNOTATOR)["annotate"].details["pupil"] > 0
    assert run(folder, "snapshot", "train", text=SETTINGS + ANNOTATOR)["train"].idle
    with pytest.raises(ConfigurationError, match="would learn from its own claims"):
        opened(folder, SETTINGS.replace("strict = true\n", "") + ANNOTATOR)
    with pytest.raises(ConfigurationError, match="would learn from its own claims"):
        annotate(folder, text=SETTINGS.replace("strict = true\n", ""))


def test_only_classifiers_that_are_there_annotate(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="tells no classes apart"):
        annotate(folder, "adapter:style")
    with pytest.raises(UnknownNameError, match="known: adapter:topics"):
        annotate(folder, "adapter:topic")
    with pytest.raises(UnknownNameError, match="adapter:gone"):
        opened(folder, SETTINGS + ANNOTATOR.replace(":topics", ":gone"))


def test_an_item_longer_than_the_base_reads_is_a_failure(folder: Path) -> None:
    (folder / "later-long.jsonl").write_text(json.dumps({"text": " ".join(["sail"] * 70)}) + "\n", encoding="utf-8")
    run(folder, "ingest")
    report = annotate(folder)
    assert report.failed == 1
    assert "70 tokens" in ask(folder, "FROM failures")[0]["reason"]
    assert report.done > 0


def test_an_adapter_that_waits_for_its_first_fit_is_not_asked(folder: Path) -> None:
    report = annotate(folder, text=SETTINGS.replace("steps = 40", "steps = 41"))
    assert report.idle
    assert "has no checkpoint yet" in report.notes[0]


def test_an_adapter_is_promoted_and_rolled_back(folder: Path) -> None:
    project = opened(folder)
    with pytest.raises(UsageError, match="has served no other checkpoint"):
        roll_back(project, QUIET, "adapter:topics")
    write_notes(folder, 40, "notes-2.jsonl", 3)
    run(folder, "ingest", "snapshot", "train")
    first, second = ask(folder, "FROM checkpoints WHERE learner = 'adapter:topics' ORDER BY number")
    served = ask(folder, "FROM promotions WHERE learner = 'adapter:topics' ORDER BY turn")[-1]
    back = first if served["action"] == "promoted" else second
    report = promote(project, QUIET, "adapter:topics", back["checkpoint"][:12])
    assert report.details["served"] == back["checkpoint"]
    with pytest.raises(UnknownNameError, match="adapter:topics"):
        promote(project, QUIET, "topics")


def test_a_changed_base_model_begins_anew(folder: Path, tiny_models: Any) -> None:
    tiny_models.write_language_model(folder / "base", [word for words in WORDS.values() for word in words], seed=1)
    assert annotate(folder).idle
    assert set(run(folder, "train")["train"].details) == {"topics notes 1", "style notes 1"}


def test_images_are_told_apart(tmp_path: Path, tiny_models: Any) -> None:
    tiny_models.write_image_classifier(tmp_path / "base")
    for number in range(40):
        shade = number * 6
        target = tmp_path / "images" / ("dark" if shade < 120 else "light") / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 12), shade).save(target)
    text = """
[[source]]
name = "images"
path = "images"
modality = "image"
label = "folder"
attribute = "shade"
[dedup]
images = false
[protocol]
name = "shades"
version = "1"
[[protocol.attribute]]
name = "shade"
question = "How light is it?"
values = ["dark", "light"]
[[snapshot]]
name = "images"
modality = "image"
label = "shade"
strict = true
annotators = ["images"]
splits = { train = 0.6, validation = 0.2, test = 0.2 }
[[adapter]]
name = "shades"
snapshot = "images"
base = "base"
task = "image-classification"
parameters = { steps = 30, passes = 30, batch_size = 8 }
"""
    figures = run(tmp_path, "ingest", "snapshot", "train", text=text)["train"].details["shades images 1"]
    assert figures["accuracy"] > 0.8
    assert annotate(tmp_path, "adapter:shades", text).done > 0
