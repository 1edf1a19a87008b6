"""open_clip as an annotator of a project, with a small model of random weights: what matters is what is asked when."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.ingest import IngestStep
from curate.learners.encoders.clip import ClipImageEncoder
from curate.settings import load_settings
from curate.store.comparison import differences
from curate.store.reader import Reader
from curate.store.write import Write, rows
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "pictures"
path = "pictures"
modality = "image"

[[source]]
name = "notes"
path = "notes.jsonl"

[protocol]
name = "clothes"
version = "{version}"

[[protocol.attribute]]
name = "top"
question = "What is worn above?"
values = ["shirt", "coat", "none"]
descriptions = {{ coat = "worn over something else" }}

[[protocol.attribute]]
name = "sleeve"
question = "How long are the sleeves?"
values = ["short", "long"]
when = {{ top = ["shirt", "coat"] }}

[[annotator]]
name = "eye"
kind = "clip"
model = "{model}"
{more}
"""
RUN = """
import sys
from pathlib import Path
from curate.flows.project import Project
from curate.flows.steps import image_annotators
from curate.flows.steps.annotate import AnnotateStep
from curate.settings import load_settings
from curate.types import SilentProgress
image_annotators.ClipAnnotating.most = 8
folder = Path(sys.argv[1])
AnnotateStep().run(Project(folder, load_settings(folder / "curate.toml", {}), "test"), SilentProgress())
"""
KILL_IN_THE_SECOND_BATCH = """
import os, signal
from curate.learners.encoders.clip import ClipImageEncoder
encode, calls = ClipImageEncoder.encode, []
def fatal(self, items):
    calls.append(len(items))
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(self, items)
ClipImageEncoder.encode = fatal
"""


class Studio:
    """A folder of pictures and a few notes, and a model; the settings are written anew for each opening."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        (folder / "pictures").mkdir(parents=True)
        notes = [json.dumps({"text": f"note {number}"}) for number in range(3)]
        (folder / "notes.jsonl").write_text("\n".join(notes) + "\n", encoding="utf-8")

    def add(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            pixels = np.random.default_rng(number).integers(0, 256, (32, 40, 3), np.uint8)
            Image.fromarray(pixels).save(self.folder / "pictures" / f"{number}.png")

    def open(self, more: str = "", version: str = "1", model: Path | str = "") -> Project:
        text = SETTINGS.format(more=more, version=version, model=model or self.model)
        (self.folder / "curate.toml").write_text(text, encoding="utf-8")
        project = Project(self.folder, load_settings(self.folder / "curate.toml", {}), command="test")
        IngestStep().run(project, QUIET)
        return project

    def annotate(self, *arguments: Any, **more: Any) -> tuple[Project, StepReport]:
        project = self.open(*arguments, **more)
        return project, AnnotateStep().run(project, QUIET)


@pytest.fixture
def studio(tmp_path: Path, random_clip: Callable[..., Path]) -> Studio:
    one = Studio(tmp_path / "studio", random_clip())
    one.add(0, 20)
    return one


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were encoded, call by call."""
    counts: list[int] = []
    encode = ClipImageEncoder.encode

    def counted(self: ClipImageEncoder, items: Any) -> Any:
        counts.append(len(items))
        return encode(self, items)

    monkeypatch.setattr(ClipImageEncoder, "encode", counted)
    return counts


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


COUNTS = "SELECT attribute, count(*) AS n FROM annotations GROUP BY ALL ORDER BY ALL"


def test_pictures_are_annotated_once_and_texts_not_at_all(studio: Studio, encoded: list[int]) -> None:
    plan = AnnotateStep().plan(studio.open(), QUIET)
    assert (plan.to_do, plan.already_done, encoded) == (20, 0, [])
    project, report = studio.annotate()
    assert (report.failed, report.details) == (0, {"eye": 20 + _dressed(project)})
    assert sum(encoded) == 20
    studio.add(20, 5)
    project, report = studio.annotate()
    assert sum(encoded) == 25
    tops = ask(project, "SELECT * FROM annotations WHERE attribute = 'top'")
    assert {(row["annotator"], row["annotator_kind"], row["value"] in ("shirt", "coat", "none")) for row in tops} == {
        ("eye", "clip", True)
    }
    assert len({row["item_id"] for row in tops}) == len(tops) == 25
    assert all(1 / 3 <= row["confidence"] <= 1 for row in tops)
    assert ask(project, COUNTS) == [{"attribute": "sleeve", "n": _dressed(project)}, {"attribute": "top", "n": 25}]
    assert AnnotateStep().run(studio.open(), QUIET).idle


