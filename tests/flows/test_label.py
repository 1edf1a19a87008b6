"""The step `label`: answers of the page become people's claims, exactly once, and what is taken back claims nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from curate.flows.project import Project
from curate.flows.steps import label as module
from curate.flows.steps import step_named
from curate.store.care.erasure import ErasurePlan, erase
from curate.store.inbox import Inbox, inbox_answers
from curate.types import PersonAnswer, SilentProgress

Open = Callable[[Path], Project]
ANSWER = PersonAnswer("1", "ada", "", "kinds", "1", "kind", "2026-11-26T10:00:00+00:00", "english")
SAID = """
    SELECT value AS said, annotator, annotator_version AS turn FROM annotations
    WHERE annotator_kind = 'human' AND item_id = $item
    UNION ALL SELECT reason, annotator, annotator_version FROM abstentions WHERE item_id = $item ORDER BY ALL"""


def python(project: Project) -> list[str]:
    """Items of the snapshot that nobody doubts to be python."""
    query = "SELECT item_id FROM snapshot_items WHERE snapshot = 'like-target' AND label = 'python' ORDER BY 1"
    with project.reader() as reader:
        return [str(item) for item in reader.query(query)["item_id"].to_pylist()]


def take_in(project: Project) -> tuple[int, int, int]:
    report = step_named("label").run(project, SilentProgress())
    return report.done, report.skipped, report.rejected


def labels_of(project: Project, *items: str) -> list[str | None]:
    step_named("snapshot").run(project, SilentProgress())
    query = (
        "SELECT item_id, label FROM snapshot_items WHERE snapshot = 'like-target' QUALIFY number = max(number) OVER ()"
    )
    with project.reader() as reader:
        found = dict(zip(*reader.query(query).to_pydict().values(), strict=True))
    return [found.get(item) for item in items]


def test_an_answer_is_taken_in_once_and_one_taken_back_claims_nothing(walked: Path, open_project: Open) -> None:
    project = open_project(walked)
    first, second, third = python(project)[:3]
    inbox = Inbox(project.store_folder)
    inbox.append(replace(ANSWER, item_id=first))
    inbox.append(replace(ANSWER, answer_id="2", item_id=second))
    inbox.append(replace(ANSWER, answer_id="3", item_id=third, value="", reason="cannot tell"))
    inbox.append(replace(ANSWER, answer_id="4", item_id="0" * 64))
    assert step_named("label").plan(project, SilentProgress()).to_do == 4
    assert take_in(project) == (3, 0, 1)
    assert take_in(open_project(walked)) == (0, 0, 0)
    assert labels_of(project, first, second, third) == ["english", "english", "python"]
    inbox.append(replace(ANSWER, answer_id="5", item_id=first, value="", reason="undone"))
    inbox.append(replace(ANSWER, answer_id="6", item_id=second, value="", reason="undone"))
    inbox.append(replace(ANSWER, answer_id="7", item_id=second, turn=2))
    inbox.append(replace(ANSWER, answer_id="7", item_id=second, turn=2))
    assert take_in(project) == (3, 1, 0)
    assert labels_of(project, first, second) == ["python", "english"]
    with project.reader() as reader:
        said = reader.query(SAID, {"item": second}).to_pylist()
    assert [(row["said"], row["turn"]) for row in said] == [("english", "1"), ("english", "2"), ("undone", "1")]


def test_a_kill_between_commits_takes_nothing_in_twice(
    walked: Path, open_project: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_project(walked)
    inbox, items = Inbox(project.store_folder), python(project)[:4]
    for number, item in enumerate(items):
        inbox.append(replace(ANSWER, answer_id=str(number), item_id=item))
    monkeypatch.setattr(module, "BATCH_ROWS", 1)
    commit, calls = project.store.commit, iter(range(4))

    def die(write: object) -> object:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return commit(write)  # type: ignore[arg-type]

    monkeypatch.setattr(project.store, "commit", die)
    with pytest.raises(KeyboardInterrupt):
        take_in(project)
    assert take_in(open_project(walked)) == (2, 0, 0)
    with project.reader() as reader:
        found = reader.query("SELECT item_id FROM annotations WHERE annotator_kind = 'human' ORDER BY 1")
    assert found["item_id"].to_pylist() == sorted(items)


def test_erasing_an_item_erases_what_was_said_of_it(walked: Path, open_project: Open) -> None:
    project = open_project(walked)
    first, second = python(project)[:2]
    inbox = Inbox(project.store_folder)
    for answer in (replace(ANSWER, item_id=first), replace(ANSWER, item_id=second, value="", reason="skip")):
        inbox.append(answer)
    take_in(project)
    erase(project.store, ErasurePlan((first, second), "asked to"))
    assert inbox_answers(project.store_folder) == []
    with project.reader() as reader:
        assert reader.query(SAID, {"item": second}).to_pylist() == []
    assert take_in(project) == (0, 0, 0)
