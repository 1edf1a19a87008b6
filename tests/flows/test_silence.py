"""A new version of an annotator that abstains: what an older version claimed counts no more, wherever it was asked."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from curate.flows.project import Project
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.consensus import ConsensusStep
from curate.flows.steps.export import ExportStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.store.claims import contested_questions, newest_claims
from curate.store.gating import GateScope, claimed_versions, gate_pool
from curate.store.labelling import Asked, people_answers, proposals
from curate.types import Question, SilentProgress

QUIET = SilentProgress()
SCOPE = GateScope("notes", "1", ["text"], 0.0)
SETTINGS = """
[[source]]
name = "notes"
path = "*.jsonl"

[protocol]
name = "notes"
version = "1"

[[protocol.attribute]]
name = "topic"
question = "What is it about?"
values = ["sea", "land"]

[[annotator]]
name = "words"
kind = "rule"
rules = [{ attribute = "topic", value = "sea", pattern = "PATTERN" }]

[[annotator]]
name = "others"
kind = "rule"
rules = [{ attribute = "topic", value = "land", pattern = "note" }]

[[snapshot]]
name = "topics"
label = "topic"
annotators = ["words"]
strict = true
"""


def opened(folder: Path, pattern: str) -> Project:
    (folder / "curate.toml").write_text(SETTINGS.replace("PATTERN", pattern), encoding="utf-8")
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def write(folder: Path, name: str, *texts: str) -> None:
    (folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


@pytest.fixture(scope="module")
def asked_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version one claims "sea" of three notes; version two was asked, and claims it of one of them and of a fourth."""
    folder = tmp_path_factory.mktemp("asked") / "project"
    folder.mkdir()
    write(folder, "notes.jsonl", "note of a ship", "note of a boat", "note of a ferry", "note of a raft")
    first = opened(folder, "ship|boat|ferry")
    IngestStep().run(first, QUIET)
    AnnotateStep().run(first, QUIET)
    AnnotateStep().run(opened(folder, "ship|raft"), QUIET)
    return folder


@pytest.fixture
def project(asked_twice: Path, tmp_path: Path) -> Project:
    """A copy of the project that two versions were asked in."""
    return opened(Path(shutil.copytree(asked_twice, tmp_path / "project")), "ship|raft")


def pool(project: Project) -> dict[str, str | None]:
    texts = {row["item_id"]: row["text"] for row in ask(project, "FROM items")}
    with project.reader() as reader:
        found = gate_pool(reader, SCOPE, "topic", "words").to_pylist()
    return {texts[row["item_id"]].removeprefix("note of a "): row["value"] for row in found}


def test_the_gate_judges_the_newest_word_only(project: Project) -> None:
    assert pool(project) == {"ship": "sea", "raft": "sea", "boat": None, "ferry": None}


def test_a_silence_is_written_down_only_where_something_was_claimed_before(project: Project) -> None:
    silent = ask(project, "FROM abstentions JOIN items USING (item_id) ORDER BY text")
    assert [(row["text"], row["reason"], row["annotator"]) for row in silent] == [
        ("note of a boat", "silent", "words"),
        ("note of a ferry", "silent", "words"),
    ]
    assert AnnotateStep().run(project, QUIET).idle


def test_an_older_claim_holds_where_the_newer_version_has_not_been_asked(project: Project) -> None:
    write(project.folder, "more.jsonl", "note of a canoe")
    older = opened(project.folder, "ship|boat|ferry")
    IngestStep().run(older, QUIET)
    AnnotateStep().run(opened(project.folder, "ship|canoe"), QUIET)
    write(project.folder, "last.jsonl", "note of a boat that came last")
    IngestStep().run(older, QUIET)
    AnnotateStep().run(older, QUIET)
    assert pool(older)["boat that came last"] == "sea"
    assert pool(older)["boat"] is None


def test_a_version_that_claims_nothing_at_all_is_the_newest_nevertheless(project: Project) -> None:
    AnnotateStep().run(silent := opened(project.folder, "no such word"), QUIET)
    assert set(pool(silent).values()) == {None}
    [newest] = {row["annotator_version"] for row in ask(silent, "FROM abstentions ORDER BY commit_number DESC LIMIT 1")}
    with silent.reader() as reader:
        assert claimed_versions(reader, SCOPE, ["words"]) == {("topic", "words"): newest}


