"""Channel reprogramming as a learner of a project: tasks by column or increment, both figures, exact resume."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curate.errors import ConfigurationError, UnknownNameError
from curate.flows.project import Project
from curate.flows.sequence import run_sequence
from curate.flows.steps import step_named
from curate.flows.steps.learn import LearnStep
from curate.settings import load_settings
from curate.store.manifest import read_manifest
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
SOURCE = """
[[source]]
name = "{name}"
path = "{name}"
modality = "image"
label = "folder"
attribute = "stripes"
"""
REST = """
[dedup]
near = false

[[snapshot]]
name = "pictures"
modality = "image"
label = "stripes"
splits = {{ train = 0.7, test = 0.3 }}

[[learner]]
name = "pictures"
kind = "channel-reprogramming"
snapshot = "pictures"
encoder = "efficientnet-lite0:32"
{task}
parameters = {{ passes = 2, head_passes = 30 }}
"""
WAYS = ["kernels", "kernels, affine", "kernels, affine, statistics", "with the head"]


def write_pictures(folder: Path, seed: int, *, dark: bool, count: int = 24) -> None:
    """Write stripes across and down: bright ones, or dark ones on which the two names are the other way round."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        label = ("across", "down")[number % 2]
        lines = np.zeros((32, 32, 3))
        lines[::4] = 0.6 if dark else 1.0
        turned = (label == "down") != dark
        noisy = np.clip((np.rot90(lines) if turned else lines) + generator.normal(0, 0.1, (32, 32, 3)), 0, 1)
        noisy *= np.array([0.3, 0.3, 1.0]) if dark else 1.0
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray((noisy * 255).astype(np.uint8)).save(folder / label / f"{seed}-{number}.png")


def opened(folder: Path, names: Sequence[str], task: str = "") -> Project:
    text = "".join(SOURCE.format(name=name) for name in names) + REST.format(task=task and f'task = "{task}"')
    (folder / "curate.toml").write_text(text, encoding="utf-8")
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def walk(folder: Path, names: Sequence[str], task: str = "") -> StepReport:
    return {report.step: report for report in run_sequence(opened(folder, names, task), QUIET)}["learn"]


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


def figures(project: Project, name: str, number: int) -> dict[str, float]:
    asked = f"SELECT slice, value FROM metrics WHERE subject = 'pictures' AND name = '{name}' AND number = {number}"
    return {row["slice"]: row["value"] for row in ask(project, asked)}


@pytest.fixture(scope="module")
def increments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two numbers of a snapshot, taught each as a task of its own; never to be written to."""
    folder = tmp_path_factory.mktemp("increments") / "project"
    write_pictures(folder / "days", 1, dark=False)
    walk(folder, ["days"])
    write_pictures(folder / "nights", 2, dark=True)
    walk(folder, ["days", "nights"])
    return folder


def test_each_increment_is_a_task_and_forgets_nothing_of_the_others(increments: Path) -> None:
    project = opened(increments, ["days", "nights"])
    first, second = (figures(project, "accuracy, task given", number) for number in (1, 2))
    assert set(second) == {"all", "task:1", "task:2"}
    assert second["task:1"] == first["task:1"] == first["all"]
    assert second["all"] > 0.9
    assert figures(project, "accuracy, task inferred", 2)["all"] == figures(project, "accuracy", 2)["all"] > 0.9
    assert figures(project, "tasks told rightly", 2)["all"] > 0.9


def test_what_a_task_adds_is_kept_in_four_ways_of_counting(increments: Path) -> None:
    project = opened(increments, ["days", "nights"])
    found = {way: figures(project, f"bytes a task, {way}", 2) for way in WAYS}
    assert [set(one) for one in found.values()] == [{"task:1", "task:2"}] * 4
    counts = [one["task:2"] for one in found.values()]
    assert counts == sorted(counts)
    assert counts[3] - counts[2] == 4 * 2 * 1281
    assert 0.005 < figures(project, "share a task, kernels, affine, statistics", 2)["task:1"] < 0.01
    assert figures(project, "bytes of the anchors", 2)["all"] > 0


def test_baselines_beside_it_learn_what_the_network_says_untaught(increments: Path) -> None:
    found = ask(
        opened(increments, ["days", "nights"]), "SELECT DISTINCT learner, encoder_version AS seen FROM checkpoints"
    )
    seen = {row["learner"]: row["seen"] for row in found}
    assert seen.pop("pictures").startswith("pixels of efficientnet-lite0:32/1+")
    assert set(seen) == {"pictures/majority", "pictures/nearest-class-mean", "pictures/streaming-discriminant"}
    assert all(version.startswith("efficientnet-lite0:32/1+") for version in seen.values())


def test_a_column_tells_tasks_within_one_increment(tmp_path: Path) -> None:
    write_pictures(tmp_path / "days", 1, dark=False)
    write_pictures(tmp_path / "nights", 2, dark=True)
    report = walk(tmp_path, ["days", "nights"], task="source")
    project = opened(tmp_path, ["days", "nights"], task="source")
    assert set(figures(project, "accuracy, task given", 1)) == {"all", "task:days", "task:nights"}
    assert report.details["pictures pictures 1"]["accuracy, task given"] > 0.9
    other = opened(tmp_path, ["days", "nights"])
    assert LearnStep().plan(other, QUIET).to_do == 1  # told by another column it is another learner
    assert LearnStep().plan(project, QUIET).to_do == 0


@pytest.mark.timeout(300)
def test_a_killed_run_ends_with_the_same_checkpoints(increments: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(increments, tmp_path / "killed", ignore=shutil.ignore_patterns("curate-store")))
    for names in (["days"], ["days", "nights"]):
        for step in ("ingest", "snapshot"):
            step_named(step).run(opened(folder, names), QUIET)
    before = last_commit(folder)
    killed = subprocess.Popen(LEARN, cwd=folder, start_new_session=True)
    while last_commit(folder) == before and killed.poll() is None:
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    wanted = ask(opened(increments, ["days", "nights"]), CHECKPOINTS)
    assert len(ask(opened(folder, ["days", "nights"]), CHECKPOINTS)) < len(wanted) == 2
    learn(folder)
    assert ask(opened(folder, ["days", "nights"]), CHECKPOINTS) == wanted


LEARN = [sys.executable, "-m", "curate", "--quiet", "learn"]
CHECKPOINTS = "SELECT number, checkpoint, parent FROM checkpoints WHERE learner = 'pictures' ORDER BY number"


def learn(folder: Path) -> None:
    subprocess.run(LEARN, cwd=folder, check=True)


def last_commit(folder: Path) -> int:
    return read_manifest(folder / "curate-store").commit_number


def test_tasks_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown task 'season'"):
        opened(tmp_path, ["days"], task="season")
    opened(tmp_path, ["days"], task="source")
    text = (tmp_path / "curate.toml").read_text(encoding="utf-8")
    for old, new, message in (
        ("channel-reprogramming", "nearest-class-mean", "knows no tasks"),
        ("efficientnet-lite0:32", "pixels:8", "network of an encoder of images"),
    ):
        (tmp_path / "curate.toml").write_text(text.replace(old, new).replace("parameters", "#"), encoding="utf-8")
        project = Project(tmp_path, load_settings(tmp_path / "curate.toml", {}), command="test")
        with pytest.raises(ConfigurationError, match=message):
            LearnStep().plan(project, QUIET)
