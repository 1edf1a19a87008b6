"""A new version of the protocol asks again only what it must; requests to a fake model are counted."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from curate.annotate.page.office import Office
from curate.flows.labelling import StoreDesk
from curate.flows.project import Project
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.annotators import project_protocol
from curate.flows.steps.carry import carry_over
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.label import LabelStep
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.store.inbox import Inbox
from curate.types import PersonAnswer, SilentProgress, StepReport

ITEMS = 40
TOP = {"name": "top", "question": "What is worn above?", "values": ["shirt", "coat", "none"]}
SLEEVE = {"name": "sleeve", "question": "How long are the sleeves?", "values": ["bare", "half", "long"]}
COLLAR = {"name": "collar", "question": "Is there a collar?", "values": ["yes", "no"]}
SAME: dict[str, Any] = {"from_version": "1"}


class Wardrobe:
    """A project of short texts whose protocol is written anew for each version."""

    def __init__(self, folder: Path, open_project: Callable[[Path], Project], model: Any) -> None:
        self.folder, self.open_project, self.model = folder, open_project, model
        lines = [json.dumps({"text": f"outfit number {number}"}) for number in range(ITEMS)]
        (folder / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.attributes = "attributes = []"

    def write(
        self,
        version: str,
        *attributes: dict[str, Any],
        migration: dict[str, Any] | None = None,
        earlier: tuple[dict[str, Any], ...] = (),
    ) -> Project:
        names = [attribute["name"] for attribute in attributes]
        lines = ["[[source]]", 'name = "texts"', 'path = "texts.jsonl"', "[protocol]", 'name = "clothes"']
        lines += [f'version = "{version}"', f"attribute = [{', '.join(map(toml, attributes))}]"]
        lines += [f"migration = [{', '.join(map(toml, (*earlier, migration)))}]"] if migration else []
        lines += ["[[annotator]]", 'name = "model"', 'kind = "llm"', f"attributes = {toml(names)}"]
        lines += [f'address = "{self.model.address}"', 'model = "fake"']
        lines += ["[[snapshot]]", 'name = "all"', 'label = "sleeve"'] if "sleeve" in names else []
        (self.folder / "curate.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return self.open_project(self.folder)

    def annotate(self, project: Project) -> tuple[Counter[tuple[str, ...]], StepReport]:
        """Annotate and return how often which attributes were asked for together."""
        before = len(self.model.payloads)
        report = AnnotateStep().run(project, SilentProgress())
        asked = [one["response_format"]["json_schema"]["schema"]["required"] for one in self.model.payloads[before:]]
        return Counter(map(tuple, asked)), report


@pytest.fixture
def wardrobe(tmp_path: Path, model: Any) -> Wardrobe:
    return Wardrobe(tmp_path, opened, model)


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory, fake_module: ModuleType) -> Path:
    """A project that was annotated under the first version, never to be written to."""
    folder = tmp_path_factory.mktemp("annotated")
    with fake_module.FakeLanguageModelServer() as model:
        wardrobe = Wardrobe(folder, opened, model)
        project = wardrobe.write("1", TOP, SLEEVE)
        IngestStep().run(project, SilentProgress())
        assert wardrobe.annotate(project)[0] == {("top", "sleeve"): ITEMS}
    return folder


@pytest.fixture
def first(annotated: Path, wardrobe: Wardrobe) -> Wardrobe:
    """A copy of the project that was annotated under the first version."""
    shutil.copytree(annotated, wardrobe.folder, dirs_exist_ok=True)
    wardrobe.write("1", TOP, SLEEVE)
    return wardrobe


def opened(folder: Path) -> Project:
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


def ask(project: Project, query: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        return reader.query(query).to_pylist()


def claims(project: Project, version: str) -> set[tuple[str, str, str, str]]:
    found = ask(project, f"SELECT * FROM annotations WHERE protocol_version = '{version}'")
    return {(one["item_id"], one["attribute"], one["value"], one["annotator_version"]) for one in found}


def test_an_unchanged_protocol_asks_nothing_and_leaves_old_claims_as_they_are(first: Wardrobe) -> None:
    before = claims(first.write("1", TOP, SLEEVE), "1")
    project = first.write("2", TOP, SLEEVE, migration=SAME)
    asked, report = first.annotate(project)
    assert asked == {}
    assert report.notes == (f"{2 * ITEMS} answers to older versions of the protocol were carried over",)
    assert claims(project, "1") == before
    assert {(item, name, value, f"{by}@1") for item, name, value, by in before} == claims(project, "2")
    commits = len(ask(project, "SELECT commit_number FROM commits"))
    assert first.annotate(project)[0] == {}
    assert len(ask(project, "SELECT commit_number FROM commits")) == commits, "a second time there is nothing to do"


def test_renamed_attributes_and_renamed_and_merged_values_ask_nothing(first: Wardrobe) -> None:
    length = {**SLEEVE, "name": "length", "values": ["bare", "half", "full"]}
    garment = {**TOP, "values": ["garment", "none"]}
    values = {"length": {"long": "full"}, "top": {"shirt": "garment", "coat": "garment"}}
    project = first.write(
        "2", garment, length, migration={**SAME, "attributes": {"sleeve": "length"}, "values": values}
    )
    assert first.annotate(project)[0] == {}
    words = {"long": "full", "shirt": "garment", "coat": "garment", "sleeve": "length"}
    said = {(item, words.get(name, name), words.get(value, value)) for item, name, value, _ in claims(project, "1")}
    assert {one[:3] for one in claims(project, "2")} == said


def test_a_split_value_is_asked_of_the_items_that_had_it(first: Wardrobe) -> None:
    split = {**SLEEVE, "values": ["bare", "short", "elbow", "long"]}
    project = first.write("2", TOP, split, migration={**SAME, "values": {"sleeve": {"half": ["short", "elbow"]}}})
    had = {item for item, name, value, _ in claims(project, "1") if (name, value) == ("sleeve", "half")}
    assert 0 < len(had) < ITEMS
    assert first.annotate(project)[0] == {("sleeve",): len(had)}
    now = claims(project, "2")
    assert len(now) == 2 * ITEMS
    assert {item for item, name, _, by in now if name == "sleeve" and "@" not in by} == had
    assert first.annotate(project)[0] == {}
    SnapshotStep().run(project, SilentProgress())
    labels = {one["label"] for one in ask(project, "SELECT label FROM snapshot_items")}
    assert labels <= set(split["values"]), "an answer that was asked anew replaces the old one"


@pytest.mark.parametrize(
    ("changed", "migration"),
    [
        ({**TOP, "values": [*TOP["values"], "tunic"]}, SAME),
        ({**TOP, "question": "What covers the upper body?"}, SAME),
        ({**TOP, "descriptions": {"coat": "it has buttons"}}, SAME),
    ],
)
def test_a_new_value_or_another_question_is_asked_of_all_and_nothing_else_is(
    first: Wardrobe, changed: dict[str, Any], migration: dict[str, Any]
) -> None:
    project = first.write("2", changed, SLEEVE, migration=migration)
    assert first.annotate(project)[0] == {("top",): ITEMS}


def test_other_words_that_mean_the_same_ask_nothing(first: Wardrobe) -> None:
    project = first.write("2", {**TOP, "question": "Above?"}, SLEEVE, migration={**SAME, "reworded": ["top"]})
    assert first.annotate(project)[0] == {}


def test_answers_from_before_a_merger_are_asked_again_once_the_merged_value_means_something_else(
    first: Wardrobe,
) -> None:
    garment = {**TOP, "values": ["garment", "none"], "descriptions": {"garment": "a shirt or a coat"}}
    merger = {**SAME, "to_version": "2", "values": {"top": {"shirt": "garment", "coat": "garment"}}}
    assert first.annotate(first.write("2", garment, SLEEVE, migration=merger))[0] == {}
    redefined = {**garment, "descriptions": {"garment": "whatever is worn"}}
    project = first.write("3", redefined, SLEEVE, migration={"from_version": "2"}, earlier=(merger,))
    assert first.annotate(project)[0] == {("top",): ITEMS}


def test_a_new_attribute_alone_is_asked(first: Wardrobe) -> None:
    assert first.annotate(first.write("2", TOP, SLEEVE, COLLAR, migration=SAME))[0] == {("collar",): ITEMS}


def test_without_a_migration_everything_is_asked(first: Wardrobe) -> None:
    assert first.annotate(first.write("2", {**TOP, "question": "?"}, SLEEVE))[0] == {("top", "sleeve"): ITEMS}


def test_a_protocol_that_changes_under_its_old_version_is_told(first: Wardrobe) -> None:
    asked, report = first.annotate(first.write("1", {**TOP, "question": "Above?"}, SLEEVE))
    assert asked == {("top", "sleeve"): ITEMS}, "answers to another question do not count"
    assert any("give it another version, and a [[protocol.migration]]" in note for note in report.notes)


def test_a_question_is_asked_only_where_it_applies_and_when_it_comes_to(wardrobe: Wardrobe) -> None:
    project = wardrobe.write("1", TOP, {**SLEEVE, "when": {"top": ["shirt", "coat"]}})
    IngestStep().run(project, SilentProgress())
    asked, _ = wardrobe.annotate(project)
    tops = {item: value for item, name, value, _ in claims(project, "1") if name == "top"}
    with_top = {item for item, value in tops.items() if value != "none"}
    assert 0 < len(with_top) < ITEMS
    assert asked == {("top",): ITEMS, ("sleeve",): len(with_top)}
    assert {item for item, name, _, _ in claims(project, "1") if name == "sleeve"} == with_top
    assert wardrobe.annotate(project)[0] == {}

    bare, clothed = min(tops.keys() - with_top), min(with_top)
    answer(project, bare, "top", "coat")
    answer(project, clothed, "top", "none")
    LabelStep().run(project, SilentProgress())
    assert wardrobe.annotate(project)[0] == {("sleeve",): 1}, "a person says that there is a top after all"
    assert bare in {item for item, name, _, _ in claims(project, "1") if name == "sleeve"}


def test_peoples_answers_are_carried_over_whenever_they_are_taken_in(first: Wardrobe) -> None:
    project = first.write("1", TOP, SLEEVE)
    items = sorted({item for item, *_ in claims(project, "1")})
    answer(project, items[0], "sleeve", "half")
    answer(project, items[1], "sleeve", "long")
    LabelStep().run(project, SilentProgress())
    split = {**SLEEVE, "values": ["bare", "short", "elbow", "long"]}
    project = first.write("2", TOP, split, migration={**SAME, "values": {"sleeve": {"half": ["short", "elbow"]}}})
    answer(project, items[2], "top", "coat")  # from a page that still asked the first version
    LabelStep().run(project, SilentProgress())
    query = "SELECT * FROM annotations WHERE annotator = 'ann' AND protocol_version = '2'"
    found = {(one["item_id"], one["attribute"], one["value"]) for one in ask(project, query)}
    assert found == {(items[1], "sleeve", "long"), (items[2], "top", "coat")}


def test_people_are_asked_only_what_applies_and_what_they_have_not_answered(first: Wardrobe) -> None:
    project = first.write("1", TOP, SLEEVE)
    items = sorted({item for item, *_ in claims(project, "1")})
    answer(project, items[0], "sleeve", "half")
    answer(project, items[1], "sleeve", "long")
    LabelStep().run(project, SilentProgress())
    split = {**SLEEVE, "values": ["bare", "short", "elbow", "long"], "when": {"top": ["shirt", "coat"]}}
    project = first.write("2", TOP, split, migration={**SAME, "values": {"sleeve": {"half": ["short", "elbow"]}}})
    carry_over(project)
    clothed = {item for item, name, value, _ in claims(project, "2") if name == "top" and value != "none"}
    with closing(StoreDesk(project)) as desk:
        office = Office(desk, project_protocol(project))
        open_questions = {(one.item_id, one.attribute) for one in desk.questions(set(), 10 * ITEMS)}
        assert open_questions == {(item, "top") for item in items} | {(item, "sleeve") for item in clothed}
        answered = {(one.item_id, one.attribute) for one in office.standing()}
        assert answered == {(items[1], "sleeve")}, "the split value is asked again"
        place = (min(clothed - set(items[:2])), "sleeve")
        question = office.question(*place)
        assert office._is_for("bo", question)
        office.answer("bo", (place[0], "top"), value="none", answer_id="1")
        assert not office._is_for("bo", question), "bo has just said that there is no top"


def answer(project: Project, item: str, attribute: str, value: str) -> None:
    """Let a person answer, under the first version of the protocol."""
    inbox = Inbox(project.store_folder)
    said = PersonAnswer(
        f"{item}-{attribute}", "ann", item, "clothes", "1", attribute, "2026-11-26T12:00:00+00:00", value
    )
    inbox.append(said)
    inbox.close()


def test_a_dry_run_counts_only_what_will_be_asked_after_answers_were_carried_over(first: Wardrobe) -> None:
    unchanged = AnnotateStep().plan(first.write("2", TOP, SLEEVE, migration=SAME), SilentProgress())
    assert (unchanged.to_do, unchanged.calls, unchanged.tokens) == (0, 0, 0)
    assert unchanged.notes == (f"model: {ITEMS} items need no question, their answers still hold",)
    whole = AnnotateStep().plan(first.write("2", TOP, SLEEVE), SilentProgress())
    split = {**SLEEVE, "values": ["bare", "short", "elbow", "long"]}
    project = first.write("2", TOP, split, migration={**SAME, "values": {"sleeve": {"half": ["short", "elbow"]}}})
    plan = AnnotateStep().plan(project, SilentProgress())
    assert ask(project, "FROM annotations WHERE protocol_version = '2'") == []
    asked, _ = first.annotate(project)
    assert plan.to_do == plan.calls == asked["sleeve",] == sum(asked.values())
    assert 0 < plan.calls < whole.calls == ITEMS
    assert plan.tokens / plan.calls < whole.tokens / whole.calls


def test_a_dry_run_leaves_out_what_earlier_answers_say_does_not_apply(first: Wardrobe) -> None:
    tops = {
        item for item, name, value, _ in claims(first.write("1", TOP, SLEEVE), "1") if (name, value) == ("top", "shirt")
    }
    button = {"name": "button", "question": "Has it buttons?", "values": ["yes", "no"], "when": {"top": ["shirt"]}}
    project = first.write("2", TOP, SLEEVE, button, migration=SAME)
    plan = AnnotateStep().plan(project, SilentProgress())
    assert plan.to_do == plan.calls == len(tops) < ITEMS
    asked, _ = first.annotate(project)
    assert asked == {("button",): len(tops)}
