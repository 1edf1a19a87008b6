"""The step `filter` over a real store: decisions with reasons, and never what stands in the text."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curate.errors import BadDataError, UnknownNameError
from curate.flows.project import Project
from curate.flows.steps.filter import FilterStep
from curate.settings import Settings
from curate.store import summaries
from curate.store.snapshots import SnapshotSpec, draft_snapshot
from curate.store.write import Write, rows
from curate.types import SilentProgress, StepReport

EMAIL, IBAN = "jane.roe@mailbox.org", "DE89370400440532013000"
TOKEN = "ghp_" + "a1B2" * 9
PERSONAL = {"personal_data": {"enabled": True}}
BOTH = {**PERSONAL, "secrets": {"enabled": True, "action": "query"}}
TEXTS = {
    "clean": "a text about nothing in particular",
    "email": f"write to {EMAIL}",
    "bank": f"write to {EMAIL}, or pay to {IBAN} and {IBAN}",
    "token": f"token {TOKEN}",
    "both": f"{TOKEN} is from {EMAIL}",
}


class Bench:
    """A project whose texts come from the test, and questions about what was decided."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        self.folder = folder
        self.use(**rules)

    def use(self, **rules: Any) -> None:
        self.project = Project(self.folder, Settings.model_validate({"filter": rules}), "test")

    def add(self, texts: dict[str, str]) -> None:
        columns = {"item_id": list(texts), "text": list(texts.values()), "size": 1}
        empty = dict.fromkeys(("image", "events", "time_unit"))
        items = rows("items", {**columns, **empty, "modality": "text"}, len(texts))
        self.project.store.commit(Write("ingest", {"items": items}))

    def decide(self, ids: Sequence[str], action: str, step: str) -> None:
        decisions = rows("decisions", {"item_id": list(ids), "step": step, "action": action, "reason": "test"})
        self.project.store.commit(Write(step, {"decisions": decisions}))

    def run(self) -> StepReport:
        return FilterStep().run(self.project, SilentProgress())

    def ask(self, sql: str) -> list[dict[str, Any]]:
        with self.project.reader() as reader:
            found: list[dict[str, Any]] = reader.query(sql).to_pylist()
            return found

    def decisions(self) -> dict[str, tuple[str, str]]:
        found = self.ask("SELECT item_id, action, reason FROM latest_decisions WHERE step = 'filter'")
        return {row["item_id"]: (row["action"], row["reason"]) for row in found}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path / "project", **BOTH)
    bench.add(TEXTS)
    return bench


def test_findings_are_decisions_with_reasons(bench: Bench) -> None:
    report = bench.run()
    assert bench.decisions() == {
        "email": ("drop", "personal data: email address"),
        "bank": ("drop", "personal data: email address, IBAN"),
        "token": ("query", "secrets: access token"),
        "both": ("drop", "personal data: email address; secrets: access token"),
    }
    assert report.done == len(TEXTS)
    assert report.details == {
        "drop: personal data: email address": 1,
        "drop: personal data: email address, IBAN": 1,
        "drop: personal data: email address; secrets: access token": 1,
        "query: secrets: access token": 1,
    }


def test_no_value_is_kept_outside_the_items(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    report = bench.run()
    for table in ("decisions", "ledger", "cursors", "commits", "failures"):
        shown = str(bench.ask(f"FROM {table}"))
        assert not any(value in shown for value in (EMAIL, IBAN, TOKEN)), table
    assert EMAIL not in str(report)
    assert EMAIL not in "".join(capfd.readouterr())


def test_a_second_run_writes_nothing_and_new_texts_alone_are_looked_through(bench: Bench) -> None:
    bench.run()
    before = bench.project.reader().commit_number
    assert bench.run().idle
    assert bench.project.reader().commit_number == before
    bench.add({"new": f"also {EMAIL}"})
    assert FilterStep().plan(bench.project, SilentProgress()).to_do == 1
    assert bench.run().done == 1
    assert bench.decisions()["new"] == ("drop", "personal data: email address")


def test_the_plan_counts_and_writes_nothing(bench: Bench) -> None:
    plan = FilterStep().plan(bench.project, SilentProgress())
    assert (plan.to_do, plan.already_done) == (len(TEXTS), 0)
    assert bench.decisions() == {}


def test_switched_off_it_does_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "project")
    bench.add(TEXTS)
    assert bench.run().idle
    assert FilterStep().plan(bench.project, SilentProgress()).notes == ("every rule is switched off in [filter]",)


