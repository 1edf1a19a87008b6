"""The step `filter-scores` over a real store: items out of a score's bounds, and back within them."""

from pathlib import Path
from typing import Any

import pytest

from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps import filter_scores as module
from curate.flows.steps.filter_scores import FilterScoresStep
from curate.settings import Settings, load_settings
from curate.store.write import Write, rows
from curate.types import SilentProgress, StepReport

NAN = float("nan")


class Bench:
    """A project whose scores come from the test."""

    def __init__(self, folder: Path, *rules: dict[str, Any]) -> None:
        self.folder = folder
        self.use(*rules)

    def use(self, *rules: dict[str, Any]) -> None:
        self.project = Project(self.folder, Settings.model_validate({"filter": {"score": rules}}), "test")

    def score(self, selector: str, scores: dict[str, float], version: str = "1") -> None:
        columns = {"item_id": list(scores), "selector": selector, "selector_version": version, "target": ""}
        table = rows("scores", {**columns, "score": list(scores.values())}, len(scores))
        self.project.store.commit(Write("align", {"scores": table}))

    def claim(
        self, annotator: str, claims: dict[str, tuple[str, float]], kind: str = "clip", version: str = "1"
    ) -> None:
        columns = {
            "item_id": list(claims),
            "protocol": "default",
            "protocol_version": "1",
            "attribute": "style",
            "value": [value for value, _ in claims.values()],
            "confidence": [confidence for _, confidence in claims.values()],
            "annotator": annotator,
            "annotator_kind": kind,
            "annotator_version": version,
        }
        self.project.store.commit(Write("annotate", {"annotations": rows("annotations", columns, len(claims))}))

    def run(self) -> StepReport:
        return FilterScoresStep().run(self.project, SilentProgress())

    def to_do(self) -> int:
        return FilterScoresStep().plan(self.project, SilentProgress()).to_do

    def decisions(self) -> dict[str, tuple[str, str]]:
        with self.project.reader() as reader:
            found = reader.query("SELECT * FROM latest_decisions WHERE step = 'filter-scores'").to_pylist()
        return {row["item_id"]: (row["action"], row["reason"]) for row in found}

    def commits(self) -> int:
        return self.project.reader().commit_number


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(
        tmp_path / "project",
        {"selector": "align", "min": 0.1},
        {"selector": "clip:aesthetic", "max": 5, "action": "query"},
    )
    bench.score("align", {"low": 0.05, "edge": 0.1, "high": 0.9, "none": NAN, "both": 0.0})
    bench.score("clip:aesthetic", {"high": 6.0, "both": 6.0, "edge": 5.0})
    return bench


def test_items_out_of_bounds_are_decided_with_the_bound_named(bench: Bench) -> None:
    assert bench.to_do() == 3
    report = bench.run()
    assert bench.decisions() == {
        "low": ("drop", "score: align below 0.1"),
        "high": ("query", "score: clip:aesthetic above 5"),
        "both": ("drop", "score: align below 0.1; score: clip:aesthetic above 5"),
    }
    assert report.done == 3
    assert bench.to_do() == 0
    before = bench.commits()
    assert bench.run().idle
    assert bench.commits() == before


def test_newer_scores_count_and_nan_takes_them_back(bench: Bench) -> None:
    bench.run()
    bench.score("align", {"low": 0.5, "high": NAN, "edge": 0.01, "both": NAN}, version="2")
    assert bench.run().done == 3
    assert bench.decisions()["both"] == ("query", "score: clip:aesthetic above 5")
    assert bench.decisions()["low"] == ("keep", "its scores are within all bounds")
    assert bench.decisions()["edge"] == ("drop", "score: align below 0.1")
    assert bench.decisions()["high"] == ("query", "score: clip:aesthetic above 5")


def test_other_bounds_judge_all_anew_and_none_take_everything_back(bench: Bench) -> None:
    bench.run()
    bench.use({"selector": "align", "min": 0.95})
    bench.run()
    assert {item for item, (action, _) in bench.decisions().items() if action == "drop"} == {
        "low",
        "edge",
        "high",
        "both",
    }
    bench.use()
    assert bench.run().done == 4
    assert {action for action, _ in bench.decisions().values()} == {"keep"}
    assert bench.run().idle