def _dressed(project: Project) -> int:
    [row] = ask(project, "SELECT count(*) AS n FROM annotations WHERE attribute = 'top' AND value <> 'none'")
    return int(row["n"])


def test_other_prompts_ask_again_and_encode_no_picture(studio: Studio, encoded: list[int]) -> None:
    studio.annotate()
    more = 'attributes = ["top"]\ntemplates = ["{value}"]\nprompts = { top = { none = ["nothing at all"] } }'
    project, report = studio.annotate(more)
    assert report.details == {"eye": 20}
    assert sum(encoded) == 20
    versions = ask(
        project, "SELECT annotator_version, count(*) AS n FROM annotations WHERE attribute = 'top' GROUP BY 1"
    )
    assert [row["n"] for row in versions] == [20, 20]


def test_other_weights_ask_again(studio: Studio, encoded: list[int], random_clip: Callable[..., Path]) -> None:
    studio.annotate('attributes = ["top"]')
    _, report = studio.annotate('attributes = ["top"]', model=random_clip(1))
    assert report.details == {"eye": 20}
    assert sum(encoded) == 40


def test_a_picture_that_does_not_decode_costs_no_other(studio: Studio) -> None:
    project = studio.open('attributes = ["top"]')
    columns = {"item_id": ["broken"], "modality": "image", "image": [b"broken"], "size": 6}
    columns |= dict.fromkeys(("text", "events", "time_unit"))
    project.store.commit(Write("test", {"items": rows("items", columns, 1)}))
    report = AnnotateStep().run(project, QUIET)
    assert (report.done, report.failed) == (20, 1)
    [failure] = ask(project, "SELECT item_id, actor, reason FROM failures")
    assert (failure["item_id"], failure["actor"]) == ("broken", "eye")
    assert "does not decode" in failure["reason"]
    assert AnnotateStep().run(studio.open('attributes = ["top"]'), QUIET).idle


def test_a_new_version_of_the_protocol_is_answered_anew(studio: Studio, encoded: list[int]) -> None:
    """No migration carries its claims over: pictures are kept encoded, and asking costs nothing."""
    studio.annotate('attributes = ["top"]')
    migration = '\n[[protocol.migration]]\nfrom_version = "1"'
    project, report = studio.annotate('attributes = ["top"]' + migration, version="2")
    assert report.details == {"eye": 20}
    assert sum(encoded) == 20
    assert ask(project, "SELECT count(*) AS n FROM annotations WHERE annotator_version LIKE '%@%'") == [{"n": 0}]


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_rows(studio: Studio, tmp_path: Path) -> None:
    studio.open()
    other = tmp_path / "undisturbed"
    shutil.copytree(studio.folder, other)

    def run(folder: Path, before: str = "") -> int:
        return subprocess.run([sys.executable, "-c", before + RUN, str(folder)], env=os.environ, check=False).returncode

    assert run(studio.folder, KILL_IN_THE_SECOND_BATCH) == -signal.SIGKILL
    with Reader(studio.folder / "curate-store") as killed:
        assert len(killed.query("FROM embeddings")) == 8
    assert run(studio.folder) == run(other) == 0
    with Reader(studio.folder / "curate-store") as one, Reader(other / "curate-store") as undisturbed:
        assert differences(one, undisturbed) == []
        assert len(one.query("FROM embeddings")) == 20


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ('templates = ["a photo"]', "no place for a value"),
        ('attributes = ["tops"]', "unknown attribute 'tops'"),
        ('prompts = { top = { hat = ["a hat"] } }', "unknown value 'hat'"),
        ('attributes = ["top"]\nprompts = { sleeve = { long = ["x"] } }', "unknown attribute 'sleeve'"),
        ("least = 1.5", "least"),
    ],
)
def test_settings_that_cannot_be_are_refused(studio: Studio, more: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        studio.open(more)


def test_a_model_that_is_nowhere_is_told(studio: Studio) -> None:
    with pytest.raises(ConfigurationError, match=r"open_clip_config\.json"):
        AnnotateStep().run(studio.open(model="models/nothing"), QUIET)
