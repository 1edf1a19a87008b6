"""Labels of sources meet the closed lists of the protocol."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate.flows.project import Project
from curate.flows.steps import step_named
from curate.settings import load_settings
from curate.types import SilentProgress, StepReport

PROTOCOL = """
[protocol]
name = "p"
[[protocol.attribute]]
name = "kind"
question = "What is it?"
values = ["cat", "dog"]
"""
LABELS = ["cat", "dogg", "dog", None, "bird"]


def _project(folder: Path) -> Project:
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def _ingest(folder: Path, labels: list[Any], *, protocol: str = PROTOCOL, attribute: str = "kind") -> StepReport:
    rows = [{"text": f"text {row}", "label": label} for row, label in enumerate(labels)]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = f'[[source]]\nname = "s"\npath = "a.jsonl"\nlabel = "label"\nattribute = "{attribute}"\n'
    (folder / "curate.toml").write_text(source + protocol)
    return step_named("ingest").run(_project(folder), SilentProgress())


def _rows(folder: Path, question: str) -> list[tuple[Any, ...]]:
    with _project(folder).reader() as reader:
        return [tuple(row.values()) for row in reader.query(question).to_pylist()]


def test_a_label_that_is_no_value_is_refused_and_its_item_kept(tmp_path: Path) -> None:
    report = _ingest(tmp_path, LABELS)
    assert (report.done, report.rejected, report.notes) == (5, 2, ())
    assert report.details["rejected: unknown-value"] == 2
    assert _rows(tmp_path, "SELECT value FROM annotations ORDER BY value") == [("cat",), ("dog",)]
    rejects = _rows(tmp_path, "SELECT locator, detail FROM rejects ORDER BY locator")
    assert [locator for locator, _ in rejects] == ["a.jsonl#2", "a.jsonl#5"]
    assert rejects[0][1] == ("the label 'dogg' is none of the values of 'kind': cat, dog; the item came in without it")


def test_where_every_label_is_refused_nothing_is_said_of_missing_ones(tmp_path: Path) -> None:
    report = _ingest(tmp_path, ["x", "y"])
    assert (report.done, report.rejected, report.notes) == (2, 2, ())


def test_an_attribute_that_the_protocol_lacks_is_open(tmp_path: Path) -> None:
    assert _ingest(tmp_path, LABELS, attribute="topic").rejected == 0
    assert len(_rows(tmp_path, "SELECT value FROM annotations")) == 4


@pytest.mark.parametrize(("label", "kept"), [('["dog", "cat"]', '["cat", "dog"]'), ("dog", '["dog"]'), ("[]", "[]")])
def test_several_values_come_in_in_one_spelling(tmp_path: Path, label: str, kept: str) -> None:
    report = _ingest(tmp_path, [label, '["bird"]'], protocol=PROTOCOL + "multiple = true\n")
    assert report.rejected == 1
    assert _rows(tmp_path, "SELECT value FROM annotations") == [(kept,)]
