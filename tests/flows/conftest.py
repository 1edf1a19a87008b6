"""A small project of real files: texts in four formats, digits as images, some of it broken, and a target."""

import importlib.util
import inspect
import json
import random
import shutil
import statistics
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from curate.flows.project import Project
from curate.flows.sequence import run_sequence
from curate.settings import load_settings
from curate.types import SilentProgress, StepReport

SETTINGS = """
lease_timeout = 20.0

[[source]]
name = "snippets"
path = "inbox/snippets.jsonl"
text = "body"
label = "kind"
attribute = "kind"
licence = "PSF-2.0"

[[source]]
name = "prose"
path = "inbox/prose.parquet"

[[source]]
name = "notes"
path = "inbox/notes"

[[source]]
name = "digits"
path = "inbox/digits"
modality = "image"
label = "folder"
attribute = "digit"

[align]
target = "target.jsonl"

[protocol]
name = "kinds"
version = "1"

[[protocol.attribute]]
name = "kind"
question = "What is this text?"
values = ["python", "english"]

[[annotator]]
name = "patterns"
kind = "rule"
rules = [
  { attribute = "kind", value = "python", pattern = "(?m)^\\\\s*(def|class) " },
  { attribute = "kind", value = "english", pattern = "(?i)\\\\b(the|and|of)\\\\b.*\\\\b(the|and|of)\\\\b" },
]

[[snapshot]]
name = "like-target"
order_by = "align"
limit = 40
label = "kind"

[[snapshot]]
name = "digits"
modality = "image"
label = "digit"

[[learner]]
name = "digits"
snapshot = "digits"
parameters = { heads = 16, pairs = 64 }
"""


def functions(*modules: object) -> list[str]:
    """The source of every function of these modules."""
    return [inspect.getsource(f) for m in modules for f in vars(m).values() if inspect.isfunction(f)]


def write_digits(folder: Path, labels: range, count: int = 50) -> None:
    """Write the first `count` handwritten digits of each label as PNGs into a folder by label."""
    digits = load_digits()
    for label in labels:
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        for index in (digits.target == label).nonzero()[0][:count]:
            pixels = (digits.images[index] * 15).astype("uint8")
            Image.fromarray(pixels).save(folder / str(label) / f"{index:04d}.png")


def write_project(folder: Path, more_settings: str = "") -> Path:
    """Write the project and return its folder."""
    inbox = folder / "inbox"
    (inbox / "notes").mkdir(parents=True)
    lines = [json.dumps({"body": source, "kind": "python"}) for source in functions(statistics, shutil)]
    lines.insert(3, '{"body": "broken')
    lines += [json.dumps({"body": f"The fox and number {n} of the pack", "kind": "english"}) for n in range(60)]
    lines.append(json.dumps({"body": "THE  FOX and number 1 of the pack", "kind": "english"}))
    (inbox / "snippets.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    prose = [f"Chapter {n}: {random.Random(n).random()} leagues of the sea and the sky" for n in range(120)]
    pq.write_table(pa.table({"text": prose}), inbox / "prose.parquet", row_group_size=50)
    for n in range(30):
        (inbox / "notes" / f"{n:02d}.txt").write_text(f"note {n} about the weather and the wind", encoding="utf-8")
    (inbox / "notes" / "binary.txt").write_bytes(b"\x00\x01\x02")
    write_digits(inbox / "digits", range(2))
    (inbox / "digits" / "0" / "broken.png").write_bytes(b"not an image")
    target = functions(textwrap)[:8]
    (folder / "target.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in target), encoding="utf-8")
    (folder / "curate.toml").write_text(SETTINGS + more_settings, encoding="utf-8")
    return folder


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the project into a new folder of this name, with more settings if given."""

    def make(name: str = "project", more_settings: str = "") -> Path:
        return write_project(tmp_path / name, more_settings)

    return make


@pytest.fixture(scope="session")
def walked_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, StepReport]]:
    """The project after one walk of a session, never to be written to, and what each step reported."""
    folder = write_project(tmp_path_factory.mktemp("walked") / "project")
    project = Project(folder, load_settings(folder / "curate.toml", {}), command="test")
    return folder, {report.step: report for report in run_sequence(project, SilentProgress())}


@pytest.fixture
def walked(walked_once: tuple[Path, dict[str, StepReport]], tmp_path: Path) -> Path:
    """A copy of the project that has been walked once."""
    return Path(shutil.copytree(walked_once[0], tmp_path / "project"))


@pytest.fixture
def open_project() -> Callable[[Path], Project]:
    """Return a function that opens a project folder as a new process would."""

    def open_folder(folder: Path) -> Project:
        return Project(folder, load_settings(folder / "curate.toml", {}), command="test")

    return open_folder


@pytest.fixture
def add_digits() -> Callable[..., None]:
    """Return the function that writes digits as images."""
    return write_digits


@pytest.fixture(scope="session")
def fake_module(repository: Path) -> ModuleType:
    """The fake language model, loaded by its path: `tests/` holds no packages."""
    file = repository / "tests" / "support" / "fake_language_model.py"
    specification = importlib.util.spec_from_file_location("fake_language_model", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def model(fake_module: ModuleType) -> Iterator[Any]:
    """A fake language model that notes what it was asked."""
    with fake_module.FakeLanguageModelServer() as server:
        yield server