@pytest.mark.parametrize(
    ("rules", "email"),
    [
        ({"personal_data": {"enabled": True, "allow": ["*@mailbox.org"]}}, ("keep", "nothing is found in it any more")),
        ({"personal_data": {"enabled": True, "kinds": ["IBAN"]}}, ("keep", "nothing is found in it any more")),
        ({"personal_data": {"enabled": True, "action": "keep"}}, ("keep", "personal data: email address")),
        ({"personal_data": {"enabled": True, "action": "query"}}, ("query", "personal data: email address")),
        ({"secrets": {"enabled": True}}, ("keep", "nothing is found in it any more")),
        ({}, ("keep", "nothing is found in it any more")),
    ],
)
def test_other_settings_judge_anew_and_so_does_going_back(
    bench: Bench, rules: dict[str, Any], email: tuple[str, str]
) -> None:
    bench.run()
    first = bench.decisions()
    bench.use(**rules)
    assert bench.run().done == len(TEXTS)
    assert bench.decisions()["email"] == email
    assert bench.run().idle
    bench.use(**BOTH)
    bench.run()
    assert {item: bench.decisions()[item] for item in first} == first


def test_what_another_step_dropped_is_not_looked_through_until_it_returns(bench: Bench) -> None:
    bench.decide(["email", "clean"], "drop", "dedup")
    assert bench.run().done == len(TEXTS) - 2
    bench.decide(["email"], "keep", "dedup")
    assert bench.run().done == 1
    assert bench.decisions()["email"] == ("drop", "personal data: email address")


def test_two_runs_at_once_decide_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Bench(bench.folder, **BOTH)
    steps: list[StepReport] = []

    def meanwhile() -> None:
        if not steps:
            steps.append(other.run())

    from curate.flows.steps import filter as module

    judge = module._judge

    def slow_judge(*arguments: Any) -> Any:
        found = judge(*arguments)
        monkeypatch.setattr(module, "_judge", judge)
        meanwhile()
        return found

    monkeypatch.setattr(module, "_judge", slow_judge)
    assert bench.run().done == 0
    assert steps[0].done == len(TEXTS)
    assert len(bench.ask("FROM decisions WHERE step = 'filter'")) == 4


def test_images_are_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "project", **PERSONAL)
    columns = {"item_id": ["i"], "modality": "image", "text": None, "image": [b"x"], "events": None, "time_unit": None}
    bench.project.store.commit(Write("ingest", {"items": rows("items", {**columns, "size": 1}, 1)}))
    assert bench.run().idle


def test_quality_and_language_name_their_rules(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path / "project",
        quality={
            "enabled": True,
            "sets": ["gopher-quality"],
            "bounds": {"gopher_short_doc": 5},
            "without": ["gopher_enough_stop_words"],
        },
        language={"enabled": True, "action": "query", "languages": ["en"]},
    )
    german = "Dies ist ein ganz gewöhnlicher deutscher Satz über gar nichts."
    bench.add({"good": "a plain English sentence about nothing in particular", "short": "too short", "german": german})
    bench.run()
    assert bench.decisions() == {
        "short": ("drop", "quality: gopher_short_doc; language: cannot be told"),
        "german": ("query", "language: de"),
    }


def test_a_rule_that_does_not_exist_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "project", quality={"enabled": True, "without": ["gopher_short_docs"]})
    with pytest.raises(UnknownNameError, match=r"unknown quality rule 'gopher_short_docs'"):
        bench.run()


