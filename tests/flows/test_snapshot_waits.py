"""When a snapshot's next number is due: debounced by `wait`, unless something hurries; and whose claims it takes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.store.write import Write, rows
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "notes"
path = "*.jsonl"
label = "topic"
attribute = "topic"

[protocol]
name = "notes"
version = "{version}"

[[protocol.attribute]]
name = "topic"
question = "What is it about?"
values = ["sea", "land"]

[[snapshot]]
name = "topics"
label = "topic"
{more}
"""
Opens = Callable[..., Project]


def write_notes(folder: Path, first: int, count: int) -> None:
    lines = [json.dumps({"text": f"note {number}", "topic": "sea"}) for number in range(first, first + count)]
    (folder / f"{first}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def opens(tmp_path: Path) -> Opens:
    """Return a function that opens the project anew, with so many notes more."""
    written = 0

    def open_project(notes: int = 0, more: str = "wait = 10", version: str = "1") -> Project:
        nonlocal written
        if notes:
            write_notes(tmp_path, written, notes)
            written += notes
        (tmp_path / "curate.toml").write_text(SETTINGS.format(more=more, version=version), encoding="utf-8")
        project = Project(tmp_path, load_settings(tmp_path / "curate.toml", {}), command="test")
        IngestStep().run(project, QUIET)
        return project

    return open_project


def freeze(project: Project, **more: bool) -> StepReport:
    return SnapshotStep(**more).run(project, QUIET)


def claim(project: Project, items: list[str], value: str, annotator: str, kind: str, confidence: float = 1.0) -> None:
    columns = {
        "item_id": items, "protocol": "notes", "protocol_version": "1", "attribute": "topic", "value": value,
        "confidence": confidence, "annotator": annotator, "annotator_kind": kind, "annotator_version": "1",
    }  # fmt: skip
    project.store.commit(Write("label", {"annotations": rows("annotations", columns, len(items))}))


def verdict(project: Project, look: int, said: str, annotator: str = "words") -> None:
    columns = {
        "protocol": "notes", "protocol_version": "1", "attribute": "topic", "annotator": annotator,
        "annotator_version": "1", "look": look, "audited": 100, "right": 80, "accuracy": 0.8, "low": 0.7, "high": 0.9,
        "method": "wilson", "bar": 0.85, "level": 0.01, "bound": 0.7, "verdict": said, "reason": "", "since": 0,
        "passed_at": 0,
    }  # fmt: skip
    project.store.commit(Write("gate", {"gates": rows("gates", columns, 1)}))


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


def ids(project: Project) -> list[str]:
    return [row["item_id"] for row in ask(project, "SELECT item_id FROM items ORDER BY item_id")]


def test_a_number_waits_for_enough_changes(opens: Opens) -> None:
    assert freeze(opens(5)).done == 1  # the first does not wait
    project = opens(9)
    assert SnapshotStep().plan(project, QUIET).notes == ("snapshot 'topics' waits: 9 of 10 changes",)
    waiting = freeze(project)
    assert (waiting.idle, waiting.notes) == (True, ("snapshot 'topics' waits: 9 of 10 changes",))
    due = freeze(opens(1))
    assert list(due.details) == ["topics 2"]
    assert due.notes == ()


def test_items_without_labels_are_counted_too(opens: Opens) -> None:
    more = 'wait = 10\n[[snapshot]]\nname = "all"\nwait = 3'
    freeze(opens(5, more=more))
    waiting = freeze(opens(2, more=more))
    assert waiting.notes == ("snapshot 'topics' waits: 2 of 10 changes", "snapshot 'all' waits: 2 of 3 changes")
    assert list(freeze(opens(1, more=more)).details) == ["all 2"]


def test_items_that_went_are_changes(opens: Opens) -> None:
    project = opens(30)
    freeze(project)
    for count in (9, 1):
        left = ask(project, "SELECT item_id FROM items i ANTI JOIN decisions USING (item_id) ORDER BY item_id")
        columns = {
            "item_id": [row["item_id"] for row in left[:count]], "step": "filter",
            "action": "drop", "reason": "test",
        }  # fmt: skip
        project.store.commit(Write("filter", {"decisions": rows("decisions", columns, count)}))
        if count == 9:
            assert freeze(project).notes == ("snapshot 'topics' waits: 9 of 10 changes",)
    assert freeze(project).done == 1


def test_another_label_is_a_change(opens: Opens) -> None:
    project = opens(30)
    freeze(project)
    claim(project, ids(project)[:9], "land", "ada", "human")
    assert freeze(project).notes == ("snapshot 'topics' waits: 9 of 10 changes",)
    claim(project, ids(project)[9:10], "land", "ada", "human")
    assert freeze(project).done == 1


def test_what_is_asked_for_at_once_does_not_wait(opens: Opens) -> None:
    freeze(opens(30))
    project = opens(1)
    assert freeze(project).idle
    assert freeze(project, now=True).done == 1
    assert freeze(opens(1, more="wait = 10\nlimit = 20")).done == 1  # the section was changed


def test_a_fall_back_and_a_new_version_of_the_protocol_do_not_wait(opens: Opens) -> None:
    project = opens(30)
    freeze(project)
    verdict(project, 1, "passed")
    verdict(project, 1, "open", "other")
    project = opens(1)
    assert freeze(project).idle
    verdict(project, 2, "fell back")
    assert freeze(project).notes == ("snapshot 'topics' did not wait: words fell back on 'topic'",)
    verdict(project, 3, "fell back")  # it has not passed since: nothing new
    project = opens(1)
    assert freeze(project).idle
    header = {"protocol": "notes", "version": "2", "definition": "{}"}
    project.store.commit(Write("annotate", {"protocols": rows("protocols", header, 1)}))
    assert freeze(project).idle  # the project asks version 1
    asked = freeze(opens(version="2"))
    assert asked.notes == ("snapshot 'topics' did not wait: version 2 of the protocol 'notes' is new",)


def test_people_stand_for_every_person_and_strict_for_nobody_else(opens: Opens) -> None:
    project = opens(30, more='annotators = ["people"]\nstrict = true')
    some = ids(project)[:6]
    claim(project, some[:3], "land", "ada", "human")
    claim(project, some[3:], "land", "oracle:topic", "simulated")
    freeze(project)
    assert {(row["item_id"], row["label"]) for row in ask(project, "FROM snapshot_items")} == {
        (item, "land") for item in some
    }
    loose = opens(more='annotators = ["people"]')
    freeze(loose)
    newest = ask(loose, "SELECT label, count(*) AS n FROM snapshot_items WHERE number = 2 GROUP BY ALL ORDER BY label")
    assert newest == [{"label": "land", "n": 6}, {"label": "sea", "n": 24}]


def test_strict_names_somebody_and_nobody_is_called_people(opens: Opens) -> None:
    with pytest.raises(ConfigurationError, match="strict"):
        opens(more="strict = true")
    with pytest.raises(ConfigurationError, match="every person"):
        opens(more='[[source]]\nname = "people"\npath = "x.jsonl"')
