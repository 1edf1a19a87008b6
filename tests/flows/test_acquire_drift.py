"""Drift detectors in `curate acquire`: alarms in the store, the output and the report; a new learner; and restarts."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from curate.flows.project import Project
from curate.flows.steps.acquire import AcquireStep
from curate.flows.steps.acquire_policy import tables_of
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.report import ReportStep, report_path
from curate.select.stream.drift import DETECTORS
from curate.settings import load_settings
from curate.settings.acquire import Drift
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
WORDS = {"sea": ["ship", "wave", "tide", "harbour", "sail"], "land": ["tree", "field", "stone", "road", "hill"]}
OTHER = {"sea": "land", "land": "sea"}
DRIFT = 'drift = "ddm"\n'


def write_notes(folder: Path, file: str, count: int, seed: int, *, swapped: bool = False) -> None:
    """Notes of two topics; swapped, the words of one are those of the other."""
    generator = random.Random(seed)
    lines = []
    for number in range(count):
        topic = generator.choice(("sea", "land"))
        words = " ".join(generator.choice(WORDS[OTHER[topic] if swapped else topic]) for _ in range(6))
        lines.append(json.dumps({"text": f"note {seed}-{number}: {words}", "topic": topic}))
    (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def opened(folder: Path, more: str = DRIFT) -> Project:
    (folder / "curate.toml").write_text(SETTINGS + more, encoding="utf-8")
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def drifting(folder: Path, more: str = DRIFT) -> Project:
    """A project whose words change their meaning after 600 of 1,200 notes."""
    folder.mkdir(exist_ok=True)
    project = opened(folder, more)
    write_notes(folder, "1.jsonl", 600, seed=0)
    IngestStep().run(project, QUIET)
    write_notes(folder, "2.jsonl", 600, seed=1, swapped=True)
    IngestStep().run(project, QUIET)
    return project


def acquire(project: Project) -> StepReport:
    return AcquireStep().run(project, QUIET)


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


def told(project: Project) -> dict[str, Any]:
    """All that a run leaves behind which a restart may not change."""
    without = "* EXCLUDE (run_id, commit_number)"
    return {
        "decisions": ask(project, f"SELECT {without} FROM acquisitions ORDER BY place"),
        "states": ask(project, f"SELECT {without} FROM policies ORDER BY seen, learned"),
        "drifts": ask(project, f"SELECT {without} FROM metrics ORDER BY number"),
    }


def right(project: Project, since: int) -> float:
    """How often the learner took an item behind this place for what it is."""
    [row] = ask(
        project,
        "SELECT avg((predicted = json_extract_string(metadata, 'topic'))::INT) AS share"
        f" FROM acquisitions JOIN origins USING (item_id) WHERE place > {since}",
    )
    return float(row["share"])


def test_an_alarm_is_kept_told_and_shown_and_the_learner_begins_anew(tmp_path: Path) -> None:
    project = drifting(tmp_path)
    report = acquire(project)
    [alarm] = told(project)["drifts"]
    assert (alarm["subject"], alarm["name"], alarm["slice"]) == ("acquire/topics", "drift", "ddm")
    assert 600 < alarm["value"] <= 900
    assert f"ddm saw a drift after {alarm['value']:.0f} items: the learner began anew" in report.notes[0]
    assert report.details["topics"]["drifts"] == 1
    ReportStep().run(project, QUIET)
    assert f"after {alarm['value']:.0f} items and {alarm['number']} answers (ddm)." in report_path(project).read_text()
    assert "drift" not in acquire(project).notes[0]


@pytest.mark.slow
def test_a_learner_that_begins_anew_is_right_sooner(tmp_path: Path) -> None:
    watched, plain = drifting(tmp_path / "watched"), drifting(tmp_path / "plain", "")
    for project in (watched, plain):
        acquire(project)
    assert told(plain)["drifts"] == []
    assert right(watched, 1_000) > 0.9
    assert right(plain, 1_000) < 0.7


def test_no_drift_is_seen_where_there_is_none(tmp_path: Path) -> None:
    write_notes(tmp_path, "1.jsonl", 1_000, seed=0)
    project = opened(tmp_path)
    IngestStep().run(project, QUIET)
    assert acquire(project).details["topics"]["drifts"] == 0


@pytest.mark.parametrize("more", ['drift = "adwin"\ndrift_window = 30\n', pytest.param(DRIFT, marks=pytest.mark.slow)])
def test_two_runs_see_what_one_sees(tmp_path: Path, more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off where the learner's state is on disk and the commit is not: before the alarm, at it and behind it."""
    whole, cut = drifting(tmp_path / "whole", more), drifting(tmp_path / "cut", more)
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
    assert told(cut) == told(whole)
    assert told(cut)["drifts"]


def test_a_detector_that_is_named_begins_a_new_policy_and_none_leaves_it_as_it_was(tmp_path: Path) -> None:
    write_notes(tmp_path, "1.jsonl", 200, seed=0)
    project = opened(tmp_path, "")
    IngestStep().run(project, QUIET)
    acquire(project)
    for file, more in (("2.jsonl", "drift_window = 10\n"), ("3.jsonl", DRIFT)):
        write_notes(tmp_path, file, 100, seed=int(file[0]))
        project = opened(tmp_path, more)
        IngestStep().run(project, QUIET)
        acquire(project)
    versions = [row["version"] for row in told(project)["decisions"]]
    assert len(set(versions[:300])) == 1
    assert len(set(versions)) == 2


def test_settings_name_what_there_is() -> None:
    from typing import get_args

    assert set(get_args(Drift)) == {"", *DETECTORS}
