"""A chat model of a project is shown images: what is asked, what the store keeps of it, and that erasure finds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.ingest import IngestStep
from curate.settings import load_settings
from curate.store.care.traces import find_traces
from curate.store.journal import Journal
from curate.types import SilentProgress, StepReport

SETTINGS = """
[[source]]
name = "pictures"
path = "pictures"
modality = "image"

[[source]]
name = "notes"
path = "notes.jsonl"

[[protocol.attribute]]
name = "top"
question = "What is worn above?"
values = ["shirt", "coat"]

[[annotator]]
name = "model"
kind = "llm"
attributes = ["top"]
address = "{address}"
model = "tiny"
{more}
"""
PICTURES, NOTES = 7, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for number in range(PICTURES):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    notes = [json.dumps({"text": f"note {number}"}) for number in range(NOTES)]
    (tmp_path / "notes.jsonl").write_text("\n".join(notes) + "\n", encoding="utf-8")
    return tmp_path


def annotate(folder: Path, address: str, more: str) -> tuple[Project, StepReport]:
    (folder / "curate.toml").write_text(SETTINGS.format(address=address, more=more), encoding="utf-8")
    project = Project(folder, load_settings(folder / "curate.toml", {}), command="test")
    IngestStep().run(project, SilentProgress())
    return project, AnnotateStep().run(project, SilentProgress())


def test_images_are_asked_about_once(folder: Path, model: Any) -> None:
    _, report = annotate(folder, model.address, 'modalities = ["image"]')
    assert (report.done, len(model.payloads)) == (PICTURES, PICTURES)
    assert annotate(folder, model.address, 'modalities = ["image"]')[1].idle
    _, both = annotate(folder, model.address, 'modalities = ["text", "image"]')
    assert both.done == PICTURES + NOTES
    assert len(model.payloads) == PICTURES + NOTES, "an image was paid for twice"


def test_the_store_holds_no_image_twice_and_erasure_finds_the_request(folder: Path, model: Any) -> None:
    project, _ = annotate(folder, model.address, 'modalities = ["text", "image"]')
    with project.reader() as reader:
        payloads = reader.query("SELECT payload FROM requests")["payload"].to_pylist()
        assert len(payloads) == PICTURES + NOTES
        assert not any("base64" in payload for payload in payloads)
        ids = reader.query("SELECT item_id FROM items WHERE modality = 'image' ORDER BY 1")["item_id"].to_pylist()
        found = [find_traces(reader, Journal(project.store_folder), [item_id]).requests for item_id in ids]
    assert [len(keys) for keys in found] == [1] * PICTURES
    assert len({key for keys in found for key in keys}) == PICTURES


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ('modalities = ["image"]\nmode = "completion"', "only a chat model at an address"),
        ('modalities = ["events"]', "modalities"),
        ("modalities = []", "modalities"),
        ("image_side = 8", "image_side"),
    ],
)
def test_settings_that_cannot_be_are_refused(folder: Path, more: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        annotate(folder, "http://127.0.0.1:9/v1", more)
