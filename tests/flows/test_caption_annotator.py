"""Captions in a project without a question: claims, a training set of pictures with texts, what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.consensus import ConsensusStep
from curate.flows.steps.export import ExportStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.report import ReportStep
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.types import SilentProgress

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "pictures"
path = "pictures"
modality = "image"

[[annotator]]
name = "teller"
kind = "caption"
model = "{model}"
tokens = 6

[[snapshot]]
name = "told"
modality = "image"
label = "caption"
{more}
"""
PROTOCOL = """
[protocol]
version = "{version}"
[[protocol.attribute]]
name = "{name}"
question = "What is it?"
values = ["a", "b"]
"""


class Gallery:
    """A folder of random pictures and a CoCa model."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        (folder / "pictures").mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(number).integers(0, 256, (32, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")

    def open(self, more: str = "") -> Project:
        (self.folder / "curate.toml").write_text(SETTINGS.format(model=self.model, more=more), encoding="utf-8")
        project = Project(self.folder, load_settings(self.folder / "curate.toml", {}), command="test")
        IngestStep().run(project, QUIET)
        return project


@pytest.fixture
def gallery(tmp_path: Path, random_coca: Callable[..., Path]) -> Gallery:
    return Gallery(tmp_path / "gallery", random_coca())


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


def test_captions_become_a_training_set_of_pictures_with_texts(gallery: Gallery) -> None:
    project = gallery.open()
    assert AnnotateStep().plan(project, QUIET).to_do == 12
    assert AnnotateStep().run(project, QUIET).details == {"teller": 12}
    claims = ask(
        project, "SELECT item_id, value, protocol, attribute, annotator_kind FROM annotations ORDER BY item_id"
    )
    assert {(row["protocol"], row["attribute"], row["annotator_kind"]) for row in claims} == {
        ("captions", "caption", "caption")
    }
    for step in (ConsensusStep(), SnapshotStep(), ExportStep(), ReportStep()):
        step.run(project, QUIET)
    told = {row["item_id"]: row["value"] for row in claims}
    labels = ask(project, "SELECT item_id, label FROM snapshot_items")
    assert {row["item_id"]: row["label"] for row in labels} == told
    assert sum(pq.read_metadata(file).num_rows for file in (gallery.folder / "exports").rglob("*.parquet")) == 12


def test_a_question_more_asks_for_no_caption_again(gallery: Gallery) -> None:
    AnnotateStep().run(gallery.open(), QUIET)
    for version in ("1", "2"):
        more = PROTOCOL.format(name="kind", version=version)
        more += '[[protocol.migration]]\nfrom_version = "1"' if version == "2" else ""
        assert AnnotateStep().run(gallery.open(more), QUIET).idle


def test_captions_are_no_values_of_a_question(gallery: Gallery) -> None:
    with pytest.raises(ConfigurationError, match="captions are no values of it"):
        gallery.open(PROTOCOL.format(name="caption", version="1"))


def test_a_snapshot_knows_the_captions_attribute(gallery: Gallery) -> None:
    with pytest.raises(ConfigurationError, match="unknown label 'told'"):
        gallery.open('[[snapshot]]\nname = "other"\nmodality = "image"\nlabel = "told"')
