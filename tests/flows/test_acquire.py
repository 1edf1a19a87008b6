"""Online active learning over a real store: each item decided on once, exact books, late answers, and kills."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.errors import ConfigurationError, UnknownNameError
from curate.flows.project import Project
from curate.flows.steps.acquire import AcquireStep
from curate.flows.steps.acquire_policy import tables_of
from curate.flows.steps.gate import GateStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.report import ReportStep, report_path
from curate.flows.steps.report_acquire import acquire_summaries
from curate.select.stream.budgets import MANAGERS
from curate.select.stream.utilities import UTILITIES
from curate.settings import AcquireSettings, load_settings
from curate.settings.acquire import Manager, Utility
from curate.store.care.backup import back_up
from curate.store.care.garbage import collect_garbage
from curate.store.care.integrity import check_integrity
from curate.store.care.traces import find_traces
from curate.store.checkpoints import load_checkpoint
from curate.store.copy import copy_store
from curate.store.journal import Journal
from curate.store.labelling import Asked, open_questions
from curate.store.manifest import read_manifest
from curate.store.write import Write, rows
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "notes"
path = "*.jsonl"
meta = ["topic"]

[protocol]
name = "notes"
version = "1"

[[protocol.attribute]]
name = "topic"
question = "What is it about?"
values = ["sea", "land"]

[[acquire]]
name = "topics"
attribute = "topic"
encoder = "hashed-ngrams:64"
batch = 100
rate = 0.1
"""
PEOPLE = 'people = "oracle:topic"\noracle_noise = 0.0\n'
WORDS = {"sea": ["ship", "wave", "tide", "harbour", "sail"], "land": ["tree", "field", "stone", "road", "hill"]}