def test_contaminated_texts_are_dropped_with_the_item_named(tmp_path: Path) -> None:
    item = "How many sheep does the farmer still own when the week ends and the market has closed its gates?"
    evaluations = tmp_path / "project" / "sheep.jsonl"
    evaluations.parent.mkdir()
    evaluations.write_text(f'{{"question": "nothing of the kind"}}\n{{"question": "{item}"}}\n')
    rule = {"enabled": True, "evaluations": ["sheep.jsonl"], "text": "question"}
    bench = Bench(tmp_path / "project", contamination={**rule, "methods": ["shared-runs"]})
    bench.add({"clean": "a text about sheep", "copied": f"He asked:\n{item.upper()}"})
    bench.run()
    [(copied, decision)] = bench.decisions().items()
    assert (copied, *decision) == ("copied", "drop", "contamination: sheep.jsonl#2 (100%, shared runs)")
    evaluations.write_text('{"question": "an evaluation set that has changed"}\n{"question": "--"}\n{}\n')
    report = bench.run()
    assert report.done == 2
    assert report.notes == (
        "1 rows of the evaluation set 'sheep.jsonl' are unusable, first sheep.jsonl#3: missing-text",
        "1 evaluation items have nothing to compare (shared runs), first sheep.jsonl#2",
    )
    assert FilterStep().plan(bench.project, SilentProgress()).notes == report.notes
    assert bench.decisions()["copied"][0] == "keep"
    evaluations.unlink()
    with pytest.raises(BadDataError, match=r"evaluation set 'sheep.jsonl' cannot be read"):
        bench.run()


def test_both_methods_say_what_they_found(tmp_path: Path) -> None:
    item = "How many sheep does the farmer still own when the week ends and the market has closed its gates?"
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "sheep.txt").write_text(item)
    bench = Bench(tmp_path / "project", contamination={"enabled": True, "evaluations": ["sheep.txt"]})
    bench.add({"copied": item})
    bench.run()
    [(_, why)] = bench.decisions().values()
    assert "(100%, shared runs); contamination: sheep.txt" in why
    assert why.endswith("alignment)")


def test_images_and_events_are_judged_and_taken_back(tmp_path: Path) -> None:
    images = {"images": {"enabled": True, "bounds": {"short_side": 20}, "without": ["incompressible"]}}
    bench = Bench(tmp_path / "project", **images, events={"enabled": True, "action": "query", "latest": 9})
    written = BytesIO()
    Image.effect_noise((32, 32), 30).convert("RGB").save(written, "PNG")
    events = [[{"time": 1.0, "type": 1}, {"time": 10.0, "type": 2}]]
    columns = {
        "item_id": ["fine", "none", "late", "text"],
        "modality": ["image", "image", "events", "text"],
        "text": [None, None, None, "a text"],
        "image": [written.getvalue(), b"no image", None, None],
        "events": [None, None, *events, None],
        "time_unit": [None, None, "days", None],
        "size": 1,
    }
    bench.project.store.commit(Write("ingest", {"items": rows("items", columns, 4)}))
    plan = FilterStep().plan(bench.project, SilentProgress())
    assert (plan.to_do, plan.already_done) == (3, 0)
    bench.run()
    assert bench.decisions() == {
        "none": ("drop", "image quality: undecodable"),
        "late": ("query", "event quality: impossible_times"),
    }
    bench.use(**images)
    assert bench.run().done == 3
    assert bench.decisions()["late"] == ("keep", "nothing is found in it any more")
    assert bench.decisions()["none"][0] == "drop"
    assert bench.run().idle


def test_the_report_counts_rules_and_the_funnel_stays_short(tmp_path: Path) -> None:
    item = "How many sheep does the farmer still own when the week ends and the market has closed its gates?"
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "sheep.txt").write_text(item)
    rules = {
        "quality": {"enabled": True, "sets": ["gopher-quality"]},
        "contamination": {"enabled": True, "evaluations": ["sheep.txt"]},
    }
    bench = Bench(tmp_path / "project", **rules)
    bench.add({"short": "too short", "copied": item, "also copied": f"{item} Yes.", "bank": f"pay {IBAN}"})
    bench.run()
    with bench.project.reader() as reader:
        counted = {(row["rule"], row["kind"]): row["items"] for row in summaries.objections(reader, 40)}
        draft = draft_snapshot(reader, SnapshotSpec("all", "text"))
        dropped = {row["reason"]: row["items"] for row in summaries.dropped(reader, "text")}
    assert counted["quality", "gopher_short_doc"] == 4
    assert counted["contamination", "shared runs"] == counted["contamination", "alignment"] == 2
    assert dropped == {"quality; contamination": 2, "quality": 2}
    assert draft.funnel == {"arrived": 4, "dropped: quality": 2, "dropped: quality; contamination": 2, "selected": 0}
