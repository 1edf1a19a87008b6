"""What people answered is shown to a language model, but never what audits judge by; a fake model notes its prompts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.flows.project import Project
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.gate import GateStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.label import LabelStep
from curate.store.gating import lots
from curate.store.inbox import Inbox
from curate.types import PersonAnswer, SilentProgress

QUIET = SilentProgress()
Say = Callable[..., None]
ITEMS = 60
WANTED = 4
SETTINGS = """
[[source]]
name = "texts"
path = "texts.jsonl"

[protocol]
name = "clothes"
version = "1"
attribute = [{ name = "top", question = "What is worn above?", values = ["shirt", "coat"] }]

[[annotator]]
name = "model"
kind = "llm"
address = "ADDRESS"
model = "fake"
examples_from_people = 4
attributes = ["top"]

[gate]
enabled = true
reserve = 0.3
"""


@pytest.fixture
def project(tmp_path: Path, open_project: Callable[[Path], Project], model: Any) -> Project:
    lines = [json.dumps({"text": f"outfit number {number}"}) for number in range(ITEMS)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "curate.toml").write_text(SETTINGS.replace("ADDRESS", model.address), encoding="utf-8")
    project = open_project(tmp_path)
    IngestStep().run(project, QUIET)
    return project


def ask(project: Project, query: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        return reader.query(query).to_pylist()


def parted(project: Project) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Items inside and outside the gate's reserve: its lots are the hashes below a share of all."""
    query = f"SELECT item_id, text, sha256('audit:' || item_id) < '{lots(0.3)}' AS reserved FROM items ORDER BY item_id"
    rows = ask(project, query)
    return [row for row in rows if row["reserved"]], [row for row in rows if not row["reserved"]]


@pytest.fixture
def say(project: Project) -> Iterator[Say]:
    """`say(item, value)` is a person's answer, in the one file that the labelling page keeps open."""
    inbox = Inbox(project.store_folder)

    def answer(item: str, value: str, person: str = "ann", **other: Any) -> None:
        identity, at = f"{item}-{person}-{other}", "2026-11-27T04:00:00+00:00"
        inbox.append(PersonAnswer(identity, person, item, "clothes", "1", "top", at, value, **other))

    yield answer
    inbox.close()


def shown(model: Any, since: int = 0) -> list[str]:
    """The texts of the examples of each prompt, which are the same for all."""
    prompts = {json.dumps(one["messages"][:-1]) for one in model.payloads[since:]}
    assert len(prompts) == 1, "examples are the part that all requests share"
    return [one["content"] for one in json.loads(prompts.pop()) if one["role"] == "user"]


def asked(model: Any, since: int) -> list[str]:
    return [one["messages"][-1]["content"] for one in model.payloads[since:]]


def test_it_is_shown_what_people_agree_on_and_never_the_reserve(project: Project, model: Any, say: Say) -> None:
    reserve, others = parted(project)
    assert len(reserve) > 2 * WANTED
    for row in reserve:
        say(row["item_id"], "coat")
    for row in others[: WANTED - 1]:
        say(row["item_id"], "shirt")
    say(others[WANTED]["item_id"], "shirt", person="ann")  # of which the next one thinks otherwise
    say(others[WANTED]["item_id"], "coat", person="bo")
    say(others[WANTED + 1]["item_id"], "shirt")
    LabelStep().run(project, QUIET)
    say(others[WANTED + 1]["item_id"], "", reason="undone")
    LabelStep().run(project, QUIET)
    told = AnnotateStep().run(project, QUIET)
    assert shown(model) == [], f"{WANTED - 1} texts are too few"
    assert told.notes[0] == f"model: no examples yet, for people have answered {WANTED - 1} of {WANTED}"
    versions = {row["annotator_version"] for row in ask(project, "SELECT * FROM annotations WHERE annotator = 'model'")}

    say(others[WANTED - 1]["item_id"], "coat")
    LabelStep().run(project, QUIET)
    before = len(model.payloads)
    AnnotateStep().run(project, QUIET)
    texts = {row["text"] for row in others[:WANTED]}
    assert set(shown(model, before)) == texts
    assert len(shown(model, before)) == WANTED
    assert set(asked(model, before)) == {row["text"] for row in (*reserve, *others)} - texts, "it would repeat people"
    rows = ask(project, "SELECT DISTINCT annotator_version FROM annotations WHERE annotator = 'model'")
    assert len(rows) == len(versions) + 1, "its examples are part of its version"

    for row in others[WANTED + 2 : 2 * WANTED + 1]:
        say(row["item_id"], "coat")
    LabelStep().run(project, QUIET)
    before = len(model.payloads)
    AnnotateStep().run(project, QUIET)
    assert len(model.payloads) == before, "one text short of twice as many, the choice stays as it is"


def test_audited_items_stay_left_out_when_the_reserve_shrinks(
    project: Project, open_project: Callable[[Path], Project], model: Any, say: Say
) -> None:
    AnnotateStep().run(project, QUIET)
    GateStep().run(project, QUIET)
    audited = {row["item_id"] for row in ask(project, "SELECT item_id FROM audits")}
    assert audited, "the gate has drawn audits"
    for row in ask(project, "SELECT item_id FROM items"):
        say(row["item_id"], "shirt")
    LabelStep().run(project, QUIET)
    settings = project.folder / "curate.toml"
    shrunk = settings.read_text().replace("reserve = 0.3", "reserve = 0.001")
    settings.write_text(shrunk.replace("examples_from_people = 4", f"examples_from_people = {ITEMS - len(audited)}"))
    before = len(model.payloads)
    AnnotateStep().run(open_project(project.folder), QUIET)
    allowed = {row["text"] for row in ask(project, "SELECT * FROM items") if row["item_id"] not in audited}
    assert set(shown(model, before)) == allowed
