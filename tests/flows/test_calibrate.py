"""The step `calibrate` over a real store: confidences that were planted, and people's answers about them."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.annotate.calibration import ClaimTemperature
from curate.flows.project import Project
from curate.flows.steps.annotators import project_protocol
from curate.flows.steps.calibrate import CalibrateStep, known_map
from curate.flows.steps.gate import gate_scope
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.report import ReportStep, report_path
from curate.settings import load_settings
from curate.store.write import Write, rows
from curate.types import SilentProgress

QUIET = SilentProgress()
OFF = 'method = "none" in [calibration], or the protocol asks nothing'
SETTINGS = """
[[source]]
name = "notes"
path = "notes.jsonl"

[protocol]
name = "notes"
version = "1"

[[protocol.attribute]]
name = "topic"
question = "What is it about?"
values = ["sea", "land"]
"""
ON = "FROM metrics WHERE subject = 'calibration of model on notes/1/topic'"


class Bench:
    """A project with notes of one topic, and a model that is far too sure of itself."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        lines = [json.dumps({"text": f"note {number} of the sea"}) for number in range(400)]
        (folder / "notes.jsonl").write_text("\n".join(lines), encoding="utf-8")
        self.project = self.opened(more)
        IngestStep().run(self.project, QUIET)
        self.ids = [row["item_id"] for row in self.ask("SELECT item_id FROM items ORDER BY item_id")]

    def opened(self, more: str = "") -> Project:
        (self.folder / "curate.toml").write_text(SETTINGS + more, encoding="utf-8")
        return Project(self.folder, load_settings(self.folder / "curate.toml", {}), command="test")

    def ask(self, sql: str) -> list[dict[str, Any]]:
        with self.project.reader() as reader:
            found: list[dict[str, Any]] = reader.query(sql).to_pylist()
            return found

    def figures(self) -> dict[str, float]:
        newest = f"{ON} AND number = (SELECT max(number) {ON})"
        return {row["name"]: row["value"] for row in self.ask(newest) if row["name"] != "map"}

    def claim(self, ids: list[str], version: str = "1", kind: str = "llm", seed: int = 0) -> None:
        """Claims of a model whose temperature is a third of what it should be."""
        dice = random.Random(seed)
        honest = [dice.uniform(0.5, 1.0) for _ in ids]
        values = ["sea" if dice.random() < share else "land" for share in honest]
        sure = ClaimTemperature(1 / 3, 2)(np.array(honest))
        self._say("model", version, kind, ids, values, sure.tolist())

    def answer(self, ids: list[str], person: str = "ada") -> None:
        self._say(person, "1", "human", ids, ["sea"] * len(ids), [1.0] * len(ids))

    def train(self, ids: list[str]) -> None:
        """Put items into the training part of a snapshot."""
        columns = {"snapshot": "notes", "number": 1, "item_id": ids, "label": "sea", "split": "train", "score": 0.0}
        self.project.store.commit(Write("snapshot", {"snapshot_items": rows("snapshot_items", columns, len(ids))}))

    def _say(
        self, who: str, version: str, kind: str, ids: list[str], values: list[str], confidence: list[float]
    ) -> None:
        named = {"protocol": "notes", "protocol_version": "1", "attribute": "topic"}
        said = {"annotator": who, "annotator_kind": kind, "annotator_version": version, "value": values}
        columns = {"item_id": ids, **named, **said, "confidence": confidence}
        self.project.store.commit(Write("test", {"annotations": rows("annotations", columns, len(ids))}))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_error_is_measured_before_and_after(bench: Bench) -> None:
    bench.claim(bench.ids)
    bench.answer(bench.ids[:300])
    plan = CalibrateStep().plan(bench.project, QUIET)
    assert (plan.to_do, plan.notes) == (1, ("counted in pairs of annotator and attribute",))
    report = CalibrateStep().run(bench.project, QUIET)
    assert list(report.details) == ["calibration of model on notes/1/topic"]
    figures = bench.figures()
    assert figures["gold answers"] == 300
    assert figures["accuracy"] == pytest.approx(0.75, abs=0.08)
    assert figures["ECE before"] > 0.12 > figures["ECE after"] + 0.03
    assert figures["temperature"] > 1.5
    assert 0.85 < figures["least"] < 1.0
    assert CalibrateStep().run(bench.project, QUIET).idle
    ReportStep().run(bench.project, QUIET)
    page = report_path(bench.project).read_text(encoding="utf-8")
    assert "<h3>Calibration</h3>" in page
    assert "notes/1/topic" in page


def test_what_trained_something_is_no_gold(bench: Bench) -> None:
    bench.claim(bench.ids)
    bench.answer(bench.ids[:160])
    bench.train(bench.ids[:100])
    CalibrateStep().run(bench.project, QUIET)
    assert bench.figures()["gold answers"] == 60
    bench.train(bench.ids[100:120])
    assert CalibrateStep().run(bench.project, QUIET).idle  # 40 are too few


def test_new_answers_and_new_versions_are_looked_at_again(bench: Bench) -> None:
    bench.claim(bench.ids)
    bench.answer(bench.ids[:100])
    CalibrateStep().run(bench.project, QUIET)
    bench.answer(bench.ids[100:200])
    assert CalibrateStep().run(bench.project, QUIET).done == 1
    assert bench.figures()["gold answers"] == 200
    bench.claim(bench.ids[:150], version="2", seed=1)
    assert CalibrateStep().run(bench.project, QUIET).done == 1
    assert bench.figures()["gold answers"] == 150
    assert {row["checkpoint"] for row in bench.ask(ON)} == {"1", "2"}


def test_rules_and_people_have_no_probabilities(bench: Bench) -> None:
    bench.claim(bench.ids, kind="rule")
    bench.answer(bench.ids)
    assert CalibrateStep().plan(bench.project, QUIET).to_do == 0


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path, '[calibration]\nmethod = "none"\n')
    bench.claim(bench.ids)
    bench.answer(bench.ids)
    assert CalibrateStep().run(bench.project, QUIET).notes == (OFF,)


def test_a_protocol_that_asks_nothing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "a.txt").write_text("nobody is asked about this")
    (tmp_path / "curate.toml").write_text('[[source]]\nname = "inbox"\npath = "inbox"\n')
    project = Project(tmp_path, load_settings(tmp_path / "curate.toml", {}), command="test")
    IngestStep().run(project, QUIET)
    assert CalibrateStep().plan(project, QUIET).notes == (OFF,)
    assert CalibrateStep().run(project, QUIET).notes == (OFF,)


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_what_was_learned_is_read_back(bench: Bench, method: str) -> None:
    bench.claim(bench.ids)
    bench.answer(bench.ids)
    project = bench.opened(f'[calibration]\nmethod = "{method}"\n')
    scope, [attribute] = gate_scope(project), project_protocol(project).attributes
    with project.reader() as reader:
        assert known_map(reader, scope, attribute, "model") is None
    CalibrateStep().run(project, QUIET)
    with project.reader() as reader:
        found = known_map(reader, scope, attribute, "model")
    assert found is not None
    honest = np.array([0.6, 0.75, 0.9])
    assert found(ClaimTemperature(1 / 3, 2)(honest)) == pytest.approx(honest, abs=0.12)
    assert ("temperature" in bench.figures()) == (method == "temperature")