def write_notes(folder: Path, count: int, file: str = "notes.jsonl", seed: int = 0) -> list[str]:
    generator = random.Random(seed)
    texts, lines = [], []
    for number in range(count):
        topic = generator.choice(("sea", "land"))
        words = " ".join(generator.choice(WORDS[topic]) for _ in range(6))
        texts.append(f"note {seed}-{number}: {words}")
        lines.append(json.dumps({"text": texts[-1], "topic": topic}))
    (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return texts


def opened(folder: Path, more: str = PEOPLE, settings: str = SETTINGS) -> Project:
    (folder / "curate.toml").write_text(settings + more, encoding="utf-8")
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def acquire(project: Project) -> StepReport:
    return AcquireStep().run(project, QUIET)


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


def decisions(project: Project) -> list[dict[str, Any]]:
    return ask(project, "SELECT * EXCLUDE (run_id, commit_number) FROM acquisitions ORDER BY place")


def state(project: Project) -> dict[str, Any]:
    columns = "* EXCLUDE (run_id, commit_number)"
    [newest] = ask(project, f"SELECT {columns} FROM policies ORDER BY policies.commit_number DESC LIMIT 1")
    return newest


def answer(project: Project, item: str, value: str, person: str = "ada", reason: str = "") -> None:
    said: dict[str, Any] = {"item_id": [item], "protocol": "notes", "protocol_version": "1", "attribute": "topic"}
    said |= {"annotator": person, "annotator_version": "1"}
    if reason:
        tables = {"abstentions": rows("abstentions", said | {"reason": reason}, 1)}
    else:
        claim = said | {"value": value, "confidence": 1.0, "annotator_kind": "human"}
        tables = {"annotations": rows("annotations", claim, 1)}
    project.store.commit(Write("label", tables))


def test_every_item_is_decided_on_once_in_the_order_in_which_it_came(tmp_path: Path) -> None:
    texts = write_notes(tmp_path, 350)
    project = opened(tmp_path)
    IngestStep().run(project, QUIET)
    assert AcquireStep().plan(project, QUIET).to_do == 350
    report = acquire(project)
    assert report.done == 350
    content = {row["item_id"]: row["text"] for row in ask(project, "SELECT item_id, text FROM items")}
    found = decisions(project)
    assert [content[row["item_id"]] for row in found] == texts
    assert [row["place"] for row in found] == list(range(1, 351))
    asked = [row for row in found if row["reason"]]
    assert {row["reason"] for row in asked} >= {"warm-up", "random", "utility"}
    assert all(0 < row["propensity"] <= 1 for row in asked)
    assert AcquireStep().plan(project, QUIET).to_do == 0
    assert acquire(project).idle
    more = write_notes(tmp_path, 120, "later.jsonl", seed=1)
    IngestStep().run(project, QUIET)
    assert acquire(project).done == 120
    content = {row["item_id"]: row["text"] for row in ask(project, "SELECT item_id, text FROM items")}
    assert [content[row["item_id"]] for row in decisions(project)] == texts + more


def test_the_books_are_exact_and_the_learner_learns(tmp_path: Path) -> None:
    write_notes(tmp_path, 800)
    project = opened(tmp_path)
    IngestStep().run(project, QUIET)
    report = acquire(project)
    found = decisions(project)
    spent = np.cumsum([bool(row["reason"]) for row in found])
    due = 0.1 * np.arange(1, 801)
    allowed = due + np.maximum(0, 10 - 0.5 * due)
    assert (spent <= allowed + 1).all()
    assert (spent[20:] >= allowed[20:] - 1).all()
    assert abs(int(spent[-1]) - 80) <= 1
    kept = state(project)
    assert (kept["seen"], kept["spent"], kept["learned"]) == (800, spent[-1], spent[-1])
    truth = {row["item_id"]: json.loads(row["metadata"])["topic"] for row in ask(project, "FROM origins")}
    right = [truth[row["item_id"]] == row["predicted"] for row in found[-200:]]
    assert np.mean(right) > 0.9
    assert report.details["topics"]["asked"] == spent[-1]
    assert "are simulated" in report.notes[0]
    ReportStep().run(project, QUIET)
    page = report_path(project).read_text(encoding="utf-8")
    assert "Active learning by topics" in page
    assert "Of 800 items" in page
    assert "by the questions that chance drew" in page
    with project.reader() as reader:
        [shown] = acquire_summaries(reader)
    assert shown.asked == spent[-1]
    assert 0 < shown.judged < spent[-1]  # nothing was known before the first answers
    drawn = [row for row in found if row["reason"] == "random" and row["predicted"]]
    assert shown.accuracy is not None
    assert shown.accuracy[0] == pytest.approx(np.mean([truth[row["item_id"]] == row["predicted"] for row in drawn]))


def test_a_budget_bounds_the_questions_over_all_settings(tmp_path: Path) -> None:
    write_notes(tmp_path, 300)
    project = opened(tmp_path, PEOPLE + "budget = 20\n")
    IngestStep().run(project, QUIET)
    acquire(project)
    assert state(project)["spent"] == 20
    project = opened(tmp_path, PEOPLE + 'budget = 25\nmanager = "uniform"\n')
    write_notes(tmp_path, 300, "later.jsonl", seed=1)
    IngestStep().run(project, QUIET)
    acquire(project)
    assert state(project)["spent"] == 25
    assert len(decisions(project)) == 600
    assert len({row["version"] for row in decisions(project)}) == 2
    assert state(project)["learned"] == 25  # the new learner knows what the old one had asked, too


def test_answers_that_come_late_and_out_of_order_are_learned_when_they_come(tmp_path: Path) -> None:
    write_notes(tmp_path, 200)
    project = opened(tmp_path, "")
    IngestStep().run(project, QUIET)
    report = acquire(project)
    asked = [row["item_id"] for row in decisions(project) if row["reason"]]
    assert f"{len(asked)} questions wait" in report.notes[0]
    assert {row["predicted"] for row in decisions(project)} == {""}
    truth = {row["item_id"]: json.loads(row["metadata"])["topic"] for row in ask(project, "FROM origins")}
    answer(project, asked[7], truth[asked[7]])
    answer(project, asked[1], truth[asked[1]])
    answer(project, asked[2], "", reason="skip")
    assert acquire(project).done == 3
    assert (state(project)["learned"], state(project)["silent"], state(project)["seen"]) == (2, 1, 200)
    assert acquire(project).idle
    for item in asked[3:7] + asked[8:]:
        answer(project, item, truth[item])
    not_asked = next(row["item_id"] for row in decisions(project) if not row["reason"])
    answer(project, not_asked, truth[not_asked])
    write_notes(tmp_path, 100, "later.jsonl", seed=1)
    IngestStep().run(project, QUIET)
    acquire(project)
    assert state(project)["learned"] == len(asked) - 2
    assert {row["predicted"] for row in decisions(project)[200:]} <= {"sea", "land"}


def test_what_is_asked_waits_on_the_labelling_page_and_the_gate_leaves_it_alone(tmp_path: Path) -> None:
    write_notes(tmp_path, 300)
    gate = '\n[gate]\nenabled = true\nreserve = 0.5\nanswers = 20\n[[annotator]]\nname = "words"\nkind = "rule"\n'
    gate += 'rules = [{ attribute = "topic", value = "sea", pattern = "ship" }]\n'
    project = opened(tmp_path, gate)
    IngestStep().run(project, QUIET)
    acquire(project)
    questions = {row["item_id"] for row in decisions(project) if row["reason"]}
    reserved = ask(project, "SELECT count(*) AS n FROM items WHERE sha256('audit:' || item_id) < '80000000'")[0]["n"]
    assert len(decisions(project)) == 300 - reserved
    assert 100 < reserved < 200
    desk = Asked("notes", "1", ["topic"], ["text"])
    with project.reader() as reader:
        assert {one.item_id for one in open_questions(reader, desk, [], 1_000)} == questions
    turn = GateStep().run(project, QUIET)  # its first round does not wait for these
    assert turn.done == 20
    with project.reader() as reader:
        both = open_questions(reader, desk, [], 1_000)
    audits = {row["item_id"] for row in ask(project, "FROM audits")}
    assert questions | audits <= {one.item_id for one in both}
    assert len({one.item_id for one in both}) == len(both)


def test_simulated_answers_can_be_late(tmp_path: Path) -> None:
    write_notes(tmp_path, 600)
    project = opened(tmp_path, PEOPLE + "delay = 250\n")
    IngestStep().run(project, QUIET)
    acquire(project)
    found = decisions(project)
    assert state(project)["learned"] == sum(bool(row["reason"]) for row in found[:350])
    assert {row["predicted"] for row in found[:300]} == {""}
    assert {row["predicted"] for row in found[-100:]} == {"sea", "land"}


def test_an_item_that_cannot_be_encoded_is_a_failure_of_its_own(tmp_path: Path, monkeypatch: Any) -> None:
    from curate.errors import BadDataError
    from curate.learners.encoders.hashed_text import HashedTextEncoder

    write_notes(tmp_path, 60)
    project = opened(tmp_path)
    IngestStep().run(project, QUIET)
    whole = HashedTextEncoder.encode

    def refuse(self: Any, items: Any) -> Any:
        if any("note 0-7:" in text for text in items["text"].to_pylist()):
            raise BadDataError("no features")
        return whole(self, items)

    monkeypatch.setattr(HashedTextEncoder, "encode", refuse)
    report = acquire(project)
    assert (report.done, report.failed) == (59, 1)
    assert [row["reason"] for row in ask(project, "FROM failures")] == ["no features"]
    assert acquire(project).idle


@pytest.mark.parametrize("manager", ["uniform", "selective"])
def test_any_manager_keeps_the_account(tmp_path: Path, manager: str) -> None:
    write_notes(tmp_path, 400)
    project = opened(tmp_path, PEOPLE + f'manager = "{manager}"\nutility = "margin"\n')
    IngestStep().run(project, QUIET)
    acquire(project)
    assert abs(state(project)["spent"] - 40) <= 1


def test_a_backup_and_a_copy_hold_what_the_policy_goes_on_from(tmp_path: Path) -> None:
    write_notes(tmp_path, 300)
    project = opened(tmp_path)
    IngestStep().run(project, SilentProgress())
    acquire(project)
    checkpoint = state(project)["checkpoint"]
    assert checkpoint
    back_up(project.store, tmp_path / "backup")
    copy_store(project.store_folder, tmp_path / "copy", lease_timeout=5)
    for place in (tmp_path / "backup", tmp_path / "copy"):
        assert load_checkpoint(place, checkpoint) == load_checkpoint(project.store_folder, checkpoint)
    with project.reader() as reader:
        asked = reader.query("SELECT item_id FROM acquisitions WHERE reason <> '' ORDER BY place")["item_id"][0].as_py()
        left = reader.query("SELECT item_id FROM acquisitions WHERE reason = '' LIMIT 1")["item_id"][0].as_py()
        journal = Journal(project.store_folder)
        assert {row["learner"] for row in find_traces(reader, journal, [asked]).checkpoints} == {"acquire/topics"}
        assert find_traces(reader, journal, [left]).checkpoints == []
    (file,) = (project.store_folder / "checkpoints").glob(f"{checkpoint}.*")
    file.unlink()
    unsound = [check.what for check in check_integrity(project.store_folder) if not check.sound]
    assert unsound == ["checkpoints"]


def test_garbage_is_what_the_policy_has_gone_on_from(tmp_path: Path) -> None:
    write_notes(tmp_path, 500)
    project = opened(tmp_path)
    IngestStep().run(project, QUIET)
    acquire(project)
    asked = next(row["item_id"] for row in decisions(project) if row["reason"])
    newest = state(project)["checkpoint"]
    files = sorted((project.store_folder / "checkpoints").glob("*.safetensors"))
    assert len(files) > 2
    for file in files:
        os.utime(file, (0, 0))
    freed = [entry.name for entry in collect_garbage(project.store) if entry.kind == "checkpoint"]
    assert freed == [file.name for file in files if file.stem != newest]
    assert [file.stem for file in (project.store_folder / "checkpoints").glob("*")] == [newest]
    with project.reader() as reader:
        traces = find_traces(reader, Journal(project.store_folder), [asked])
    assert {row["checkpoint"] for row in traces.checkpoints} == {newest}
    assert all(check.sound for check in check_integrity(project.store_folder))
    back_up(project.store, tmp_path / "backup")
    write_notes(tmp_path, 200, "later.jsonl", seed=1)
    IngestStep().run(project, QUIET)
    assert acquire(project).done == 200


def test_settings_name_what_there_is() -> None:
    from typing import get_args

    assert set(get_args(Manager)) == set(MANAGERS)
    assert set(get_args(Utility)) == set(UTILITIES)
    assert AcquireSettings(name="a", attribute="b").manager == next(iter(MANAGERS))


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="colour"):
        opened(tmp_path, "", SETTINGS.replace('attribute = "topic"', 'attribute = "colour"'))
    with pytest.raises(ConfigurationError, match="rate"):
        opened(tmp_path, "", SETTINGS.replace("rate = 0.1", "rate = 1.5"))
    project = opened(tmp_path, "", SETTINGS.split("[[acquire]]")[0])
    assert acquire(project).notes == ("no [[acquire]] in the settings",)


