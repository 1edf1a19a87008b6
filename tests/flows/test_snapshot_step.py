"""The step `snapshot`: what the project asks for, in an order that leaves a second run nothing to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import UnknownNameError, UsageError
from curate.flows.project import Project
from curate.flows.steps.dedup import DedupStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.store.snapshots import list_snapshots, snapshot_row
from curate.store.write import Commit, Write
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "notes"
path = "notes.jsonl"
label = "topic"
attribute = "topic"
"""
EVERYTHING = """
[[snapshot]]
name = "all"
splits = { train = 1.0 }
"""
HALVES = """
[[snapshot]]
name = "halves"
splits = { train = 0.5, test = 0.5 }
"""


@pytest.fixture
def notes(tmp_path: Path) -> Callable[..., Project]:
    """Return a function that opens a project of forty notes with these snapshots, as a new process would."""
    topics = ["sea", "land"]
    lines = [f'{{"text": "note {n} of the {topics[n % 2]}", "topic": "{topics[n % 2]}"}}' for n in range(40)]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def open_project(snapshots: str) -> Project:
        file = tmp_path / "curate.toml"
        file.write_text(SETTINGS + snapshots, encoding="utf-8")
        project = Project(tmp_path, load_settings(file, {}), command="test")
        IngestStep().run(project, QUIET)
        return project

    return open_project


def run(project: Project, as_of: str = "", *names: str) -> StepReport:
    return SnapshotStep(as_of, names).run(project, QUIET)


def test_who_evaluates_for_one_is_not_trained_on_by_the_other_whatever_their_order(
    notes: Callable[..., Project],
) -> None:
    project = notes(EVERYTHING + HALVES)
    report = run(project)
    assert list(report.details) == ["halves 1", "all 1"]
    evaluating = 40 - report.details["all 1"]["selected"]
    assert report.details["all 1"]["held out to evaluate"] == evaluating > 10
    second = run(project)
    assert second.idle
    assert second.skipped == 2


def test_a_new_division_of_an_old_name_says_what_stays(notes: Callable[..., Project]) -> None:
    assert run(notes(EVERYTHING)).notes == ()
    report = run(notes(EVERYTHING.replace("{ train = 1.0 }", "{ train = 0.5, test = 0.5 }")))
    [note] = report.notes
    assert "items stay in the split of an earlier number; a new name divides anew" in note


def test_the_settings_reach_the_spec(notes: Callable[..., Project]) -> None:
    project = notes("""
        [[snapshot]]
        name = "some"
        label = "topic"
        values = { topic = ["sea", "land"] }
        quotas = [{ attribute = "topic", most = 5, values = { sea = 3 } }]
        budget = { characters = 10_000 }
        decisions = { dedup = ["none", "keep"] }
    """)
    funnel = run(project).details["some 1"]
    assert funnel == {"arrived": 40, "over the quota of topic": 32, "selected": 8}
    with project.reader() as reader:
        spec = snapshot_row(reader, list_snapshots(reader, "some")[0]).request
    assert (spec.characters, spec.values, spec.decisions) == (
        10_000, {"topic": ("sea", "land")}, {"dedup": ("none", "keep")}
    )  # fmt: skip


def test_names_and_moments_narrow_the_look(notes: Callable[..., Project]) -> None:
    project = notes(EVERYTHING + HALVES)
    with project.reader() as reader:
        then = reader.commit_number
    (project.folder / "more.jsonl").write_text('{"text": "one more"}', encoding="utf-8")
    more = '\n[[source]]\nname = "more"\npath = "more.jsonl"\n'
    project = notes(more + EVERYTHING + HALVES)
    assert SnapshotStep(str(then), ["all"]).plan(project, QUIET).notes == ("all: 40 items",)
    assert run(project, str(then), "all").details["all 1"]["selected"] == 40
    assert run(project, "", "all").details["all 2"]["arrived"] == 41
    with pytest.raises(UnknownNameError, match="unknown snapshot 'al'; known: all, halves"):
        run(project, "", "al")
    with pytest.raises(UsageError, match="there is no commit 1000"):
        run(project, "1000")


def test_near_duplicates_of_real_files_never_straddle(notes: Callable[..., Project]) -> None:
    project = notes(HALVES.replace("splits", 'decisions = { dedup = ["none", "keep", "drop"] }\nsplits'))
    words = "the quick brown fox jumps over the lazy dog and then goes home to sleep until noon on a rainy day"
    planted = [f"{words} {n // 3} {tail}" for n, tail in enumerate(["today", "now", "soon"] * 8)]
    lines = [f'{{"text": "{text}", "topic": "fox"}}' for text in planted]
    (project.folder / "notes.jsonl").write_text("\n".join(lines), encoding="utf-8")
    IngestStep().run(project, QUIET)
    DedupStep().run(project, QUIET)
    run(project)
    with project.reader() as reader:
        found = reader.query("""
            SELECT count(DISTINCT s.split) AS splits, count(*) AS items
            FROM snapshot_items s SEMI JOIN clusters USING (item_id) JOIN items USING (item_id)
            WHERE text LIKE 'the quick brown fox%' GROUP BY regexp_extract(text, 'day (\\d+)', 1)
        """).to_pylist()
    assert sum(row["items"] for row in found) >= 20
    assert {row["splits"] for row in found} == {1}


def test_what_another_run_freezes_meanwhile_is_respected(
    notes: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, other = notes(EVERYTHING), notes(HALVES)
    commit = project.store.commit

    def overtaken(write: Write) -> Commit:
        monkeypatch.undo()
        run(other)
        return commit(write)

    monkeypatch.setattr(project.store, "commit", overtaken)
    report = run(project)
    assert report.details["all 1"]["held out to evaluate"] > 10
    assert report.details["all 1"]["selected"] + report.details["all 1"]["held out to evaluate"] == 40