def test_claims_are_scores_too(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path / "project",
        {"selector": "look:style=photo", "min": 0.6},
        {"selector": "learner:pupil:style=drawing", "max": 0.5, "action": "query"},
    )
    bench.claim("look", {"sure": ("photo", 0.9), "unsure": ("photo", 0.5), "other": ("drawing", 0.99)})
    bench.claim("learner:pupil", {"sure": ("drawing", 0.7), "silent": ("photo", 1.0)}, "learner")
    bench.claim("ada", {"asked": ("drawing", 1.0)}, "human")
    bench.run()
    assert bench.decisions() == {
        "unsure": ("drop", "score: look:style=photo below 0.6"),
        "other": ("drop", "score: look:style=photo below 0.6"),
        "sure": ("query", "score: learner:pupil:style=drawing above 0.5"),
    }
    assert bench.run().idle
    bench.claim("look", {"other": ("photo", 0.8)}, version="2")
    assert bench.to_do() == 1
    bench.run()
    assert bench.decisions()["other"] == ("keep", "its scores are within all bounds")


def test_a_claim_that_a_newer_version_does_not_repeat_is_no_score_any_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "project", {"selector": "look:style=photo", "max": 0.6})
    bench.claim("look", {"one": ("photo", 0.9), "two": ("photo", 0.9)})
    bench.run()
    assert {item: action for item, (action, _) in bench.decisions().items()} == {"one": "drop", "two": "drop"}
    columns = {"item_id": ["one"], "protocol": "default", "protocol_version": "1", "attribute": "style"}
    columns |= {"reason": "silent", "annotator": "look", "annotator_version": "2"}
    bench.project.store.commit(Write("annotate", {"abstentions": rows("abstentions", columns, 1)}))
    assert bench.to_do() == 1
    bench.run()
    assert {item: action for item, (action, _) in bench.decisions().items()} == {"one": "keep", "two": "drop"}
    assert bench.run().idle


def test_the_posterior_of_all_is_a_score(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "project", {"selector": "consensus:style=photo", "min": 0.6})
    columns = {"protocol": "default", "protocol_version": "1", "attribute": "style", "method": "majority", "votes": 3}
    columns |= {"item_id": ["a", "b"], "value": ["photo", "photo"], "posterior": [0.9, 0.4]}
    bench.project.store.commit(Write("consensus", {"consensus": rows("consensus", columns, 2)}))
    bench.run()
    assert bench.decisions() == {"b": ("drop", "score: consensus:style=photo below 0.6")}


def test_batches_do_what_one_would(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 1)
    assert bench.run().done == 3
    assert bench.to_do() == 0
    bench.score("align", {"new": 0.0})
    assert bench.run().done == 1


def test_without_rules_it_is_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "project")
    bench.score("align", {"low": 0.0})
    assert bench.run().notes == ("no [[filter.score]]",)
    assert bench.to_do() == 0


def test_two_runs_at_once_decide_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Bench(bench.folder)
    other.project = bench.project
    asked = module.unsettled

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(module, "unsettled", asked)
        found = asked(*arguments)
        other.run()
        return found

    monkeypatch.setattr(module, "unsettled", meanwhile)
    assert bench.run().done == 0
    with bench.project.reader() as reader:
        assert len(reader.query("FROM decisions")) == 3


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ('[[filter.score]]\nselector = "align"\n', "bounds nothing"),
        ('[[filter.score]]\nselector = "align"\nmin = 1\nmax = 0\n', "no 'align' score lies between"),
        ('[[filter.score]]\nselector = "a"\nmin = 1\n[[filter.score]]\nselector = "a"\nmax = 0\n', "two ranges"),
        ('[[filter.score]]\nselector = "a"\nmin = nan\n', "filter.score"),
        ('[[filter.score]]\nselector = "nobody:style=photo"\nmin = 1\n', "annotator 'nobody'"),
        ('[[filter.score]]\nselector = "consensus:style=photo"\nmin = 1\n', "attribute 'style'"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(tmp_path: Path, rules: str, message: str) -> None:
    (tmp_path / "curate.toml").write_text(rules)
    with pytest.raises(ConfigurationError, match=message):
        load_settings(tmp_path / "curate.toml")


def test_a_selector_that_has_scored_nothing_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "project", {"selector": "algin", "min": 0.1}, {"selector": "align", "min": 0.1})
    assert bench.run().notes == ()
    empty = dict.fromkeys(("image", "events", "time_unit"))
    columns = {"item_id": ["a"], "text": "text", "size": 1, "modality": "text", **empty}
    bench.project.store.commit(Write("ingest", {"items": rows("items", columns, 1)}))
    bench.score("align", {"a": 0.0})
    assert FilterScoresStep().plan(bench.project, SilentProgress()).notes == ("no item has a score of 'algin'",)
    assert bench.run().notes == ("no item has a score of 'algin'",)
    assert bench.decisions()["a"][0] == "drop"