def test_a_run_that_was_cut_off_ends_with_the_same_decisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off where the learner's state is on disk and the commit is not."""
    projects = []
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
        write_notes(tmp_path / name, 420)
        projects.append(opened(tmp_path / name))
        IngestStep().run(projects[-1], QUIET)
    acquire(projects[0])
    for call in (0, 1, 1):
        calls = iter(range(10))

        def cut(*given: Any, call: int = call, calls: Any = calls) -> Any:
            found = tables_of(*given)
            if next(calls) == call:
                raise KeyboardInterrupt
            return found

        with monkeypatch.context() as patch:
            patch.setattr("curate.flows.steps.acquire.tables_of", cut)
            with pytest.raises(KeyboardInterrupt):
                acquire(opened(tmp_path / "cut"))
    acquire(opened(tmp_path / "cut"))
    assert decisions(projects[1]) == decisions(projects[0])
    assert state(projects[1]) == state(projects[0])


@pytest.mark.slow
def test_whatever_the_instant_of_a_kill_the_decisions_are_the_same(tmp_path: Path) -> None:
    """Real processes, killed a few times while they decide; every decision, question and state is as undisturbed."""
    folders = [tmp_path / "undisturbed", tmp_path / "killed"]
    projects = []
    for folder in folders:
        folder.mkdir()
        write_notes(folder, 1_500)
        projects.append(opened(folder, PEOPLE + "delay = 30\n"))
        IngestStep().run(projects[-1], QUIET)
    acquire(projects[0])
    begun = read_manifest(folders[1] / "curate-store").commit_number
    killed = 0
    for stop in (3, 9, 16, 22):
        process = _process(folders[1])
        while process.poll() is None and read_manifest(folders[1] / "curate-store").commit_number < begun + stop:
            time.sleep(0.002)
        killed += process.poll() is None
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert killed >= 3
    assert len(decisions(projects[1])) < 1_500
    process = _process(folders[1])
    assert process.wait() == 0
    assert decisions(projects[1]) == decisions(projects[0])
    assert state(projects[1]) == state(projects[0])
    queue = "SELECT * EXCLUDE (run_id) FROM queue ORDER BY ALL"
    assert ask(projects[1], queue) == ask(projects[0], queue)


def _process(folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "curate", "--quiet", "acquire"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True)
