"""Tasks go out to Label Studio and answers come back: what people say wins, and saying it twice adds nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import BadDataError
from curate.flows.project import Project
from curate.flows.sequence import run_sequence
from curate.flows.steps import step_named
from curate.flows.steps.answers import import_answers, plan_answers
from curate.types import SilentProgress

Open = Callable[[Path], Project]
SETTINGS = '\n[export]\nformats = ["parquet", "label-studio"]\n'


@pytest.fixture
def tasks_folder(walked: Path, open_project: Open) -> Path:
    """A project after one walk, whose export has written tasks too."""
    with (walked / "curate.toml").open("a", encoding="utf-8") as settings:
        settings.write(SETTINGS)
    step_named("export").run(open_project(walked), SilentProgress())
    return walked


def write_answers(folder: Path) -> tuple[Path, dict[str, str]]:
    """Answer every task of the test split with the value that its label is not."""
    [path] = (folder / "exports" / "like-target" / "label-studio").glob("test-*.json")
    tasks = json.loads(path.read_bytes())
    turned = {}
    for task in tasks:
        value = "english" if task["data"]["label"] == "python" else "python"
        turned[task["data"]["item_id"]] = value
        result = {"from_name": "kind", "to_name": "text", "type": "choices", "value": {"choices": [value]}}
        task["annotations"] = [{"completed_by": 3, "updated_at": "2026-11-20T10:00:00Z", "result": [result]}]
    tasks.append({"data": {"item_id": "0" * 64}, "annotations": tasks[0]["annotations"]})
    (folder / "answers.json").write_text(json.dumps(tasks), encoding="utf-8")
    return folder / "answers.json", turned


def test_people_overrule_and_their_snapshot_goes_out_anew(tasks_folder: Path, open_project: Open) -> None:
    file, turned = write_answers(tasks_folder)
    project = open_project(tasks_folder)
    plan = plan_answers(project, file)
    assert (plan.to_do, plan.notes) == (len(turned), ("1 answers cannot be used",))
    report = import_answers(project, file, SilentProgress())
    assert (report.done, report.skipped, report.rejected) == (len(turned), 0, 1)
    again = import_answers(open_project(tasks_folder), file, SilentProgress())
    assert again.idle
    assert again.skipped == len(turned)
    run_sequence(open_project(tasks_folder), SilentProgress())
    with project.reader() as reader:
        labels = reader.query("SELECT item_id, label FROM snapshot_items WHERE snapshot = 'like-target' AND number = 2")
        said = reader.query(
            "SELECT DISTINCT annotator, annotator_version FROM annotations WHERE annotator_kind = 'human'"
        )
    assert {item: value for item, value in zip(*labels.to_pydict().values(), strict=True) if item in turned} == turned
    assert said.to_pylist() == [{"annotator": "label-studio-3", "annotator_version": "2026-11-20T10:00:00Z"}]
    manifest = json.loads((tasks_folder / "exports" / "like-target" / "manifest.json").read_bytes())
    assert [entry["number"] for entry in manifest["numbers"]] == [1, 2]


def test_a_file_of_something_else_changes_nothing(tasks_folder: Path, open_project: Open) -> None:
    project = open_project(tasks_folder)
    with project.reader() as reader:
        before = reader.commit_number
    other = tasks_folder / "other.json"
    other.write_text("{}")
    with pytest.raises(BadDataError, match="no list of tasks"):
        import_answers(project, other, SilentProgress())
    with project.reader() as reader:
        assert reader.commit_number == before