def test_consensus_hears_the_newest_word_only(project: Project) -> None:
    with project.reader() as reader:
        [question] = contested_questions(reader)
        found = newest_claims(reader, question).to_pylist()
    assert [row["annotator"] for row in found].count("words") == 2
    assert [row["annotator"] for row in found].count("others") == 4


def test_a_snapshot_takes_no_label_that_the_newer_version_does_not_give(project: Project) -> None:
    SnapshotStep().run(project, QUIET)
    held = ask(project, "FROM snapshot_items JOIN items USING (item_id) ORDER BY text")
    assert [row["text"] for row in held] == ["note of a raft", "note of a ship"]


def test_the_page_shows_the_newest_word_only_and_takes_it_for_nobodys_answer(project: Project) -> None:
    asked = Asked("notes", "1", ["topic"], ["text"])
    [boat] = ask(project, "SELECT item_id FROM items WHERE text LIKE '%boat'")
    with project.reader() as reader:
        shown = proposals(reader, asked, Question(boat["item_id"], "topic", "label"))
        assert [one.annotator for one in shown] == ["others"]
        assert list(people_answers(reader, asked)) == []


def test_label_studio_is_shown_the_newest_word_only(project: Project) -> None:
    assert shown_in_label_studio(project.folder, "ship|raft", "1") == {
        "note of a ship": {"words", "others"},
        "note of a raft": {"words", "others"},
        "note of a boat": {"others"},
        "note of a ferry": {"others"},
    }


def test_label_studio_is_not_shown_what_an_older_protocol_was_told_of_a_withdrawn_claim(tmp_path: Path) -> None:
    write(tmp_path, "notes.jsonl", "note of a boat", "note of a ship")
    for version, pattern in (("1", "ship|boat"), ("2", "ship|boat"), ("2", "ship")):
        configure(tmp_path, pattern, version)
        project = Project(tmp_path, load_settings(tmp_path / "curate.toml", {}), command="test")
        IngestStep().run(project, QUIET)
        AnnotateStep().run(project, QUIET)
    assert shown_in_label_studio(tmp_path, "ship", "2") == {
        "note of a boat": {"others"},
        "note of a ship": {"words", "others"},
    }


def configure(folder: Path, pattern: str, version: str) -> None:
    settings = SETTINGS.replace("PATTERN", pattern).replace('version = "1"', f'version = "{version}"')
    settings = settings.replace('["words"]\nstrict = true', '["others"]') + '\n[export]\nformats = ["label-studio"]\n'
    (folder / "curate.toml").write_text(settings, encoding="utf-8")


def shown_in_label_studio(folder: Path, pattern: str, version: str) -> dict[str, set[str]]:
    """Export a snapshot of everything; return whose claims each task shows, by its text."""
    configure(folder, pattern, version)
    exporting = Project(folder, load_settings(folder / "curate.toml", {}), command="test")
    SnapshotStep().run(exporting, QUIET)
    ExportStep().run(exporting, QUIET)
    found = folder.glob("exports/topics/label-studio/*.json")
    tasks = [task for path in found for task in json.loads(path.read_bytes())]
    return {task["data"]["text"]: {one["model_version"].split()[0] for one in task["predictions"]} for task in tasks}


def test_a_consensus_that_nobody_supports_any_more_labels_nothing(tmp_path: Path) -> None:
    write(tmp_path, "notes.jsonl", "a ship", "a boat", "a ship of note")
    ConsensusStep().run(project := _annotated(tmp_path, "ship|boat"), QUIET)
    assert len(ask(project, "FROM consensus")) == 3
    project = _annotated(tmp_path, "ship")
    ConsensusStep().run(project, QUIET)
    settings = (tmp_path / "curate.toml").read_text().replace('["words"]', '["consensus"]')
    (tmp_path / "curate.toml").write_text(settings, encoding="utf-8")
    project = Project(tmp_path, load_settings(tmp_path / "curate.toml", {}), command="test")
    SnapshotStep().run(project, QUIET)
    held = ask(project, "FROM snapshot_items JOIN items USING (item_id) ORDER BY text")
    assert [row["text"] for row in held] == ["a ship", "a ship of note"]
    done = ConsensusStep().run(project, QUIET)
    assert done.idle


def _annotated(folder: Path, pattern: str) -> Project:
    project = opened(folder, pattern)
    IngestStep().run(project, QUIET)
    AnnotateStep().run(project, QUIET)
    return project
