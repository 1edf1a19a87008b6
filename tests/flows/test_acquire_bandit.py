"""A bandit over utilities in `curate acquire`: it draws, learns from answers, is shown, and goes on after restarts."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps.acquire import AcquireStep
from curate.flows.steps.acquire_policy import tables_of
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.report import ReportStep, report_path
from curate.select.stream.utilities import UTILITIES
from curate.settings import load_settings
from curate.settings.acquire import Arm
from curate.store.acquiring import kept_draws
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "notes"
path = "*.jsonl"
meta = ["topic"]

[protocol]
name = "notes"
version = "1"

[[protocol.attribute]]
name = "topic"
question = "What is it about?"
values = ["sea", "land"]

[[acquire]]
name = "topics"
attribute = "topic"
encoder = "hashed-ngrams:64"
learner = "nearest-class-mean"
batch = 150
rate = 0.2
people = "oracle:topic"
oracle_noise = 0.0
"""
BANDIT = 'utility = "bandit"\narms = ["least-confidence", "chance"]\n'
WORDS = {"sea": ["ship", "wave", "tide", "harbour", "sail"], "land": ["tree", "field", "stone", "road", "hill"]}


def write_notes(folder: Path, count: int) -> None:
    """Notes of two topics, most of them plain; some tell of both, and the learner errs where it is not sure."""
    generator = random.Random(0)
    lines = []
    for number in range(count):
        topic = generator.choice(("sea", "land"))
        other = WORDS["land" if topic == "sea" else "sea"] if generator.random() < 0.3 else WORDS[topic]
        words = [generator.choice(WORDS[topic]) for _ in range(3)] + [generator.choice(other) for _ in range(3)]
        lines.append(json.dumps({"text": f"note {number}: {' '.join(words)}", "topic": topic}))
    (folder / "notes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def opened(folder: Path, more: str = BANDIT) -> Project:
    (folder / "curate.toml").write_text(SETTINGS + more, encoding="utf-8")
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def filled(folder: Path, count: int = 900, more: str = BANDIT) -> Project:
    folder.mkdir(exist_ok=True)
    write_notes(folder, count)
    project = opened(folder, more)
    IngestStep().run(project, QUIET)
    return project


def acquire(project: Project) -> StepReport:
    return AcquireStep().run(project, QUIET)


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


def decisions(project: Project) -> list[dict[str, Any]]:
    return ask(project, "SELECT * EXCLUDE (run_id, commit_number) FROM acquisitions ORDER BY place")


def states(project: Project) -> list[dict[str, Any]]:
    return ask(project, "SELECT * EXCLUDE (run_id, commit_number) FROM policies ORDER BY seen, learned")


def test_the_arm_that_finds_errors_wins_and_is_told_and_shown(tmp_path: Path) -> None:
    project = filled(tmp_path)
    report = acquire(project)
    arms = report.details["topics"]["arms"]
    assert arms["least-confidence"] > 0.6
    assert sum(arms.values()) == pytest.approx(1)
    assert f"the bandit draws least-confidence {arms['least-confidence']:.0%}, chance" in report.notes[0]
    assert json.loads(states(project)[-1]["state"])["arms"] == arms
    ReportStep().run(project, QUIET)
    assert "The utility that a bandit draws by now: least-confidence" in report_path(project).read_text()
    assert abs(sum(bool(row["reason"]) for row in decisions(project)) - 180) <= 1


def test_each_question_asked_for_its_utility_keeps_its_draw(tmp_path: Path) -> None:
    project = filled(tmp_path, 450)
    acquire(project)
    known = [row for row in decisions(project) if row["place"] > 150]
    with project.reader() as reader:
        kept = [kept_draws(reader, "topics", known[0]["version"], *places) for places in ((1, 450), (301, 301))]
    draws = [draw for row in kept[0] for draw in json.loads(row)]
    assert [draw[0] for draw in draws] == [row["place"] for row in known if row["reason"] == "utility"]
    assert {draw[1] for draw in draws} == {0, 1}
    assert len(kept[1]) == 1  # only what was decided on with that item


def test_answers_that_come_late_reward_the_arm_that_asked(tmp_path: Path) -> None:
    project = filled(tmp_path, 900, BANDIT + "delay = 200\n")
    acquire(project)
    weights = [json.loads(row["state"])["bandit"]["weights"] for row in states(project)]
    assert weights[0] == weights[1]
    assert weights[-1] != weights[0]


@pytest.mark.parametrize(
    "more", [BANDIT + "delay = 200\n", pytest.param(BANDIT + 'drift = "ddm"\n', marks=pytest.mark.slow)]
)
def test_two_runs_decide_as_one(tmp_path: Path, more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off where the learner's state is on disk and the commit is not."""
    whole, cut = filled(tmp_path / "whole", more=more), filled(tmp_path / "cut", more=more)
    acquire(whole)
    for call in (0, 3, 1):
        calls = iter(range(100))

        def stop(*given: Any, call: int = call, calls: Any = calls) -> Any:
            found = tables_of(*given)
            if next(calls) == call:
                raise KeyboardInterrupt
            return found

        with monkeypatch.context() as patch:
            patch.setattr("curate.flows.steps.acquire.tables_of", stop)
            with pytest.raises(KeyboardInterrupt):
                acquire(opened(tmp_path / "cut", more))
    acquire(opened(tmp_path / "cut", more))
    assert decisions(cut) == decisions(whole)
    assert states(cut) == states(whole)


def test_settings_name_what_there_is_and_a_bandit_has_arms(tmp_path: Path) -> None:
    from typing import get_args

    assert set(get_args(Arm)) == {*UTILITIES, "chance"}
    for wrong in ('utility = "bandit"\n', 'arms = ["margin", "chance"]\n', 'utility = "bandit"\narms = ["margin"]\n'):
        with pytest.raises(ConfigurationError, match="two arms"):
            opened(tmp_path, wrong)
    with pytest.raises(ConfigurationError, match="arms"):
        opened(tmp_path, 'utility = "bandit"\narms = ["margin", "luck"]\n')
