"""Rules of a project that are Python functions: found in its folder or in a package, asked anew when they change."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.ingest import IngestStep
from curate.settings import load_settings
from curate.types import SilentProgress, StepReport

SETTINGS = """
[[source]]
name = "notes"
path = "notes.jsonl"

[[protocol.attribute]]
name = "length"
question = "How long is it?"
values = ["short", "long"]

[[annotator]]
name = "functions"
kind = "rule"
rules = [{{ attribute = "length", {rule} }}]
"""
BY_WORDS = """
def measured(text):
    if "?" in text:
        raise ValueError("a question")
    if "!" in text:
        return "loud"
    return None if not text[0].isalpha() else "long" if len(text.split()) > {most} else "short"
"""
TEXTS = ["one two three four five", "one two", "12", "why?", "now!"]
OWN = 'function = "rules:measured"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [json.dumps({"text": text}) for text in TEXTS]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "rules.py").write_text(BY_WORDS.format(most=3), encoding="utf-8")
    return tmp_path


def annotate(folder: Path, rule: str = OWN) -> tuple[Project, StepReport]:
    (folder / "curate.toml").write_text(SETTINGS.format(rule=rule), encoding="utf-8")
    project = Project(folder, load_settings(folder / "curate.toml", {}), command="test")
    IngestStep().run(project, SilentProgress())
    return project, AnnotateStep().run(project, SilentProgress())


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


def test_a_function_of_the_project_answers_abstains_and_fails(folder: Path) -> None:
    project, report = annotate(folder)
    assert (report.done, report.failed) == (3, 2)
    claims = ask(project, "SELECT text, value FROM annotations JOIN items USING (item_id) ORDER BY text")
    assert claims == [{"text": "one two", "value": "short"}, {"text": TEXTS[0], "value": "long"}]
    reasons = [row["reason"] for row in ask(project, "SELECT reason FROM failures ORDER BY reason")]
    assert reasons == [
        "the rule measured answered 'loud', no value of 'length'",
        "the rule measured raised ValueError: a question",
    ]
    assert annotate(folder)[1].idle


def test_a_changed_function_is_asked_anew_in_the_same_process(folder: Path) -> None:
    annotate(folder)
    (folder / "rules.py").write_text(BY_WORDS.format(most=9), encoding="utf-8")
    project, report = annotate(folder)
    assert report.done == 3
    newest = "SELECT arg_max(value, commit_number) AS value FROM annotations GROUP BY item_id"
    assert [row["value"] for row in ask(project, newest)] == ["short", "short"]


def test_the_version_is_what_the_settings_say_where_they_do(folder: Path) -> None:
    annotate(folder, OWN + ', version = "1"')
    (folder / "rules.py").write_text(BY_WORDS.format(most=9), encoding="utf-8")
    assert annotate(folder, OWN + ', version = "1"')[1].idle
    assert annotate(folder, OWN + ', version = "2"')[1].done == 3


def test_a_function_of_a_package_is_found(folder: Path) -> None:
    project, report = annotate(folder, 'function = "statistics:mode", version = "1"')
    assert report.failed == len(TEXTS)
    assert "no value of 'length'" in ask(project, "SELECT reason FROM failures")[0]["reason"]


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ('function = "rules:nothing"', "no function of rules.py"),
        ('function = "rules:__name__"', "cannot be called"),
        ('function = "no_such_module:x"', "leads to no function"),
        ('function = "rules:measured", value = "long"', "or else a function"),
        ('value = "long"', "or else a function"),
        ('value = "long", pattern = "x", version = "1"', "or else a function"),
        ('value = "loud", pattern = "x"', "unknown value 'loud'"),
    ],
)
def test_rules_that_cannot_be_are_refused(folder: Path, rule: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        annotate(folder, rule)
