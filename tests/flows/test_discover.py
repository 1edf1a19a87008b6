"""The step `discover` over a store: structure, assignments with quotes, edits, the classifier, and what is paid."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from benchmarks.harness.fake_analyst import answer_to
from benchmarks.harness.planted_captions import CLASSES, LEXICON, plant
from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps.discover import DiscoverStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.learn import LearnStep
from curate.flows.steps.report import ReportStep, report_path
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.store.write import Write, rows
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
COUNT = 36
SETTINGS = """
[[source]]
name = "captions"
path = "captions.jsonl"
label = "animal"
attribute = "animal"

[discover]
enabled = true
of_class = "animal"
address = "ADDRESS"
model = "fake"
sample = 60
rounds = 5
captions = 12
assigned = ASSIGNED
agreement = 0.8

[[snapshot]]
name = "halves"
label = "animal"
splits = { train = 0.4, test = 0.6 }

[[learner]]
name = "animals"
snapshot = "halves"
kind = "nearest-class-mean"
encoder = "hashed-ngrams:64"

[[snapshot]]
name = "even"
label = "animal"
splits = { train = 1.0 }
quotas = [{ attribute = "subpopulations.place", most = 3 }]
"""


def fake_chat(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Answer as the fake analyst would."""
    told = payload["response_format"]["json_schema"]
    content = json.dumps(answer_to(told["name"], payload["messages"][1]["content"], told["schema"]))
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}


