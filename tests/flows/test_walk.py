"""The whole walk in this process: what a second run does, what one more file costs, and what bad input leaves."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from datasets import ClassLabel, load_dataset

from curate.annotate.llm.client import Client
from curate.errors import BadDataError
from curate.flows.project import Project
from curate.flows.sequence import run_sequence
from curate.flows.steps import STEPS, step_named
from curate.types import SilentProgress, StepReport

Make = Callable[..., Path]
Open = Callable[[Path], Project]
UNREACHABLE = """
[[annotator]]
name = "model"
kind = "llm"
attributes = ["kind"]
address = "http://127.0.0.1:9/v1"
model = "nobody"
sample = 24
"""


def walk(project: Project) -> dict[str, StepReport]:
    return {report.step: report for report in run_sequence(project, SilentProgress())}


def run_steps(project: Project, *names: str) -> StepReport:
    """Run these steps alone; return what the last of them reported."""
    return [step_named(name).run(project, SilentProgress()) for name in names][-1]


def test_the_walk_ends_with_a_training_set_a_learner_and_a_report(
    walked_once: tuple[Path, dict[str, StepReport]], walked: Path
) -> None:
    folder, reports = walked, walked_once[1]
    assert reports["ingest"].rejected == 3
    assert reports["dedup"].details["dropped"] == 1
    assert reports["learn"].details["digits digits 1"]["after"] >= 0.9
    assert "like-target" in (folder / "report.html").read_text(encoding="utf-8")
    loaded = load_dataset(str(folder / "exports" / "like-target"), cache_dir=str(folder / "cache"))
    assert isinstance(loaded["train"].features["label"], ClassLabel)
    assert loaded["train"].features["label"].names == ["python", "english"]
    assert sum(len(split) for split in loaded.values()) == 40


def test_a_second_run_does_nothing_and_says_so(walked: Path, open_project: Open) -> None:
    with open_project(walked).reader() as reader:
        before = reader.commit_number
    reports = walk(open_project(walked))
    assert all(report.idle for report in reports.values())
    with open_project(walked).reader() as reader:
        assert reader.commit_number == before


def test_one_more_file_is_one_more_file(walked: Path, open_project: Open) -> None:
    (walked / "inbox" / "notes" / "new.txt").write_text("a new note about the rain and the sun", encoding="utf-8")
    reports = walk(open_project(walked))
    assert reports["ingest"].done == 1
    assert reports["ingest"].details["files"] == 1
    assert reports["dedup"].done == reports["align"].done == 1
    assert reports["learn"].idle


def test_new_classes_are_one_increment(walked: Path, open_project: Open, add_digits: Callable[..., None]) -> None:
    add_digits(walked / "inbox" / "digits", range(2, 4))
    learned = walk(open_project(walked))["learn"].details["digits digits 2"]
    assert learned["before"] < learned["after"]
    with open_project(walked).reader() as reader:
        rows = reader.query("SELECT learner, number, parent FROM checkpoints WHERE learner = 'digits' ORDER BY number")
        first = reader.query("SELECT checkpoint FROM checkpoints WHERE learner = 'digits' AND number = 1").to_pylist()
    assert rows.to_pylist()[1]["parent"] == first[0]["checkpoint"]


def test_every_plan_is_right_and_writes_nothing(make_project: Make, walked: Path, open_project: Open) -> None:
    folder = make_project("new")
    plans = {step.name: step.plan(open_project(folder), SilentProgress()) for step in STEPS}
    assert not (folder / "curate-store").exists()
    assert plans["ingest"].to_do == 134
    for step in STEPS:
        assert step.plan(open_project(walked), SilentProgress()).to_do == 0, step.name


def test_a_missing_source_is_an_error_that_names_it(make_project: Make, open_project: Open) -> None:
    folder = make_project()
    (folder / "inbox" / "prose.parquet").unlink()
    with pytest.raises(BadDataError, match="prose") as caught:
        walk(open_project(folder))
    assert caught.value.hint


def test_an_empty_folder_is_a_note(make_project: Make, open_project: Open) -> None:
    folder = make_project(more_settings='\n[[source]]\nname = "later"\npath = "inbox/later"\n')
    (folder / "inbox" / "later").mkdir()
    assert any("later" in note for note in run_steps(open_project(folder), "ingest").notes)


def test_a_target_without_text_or_file_is_an_error_and_a_broken_row_a_note(
    make_project: Make, open_project: Open
) -> None:
    folder = make_project()
    (folder / "target.jsonl").write_text("", encoding="utf-8")
    run_steps(open_project(folder), "ingest")
    with pytest.raises(BadDataError, match="holds no text"):
        run_steps(open_project(folder), "align")
    (folder / "target.jsonl").write_text('{"text": "fine"}\n{"txt": "wrong column"}\nbroken\n', encoding="utf-8")
    [note] = run_steps(open_project(folder), "align").notes
    assert note.startswith("2 rows of the target 'target.jsonl' are unusable, first target.jsonl#2: ")
    (folder / "target.jsonl").unlink()
    with pytest.raises(BadDataError, match="nothing exists at") as caught:
        run_steps(open_project(folder), "align")
    assert "[align]" in caught.value.hint


def test_the_report_shows_the_length_bias_with_and_without_length_control(walked: Path, open_project: Open) -> None:
    settings = walked / "curate.toml"
    controlled = '[align]\nlength_control = "windows"\nreduce = "top-m"\ntop_m = 2'
    settings.write_text(settings.read_text(encoding="utf-8").replace("[align]", controlled), encoding="utf-8")
    aligned = run_steps(open_project(walked), "align")
    assert "top-2 length-windows" in aligned.details["selector"]
    run_steps(open_project(walked), "snapshot", "report")
    with open_project(walked).reader() as reader:
        query = "SELECT selector, count(*) AS scores FROM scores GROUP BY selector ORDER BY selector"
        counts = {row["selector"]: row["scores"] for row in reader.query(query).to_pylist()}
    assert counts == {"align": 2 * aligned.done, "align-uncontrolled": aligned.done}
    assert "without length control it would be" in (walked / "report.html").read_text(encoding="utf-8")
    assert run_steps(open_project(walked), "align").idle


def test_what_is_not_frozen_yet_is_neither_to_do_nor_done(make_project: Make, open_project: Open) -> None:
    project = open_project(make_project())
    for name in ("snapshot", "export"):
        plan = step_named(name).plan(project, SilentProgress())
        report = step_named(name).run(project, SilentProgress())
        assert (plan.to_do, plan.already_done, report.done, report.skipped) == (0, 0, 0, 0)
        assert plan.notes == report.notes
    assert (
        "snapshot 'digits' would be empty: 0 arrived, 0 selected"
        in step_named("snapshot").plan(project, SilentProgress()).notes
    )


def test_what_could_not_be_reached_is_no_failure_of_an_item(
    make_project: Make, open_project: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "_wait", lambda *fake_wait: None)
    folder = make_project(more_settings=UNREACHABLE)
    report = run_steps(open_project(folder), "ingest", "annotate")
    assert report.failed == report.unreached == 24
    with open_project(folder).reader() as reader:
        assert reader.query("FROM failures").to_pylist() == []


def test_an_annotator_that_is_refused_keeps_no_other_step_back(
    make_project: Make, open_project: Open, fake_module: ModuleType
) -> None:
    with fake_module.FakeLanguageModelServer(always="401") as server:
        folder = make_project(more_settings=UNREACHABLE.replace("http://127.0.0.1:9/v1", server.address))
        reports = walk(open_project(folder))
    assert reports["annotate"].unreached == 24
    assert any("CURATE_LLM_KEY" in note for note in reports["annotate"].notes)
    assert reports["export"].done > 0


def test_a_truncated_parquet_file_is_one_reject(make_project: Make, open_project: Open) -> None:
    folder = make_project()
    whole = (folder / "inbox" / "prose.parquet").read_bytes()
    (folder / "inbox" / "prose.parquet").write_bytes(whole[: len(whole) // 2])
    assert run_steps(open_project(folder), "ingest").rejected == 4
    assert run_steps(open_project(folder), "ingest").rejected == 0


def test_a_file_that_goes_back_to_its_old_content_revives_the_old_item(walked: Path, open_project: Open) -> None:
    note = walked / "inbox" / "notes" / "00.txt"
    old = note.read_text(encoding="utf-8")
    for content in ("quite another note of the sea and the land", old):
        note.write_text(content, encoding="utf-8")
        walk(open_project(walked))
        with open_project(walked).reader() as reader:
            kept = reader.query(
                "SELECT text FROM items ANTI JOIN dropped USING (item_id) JOIN origins USING (item_id)"
                " WHERE locator LIKE '%00.txt'"
            )
        assert kept["text"].to_pylist() == [content]


def test_no_commit_carries_a_clock_into_the_card(make_project: Make, walked: Path, open_project: Open) -> None:
    one, other = walked, make_project("other")
    walk(open_project(other))
    files = sorted(path.relative_to(one) for path in (one / "exports").rglob("*") if path.is_file())
    assert len(files) > 6
    for file in files:
        assert (one / file).read_bytes() == (other / file).read_bytes(), file
    manifest = json.loads((one / "exports" / "digits" / "manifest.json").read_bytes())
    assert sum(manifest["splits"].values()) == 100