@pytest.fixture
def server(fake_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(fake_module, "chat_answer", fake_chat)
    with fake_module.FakeLanguageModelServer() as serving:
        yield serving


@pytest.fixture
def open_folder(tmp_path: Path, server: Any) -> Callable[..., Project]:
    def make(name: str = "project", assigned: int = 0, count: int = COUNT) -> Project:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            lines = [json.dumps({"text": one.text, "animal": one.of_class}) for one in plant(count, seed=5).captions]
            (folder / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
        text = SETTINGS.replace("ADDRESS", server.address).replace("ASSIGNED", str(assigned))
        (folder / "curate.toml").write_text(text, encoding="utf-8")
        project = Project(folder, load_settings(folder / "curate.toml", {}), command="test")
        IngestStep().run(project, QUIET)
        return project

    return make


def discovered(project: Project, *, edit: bool = False) -> StepReport:
    return DiscoverStep(edit=edit).run(project, QUIET)


def ask(project: Project, query: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        return list(reader.query(query).to_pylist())


def test_structure_and_assignments_are_in_the_store(open_folder: Callable[..., Project]) -> None:
    project = open_folder()
    report = discovered(project)
    assert report.failed == 0
    dimensions = {row["dimension"]: set(row["attributes"]) for row in ask(project, "FROM dimensions")}
    assert dimensions == {name: set(values) for name, values in LEXICON.items()}
    rows = ask(project, "FROM memberships JOIN items USING (item_id)")
    assert len(rows) == 3 * COUNT
    assert all(row["quote"] in row["text"] and row["quote"] for row in rows if row["attribute"] != "unknown")
    assert report.details["place"]["coverage"] + report.details["place"]["abstention"] == pytest.approx(1.0)
    [subpopulation] = ask(project, "SELECT count(*) AS n FROM annotations WHERE attribute = 'subpopulations'")
    assert subpopulation["n"] == COUNT
    assert (project.folder / "subpopulations.toml").exists()


def test_a_second_run_asks_nothing_and_a_new_item_is_assigned(open_folder: Callable[..., Project], server: Any) -> None:
    project = open_folder()
    discovered(project)
    asked = len(server.payloads)
    assert discovered(project).idle
    with (project.folder / "captions.jsonl").open("a", encoding="utf-8") as more:
        more.write('\n{"text": "A cat is sleeping on a beach in the rain, and snores.", "animal": "cat"}')
    IngestStep().run(project, QUIET)
    assert discovered(project).done == 1
    assert len(server.payloads) == asked + 1
    [row] = ask(project, "SELECT value FROM annotations JOIN items USING (item_id) WHERE attribute = 'subpopulations' "
                "AND text LIKE '%snores%'")  # fmt: skip
    assert set(row["value"].split(" · ")) == {"cat", "sleeping", "beach", "rain"}


def test_the_plan_bounds_the_calls(open_folder: Callable[..., Project], server: Any) -> None:
    project = open_folder()
    plan = DiscoverStep().plan(project, QUIET)
    assert not server.payloads
    discovered(project)
    assert COUNT < len(server.payloads) <= plan.calls
    after = DiscoverStep().plan(project, QUIET)
    assert (after.to_do, after.already_done, after.calls) == (0, COUNT, 0)


def test_a_snapshot_takes_quotas_on_what_was_found(open_folder: Callable[..., Project]) -> None:
    project = open_folder()
    discovered(project)
    SnapshotStep().run(project, QUIET)
    query = """
        SELECT value, count(*) AS n FROM snapshot_items JOIN annotations a USING (item_id)
        WHERE a.attribute = 'subpopulations.place' AND snapshot = 'even' GROUP BY value"""
    assert {row["value"]: row["n"] for row in ask(project, query)} == dict.fromkeys(LEXICON["place"], 3)


def test_renaming_and_merging_ask_nothing_again(open_folder: Callable[..., Project], server: Any) -> None:
    project = open_folder()
    discovered(project)
    asked = len(server.payloads)
    file = project.folder / "subpopulations.toml"
    edited = file.read_text(encoding="utf-8").replace('name = "weather"', 'name = "sky"\nwas = ["weather"]')
    for names in ('"fog"', '"rain"'):
        edited = edited.replace(f"{names}, ", "").replace(f", {names}", "")
    head, found, rest = edited.partition('name = "sky"')
    attributes = rest.partition("attributes = [")[2].partition("]")[0]
    rest = rest.replace(f"[{attributes}]", f'[{attributes}, "wet"]\nmerged = {{ wet = ["fog", "rain"] }}', 1)
    file.write_text(head + found + rest, encoding="utf-8")
    report = discovered(project, edit=True)
    assert f"{COUNT} items keep their assignments" in report.notes
    assert len(server.payloads) == asked
    query = """
        SELECT attribute, count(*) AS n FROM memberships WHERE dimension IN ('sky', 'weather')
        GROUP BY dimension, attribute HAVING attribute IN ('wet', 'fog', 'rain')"""
    counts = {row["attribute"]: row["n"] for row in ask(project, query)}
    assert counts["wet"] == counts["fog"] + counts["rain"]


def test_a_new_attribute_is_asked_about(open_folder: Callable[..., Project], server: Any) -> None:
    project = open_folder()
    discovered(project)
    asked = len(server.payloads)
    file = project.folder / "subpopulations.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('attributes = ["', 'attributes = ["moon", "', 1), encoding="utf-8")
    discovered(project, edit=True)
    assert len(server.payloads) == asked + COUNT
    file.write_text(text.replace("[[dimension]]", "[[dimensoin]]", 1), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="dimensoin"):
        discovered(project, edit=True)
    file.write_text("name = 'subpopulations'", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"no \[\[dimension\]\]"):
        discovered(project, edit=True)


def test_edits_that_were_not_read_are_not_overwritten(open_folder: Callable[..., Project]) -> None:
    project = open_folder()
    file = project.folder / "subpopulations.toml"
    file.write_text("name = 'mine'", encoding="utf-8")
    discovered(project)
    assert file.read_text(encoding="utf-8") == "name = 'mine'"
    assert (project.folder / "subpopulations.new.toml").exists()


@pytest.mark.slow
def test_the_classifier_takes_over_where_it_is_sure(open_folder: Callable[..., Project], server: Any) -> None:
    project = open_folder("large", assigned=150, count=400)
    report = discovered(project)
    methods = {row["method"]: row["n"] for row in ask(
        project, "SELECT method, count(DISTINCT item_id) AS n FROM memberships GROUP BY method")}  # fmt: skip
    assert methods["model"] == 150
    assert methods["classifier"] > 0
    assert sum(methods.values()) == 400
    assert report.details["place"]["classified"] == methods["classifier"]
    agreed = {row["name"]: row["value"] for row in ask(project, "FROM metrics WHERE slice = 'place'")}
    assert agreed["agreement where decided"] >= 0.8
    assert 0 < agreed["decided"] <= 1
    assert any("the classifier agrees" in note for note in report.notes)
    assert sum(one["messages"][0]["content"].startswith("You sort") for one in server.payloads) < 400


def test_a_run_that_broke_off_ends_with_the_same_rows(
    open_folder: Callable[..., Project], server: Any, fake_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = open_folder("whole")
    discovered(whole)
    answered = len(server.payloads)
    broken = open_folder("broken")
    with fake_module.FakeLanguageModelServer([""] * 40, always="400") as refusing:
        text = (broken.folder / "curate.toml").read_text(encoding="utf-8")
        (broken.folder / "curate.toml").write_text(text.replace(server.address, refusing.address), encoding="utf-8")
        stopped = discovered(Project(broken.folder, load_settings(broken.folder / "curate.toml", {}), command="test"))
        assert stopped.failed == 1
        assert "400" in " ".join(stopped.notes)
    discovered(open_folder("broken"))
    assert len(server.payloads) <= 2 * answered - 36
    with whole.reader() as one, broken.reader() as other:
        names = ("dimensions", "memberships")
        rows = [[r.query(f"SELECT * EXCLUDE (run_id, commit_number) FROM {n} ORDER BY ALL").to_pylist() for n in names]
                for r in (one, other)]  # fmt: skip
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_a_learner_is_measured_on_every_slice(open_folder: Callable[..., Project]) -> None:
    project = open_folder("taught", count=200)
    discovered(project)
    SnapshotStep().run(project, QUIET)
    LearnStep().run(project, QUIET)
    rows = ask(project, "FROM metrics WHERE subject LIKE 'slice %' AND name = 'error'")
    assert {row["slice"] for row in rows} & {f"{one} · {place}" for one in CLASSES for place in LEXICON["place"]}
    assert all(row["subject"].endswith(" of animals") for row in rows)
    LearnStep().run(project, QUIET)
    assert ask(project, "FROM metrics WHERE subject LIKE 'slice %' AND name = 'error'") == rows
    ReportStep().run(project, QUIET)
    shown = report_path(project).read_text(encoding="utf-8")
    assert rows[0]["slice"] in shown
    quotes = {row["quote"] for row in ask(project, "FROM memberships") if row["quote"]}
    assert any(f"“{quote}”" in shown for quote in quotes)


def test_images_are_read_by_their_captions(open_folder: Callable[..., Project], tmp_path: Path) -> None:
    project = open_folder("pictures")
    text = (project.folder / "curate.toml").read_text(encoding="utf-8")
    image = '[[source]]\nname = "images"\npath = "images"\nmodality = "image"\n\n[discover]\ncaption = "caption"'
    (project.folder / "curate.toml").write_text(text.replace("[discover]", image), encoding="utf-8")
    (project.folder / "images").mkdir()
    for number in range(2):
        Image.new("RGB", (9 + number, 9), (200, 90 * number, 9)).save(project.folder / "images" / f"{number}.png")
    project = Project(project.folder, load_settings(project.folder / "curate.toml", {}), command="test")
    IngestStep().run(project, QUIET)
    first, second = sorted(row["item_id"] for row in ask(project, "SELECT item_id FROM items WHERE modality = 'image'"))
    said = {"item_id": first, "attribute": "caption", "value": "a cat asleep on the sandy beach", "confidence": 0.9}
    asked = {"protocol": "captions", "protocol_version": "1"}
    claim = said | asked | {"annotator": "coca", "annotator_kind": "caption", "annotator_version": "1"}
    project.store.commit(Write("annotate", {"annotations": rows("annotations", claim, 1)}))
    discovered(project)
    told = {row["item_id"]: row for row in ask(project, "FROM memberships WHERE dimension = 'place'")}
    assert (told[first]["attribute"], told[first]["quote"]) == ("beach", "on the sandy beach")
    assert second not in told


def test_gaps_become_requests_until_they_are_filled(open_folder: Callable[..., Project]) -> None:
    project = open_folder()
    discover = project.settings.discover.model_copy(update={"wanted": 2})
    project = Project(project.folder, project.settings.model_copy(update={"discover": discover}), command="test")
    told = [note for note in discovered(project).notes if "gaps" in note]
    file = project.folder / "acquisition-requests.jsonl"
    requests = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert told[0].startswith(f"{len(requests)} gaps, {sum(one['missing'] for one in requests)} items wanted: ")
    counted = {(row["c"], row["dimension"], row["attribute"]): row["n"] for row in ask(project, _CELLS)}
    cells = {(one, name, value) for one in CLASSES for name, values in LEXICON.items() for value in values}
    assert {(one["class"], one["dimension"], one["attribute"]): one["items"] for one in requests} == {
        cell: counted.get(cell, 0) for cell in cells if counted.get(cell, 0) < 2
    }
    assert [one["missing"] for one in requests] == sorted((one["missing"] for one in requests), reverse=True)
    assert all(len(one["examples"]) == (one["items"] > 0) for one in requests)
    gap = next(one for one in requests if one["items"] == 1)
    assert gap["name"] == f"{gap['class']} · {gap['attribute']}"
    drop_all_with(project, gap["examples"][0])
    discovered(project)
    after = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [one["items"] for one in after if one["name"] == gap["name"]] == [0]


def drop_all_with(project: Project, quote: str) -> None:
    ids = [row["item_id"] for row in ask(project, f"SELECT DISTINCT item_id FROM memberships WHERE quote = '{quote}'")]
    columns = {"item_id": ids, "step": "filter", "action": "drop", "reason": "test"}
    project.store.commit(Write("filter", {"decisions": rows("decisions", columns, len(ids))}))


_CELLS = """
    SELECT c, dimension, attribute, count(*) AS n
    FROM memberships JOIN (SELECT item_id, value AS c FROM annotations WHERE attribute = 'animal') USING (item_id)
    WHERE attribute <> 'unknown' GROUP BY ALL"""
