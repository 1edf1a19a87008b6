"""The gate over a real store: audits from the reserve, verdicts, a queue, and people who are simulated."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from curate.annotate.gate import audits_needed
from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.spending import money_left, money_spent
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.consensus import ConsensusStep
from curate.flows.steps.gate import GateStep, spending_so_far
from curate.flows.steps.gate_plan import audits_to_decide
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.report import ReportStep, report_path
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.store.write import Write, rows
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "notes"
path = "notes.jsonl"
meta = ["topic", "mood"]

[protocol]
name = "notes"
version = "1"

[[protocol.attribute]]
name = "topic"
question = "What is it about?"
values = ["sea", "land"]

[[protocol.attribute]]
name = "mood"
question = "How does it sound?"
values = ["calm", "wild"]

[[annotator]]
name = "words"
kind = "rule"
rules = [
  { attribute = "topic", value = "sea", pattern = "ship" },
  { attribute = "topic", value = "land", pattern = "tree" },
  { attribute = "mood", value = "calm", pattern = "softly" },
  { attribute = "mood", value = "wild", pattern = "loudly" },
]

[[snapshot]]
name = "topics"
label = "topic"
annotators = ["words"]

[gate]
enabled = true
reserve = 0.4
answers = 120
"""
PEOPLE = 'people = "oracle:{attribute}"\n'
RIGHT = {"topic": 0.98, "mood": 0.7}
"""How often a note has the word that its truth calls for."""


def write_notes(folder: Path, count: int, right: dict[str, float], file: str = "notes.jsonl", seed: int = 0) -> None:
    generator = random.Random(seed)
    lines = []
    for number in range(count):
        topic, mood = generator.choice(("sea", "land")), generator.choice(("calm", "wild"))
        seen = topic if generator.random() < right["topic"] else {"sea": "land", "land": "sea"}[topic]
        heard = mood if generator.random() < right["mood"] else {"calm": "wild", "wild": "calm"}[mood]
        words = {"sea": "ship", "land": "tree"}[seen], {"calm": "softly", "wild": "loudly"}[heard]
        text = f"note {seed}-{number} of a {words[0]} that moves {words[1]}"
        lines.append(json.dumps({"text": text, "topic": topic, "mood": mood}))
    (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def opened(folder: Path, more: str = "", settings: str = SETTINGS) -> Project:
    (folder / "curate.toml").write_text(settings + more, encoding="utf-8")
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 1,500 notes that the rules have annotated, never to be written to."""
    folder = tmp_path_factory.mktemp("annotated") / "project"
    folder.mkdir()
    write_notes(folder, 1_500, RIGHT)
    project = opened(folder, PEOPLE)
    IngestStep().run(project, QUIET)
    AnnotateStep().run(project, QUIET)
    return folder


@pytest.fixture(scope="module")
def turned(annotated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That project after four rounds, in which the topic passed; never to be written to."""
    folder = Path(shutil.copytree(annotated, tmp_path_factory.mktemp("turned") / "project"))
    project = opened(folder, PEOPLE)
    for _ in range(4):
        turn(project)
    assert verdicts(project)["topic"]["verdict"] == "passed"
    return folder


@pytest.fixture
def project(annotated: Path, tmp_path: Path) -> Project:
    """A copy of the annotated project."""
    return opened(Path(shutil.copytree(annotated, tmp_path / "project")), PEOPLE)


@pytest.fixture
def passed_project(turned: Path, tmp_path: Path) -> Project:
    """A copy of the project whose topic has passed."""
    return opened(Path(shutil.copytree(turned, tmp_path / "project")), PEOPLE)


def turn(project: Project, **more: bool) -> StepReport:
    return GateStep().run(project, QUIET, **more)


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


def verdicts(project: Project) -> dict[str, dict[str, Any]]:
    found = ask(project, "FROM gates QUALIFY row_number() OVER (PARTITION BY attribute ORDER BY look DESC) = 1")
    return {row["attribute"]: row for row in found}


def test_the_wheel_passes_what_is_good_and_asks_about_the_rest(project: Project) -> None:
    plan = GateStep().plan(project, QUIET)
    assert (plan.to_do, plan.notes) == (120, ("round 1 asks 120 questions, 80 of them audits",))
    for _ in range(6):
        turn(project)
    found = verdicts(project)
    assert (found["topic"]["verdict"], found["mood"]["verdict"]) == ("passed", "open")
    for attribute, right in RIGHT.items():
        assert found[attribute]["low"] <= right <= found[attribute]["high"]
    assert "below the bar" in found["mood"]["reason"]
    ReportStep().run(project, QUIET)
    page = report_path(project).read_text(encoding="utf-8")
    assert "The gate of notes/1" in page
    assert "answers, and" in page
    assert "are simulated" in page
    [passed] = ask(
        project, "SELECT min(commit_number) AS at FROM gates WHERE attribute = 'topic' AND verdict = 'passed'"
    )
    later = ask(
        project, f"SELECT attribute, count(*) AS n FROM queue WHERE commit_number > {passed['at']} GROUP BY ALL"
    )
    assert {row["attribute"] for row in later} == {"mood"}
    kinds = {row["annotator_kind"] for row in ask(project, "SELECT DISTINCT annotator_kind FROM annotations")}
    assert kinds == {"rule", "simulated"}
    assert {
        row["annotator"].partition("#")[0] for row in ask(project, "FROM annotations WHERE annotator <> 'words'")
    } == {"oracle:{attribute}"}


def test_a_rule_that_is_always_sure_is_not_taken_at_its_word(project: Project) -> None:
    for _ in range(3):
        turn(project)
    kinds = "SELECT kind, count(*) AS n FROM queue WHERE attribute = 'mood' AND kind <> 'audit' GROUP BY kind"
    asked = {row["kind"]: row["n"] for row in ask(project, kinds)}
    assert asked["label"] > 10 * asked["repeat"] > 0


def test_audits_train_nothing(project: Project) -> None:
    for _ in range(3):
        turn(project)
    SnapshotStep().run(project, QUIET)
    ConsensusStep().run(project, QUIET)
    assert ask(project, "FROM audits")
    assert ask(project, "FROM snapshot_items SEMI JOIN audits USING (item_id)") == []
    [row] = ask(project, "SELECT funnel FROM snapshots")
    reserved = json.loads(row["funnel"])["reserved for audits"]
    assert 0.35 < reserved / 1_500 < 0.45
    twice = """
        SELECT item_id, attribute FROM consensus c SEMI JOIN audits a USING (item_id, attribute) WHERE c.votes > 1"""
    assert ask(project, twice) == []
    assert ask(project, "FROM queue q SEMI JOIN snapshot_items s USING (item_id) WHERE q.kind = 'audit'") == []


def test_a_round_waits_for_its_answers_unless_told_not_to(tmp_path: Path) -> None:
    write_notes(tmp_path, 300, RIGHT)
    project = opened(tmp_path)
    IngestStep().run(project, QUIET)
    AnnotateStep().run(project, QUIET)
    first = turn(project)
    assert first.done == len(ask(project, "FROM queue")) == 120
    again = turn(project)
    assert (again.idle, again.notes) == (True, ("120 questions wait for answers: curate label",))
    assert turn(project, now=True).done
    assert {row["round"] for row in ask(project, "SELECT DISTINCT round FROM queue")} == {1, 2}


def test_a_passed_attribute_is_rechecked_and_falls_back(passed_project: Project) -> None:
    project = passed_project
    write_notes(project.folder, 800, {"topic": 0.3, "mood": 0.7}, "later.jsonl", seed=1)
    changed = SETTINGS.replace('path = "notes.jsonl"', 'path = "*.jsonl"').replace("reserve", "recheck = 0.4\nreserve")
    project = opened(project.folder, PEOPLE, changed)
    IngestStep().run(project, QUIET)
    AnnotateStep().run(project, QUIET)
    for _ in range(3):
        turn(project)
    history = [row["verdict"] for row in ask(project, "FROM gates WHERE attribute = 'topic' ORDER BY look")]
    assert "fell back" in history
    assert history.index("fell back") > history.index("passed")


def test_the_bound_of_a_passed_attribute_is_told_anew_with_its_rechecks(passed_project: Project) -> None:
    project = passed_project
    passed = verdicts(project)["topic"]
    write_notes(project.folder, 400, RIGHT, "later.jsonl", seed=1)
    changed = SETTINGS.replace('path = "notes.jsonl"', 'path = "*.jsonl"').replace("reserve", "recheck = 0.4\nreserve")
    project = opened(project.folder, PEOPLE, changed)
    IngestStep().run(project, QUIET)
    AnnotateStep().run(project, QUIET)
    for _ in range(3):
        turn(project)
    now = verdicts(project)["topic"]
    assert (now["verdict"], now["level"]) == ("passed", passed["level"])
    assert now["audited"] > passed["audited"]
    assert now["bound"] != passed["bound"]


def test_a_pass_does_not_outlive_the_version_that_earned_it(passed_project: Project) -> None:
    project = passed_project
    same = SETTINGS.replace('"ship"', '"ships?"')
    worse = SETTINGS.replace('"ship"', '"sheep"').replace('"tree"', '"ship|tree"')
    history = []
    for settings in (same, worse):
        changed = opened(project.folder, PEOPLE, settings)
        AnnotateStep().run(changed, QUIET)
        turn(changed)
        history.append((verdicts(changed)["topic"]["verdict"], verdicts(changed)["topic"]["reason"]))
    assert history[0][0] == "passed"
    assert history[0][1].startswith("its new version was right in")
    assert history[1][0] == "fell back"
    assert "audits of its new version were wrong" in history[1][1]


def test_a_budget_is_never_exceeded_and_then_nothing_is_asked(project: Project) -> None:
    project = opened(project.folder, PEOPLE + "budget = 150\n")
    for _ in range(4):
        turn(project)
    [given] = ask(project, "SELECT count(*) AS n FROM annotations WHERE annotator_kind = 'simulated'")
    assert given["n"] == 150
    assert turn(project).notes[-1].startswith("the budget of 150 answers leaves 0, and a round would ask for 12")
    assert turn(project).idle


def test_a_budget_below_the_pilots_is_shared_evenly_and_told(project: Project) -> None:
    project = opened(project.folder, PEOPLE + "budget = 15\npilot = 20\n")
    report = turn(project)
    assert "the budget of 15 answers leaves 15, and a round would ask for 120" in report.notes
    asked = ask(project, "SELECT attribute, kind, count(*) AS n FROM queue GROUP BY ALL ORDER BY n")
    assert [(row["kind"], row["n"]) for row in asked] == [("audit", 7), ("audit", 8)]
    for _ in range(3):
        turn(project)
    assert ask(project, "SELECT count(*) AS n FROM queue") == [{"n": 15}]


def test_what_was_begun_is_settled_first_but_not_beyond_the_budget(project: Project) -> None:
    generous = opened(project.folder, PEOPLE + "budget = 100\npilot = 50\n")
    turn(generous)
    turn(tight := opened(project.folder, PEOPLE + "budget = 103\npilot = 50\n"))
    asked = ask(tight, "SELECT kind, answers FROM queue WHERE round = 2")
    assert asked == [{"kind": "audit", "answers": 2}] * 3


def test_a_run_that_was_cut_off_ends_with_the_same_rows(
    project: Project, annotated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn(project)
    turn(project)
    tables = ("queue", "audits", "gates", "annotations")
    whole = {name: _rows(project, name) for name in tables}
    other = opened(Path(shutil.copytree(annotated, tmp_path / "cut")), PEOPLE)
    with monkeypatch.context() as patch:
        patch.setattr("curate.flows.steps.gate.simulate", _cut)
        with pytest.raises(KeyboardInterrupt):
            turn(other)
    turn(other)
    assert {name: _rows(other, name) for name in tables} == whole


def _cut(*_: object) -> int:
    raise KeyboardInterrupt


def _rows(project: Project, table: str) -> set[str]:
    exclude = "run_id, commit_number" + (", since, passed_at" if table == "gates" else "")
    return {json.dumps(row, sort_keys=True) for row in ask(project, f"SELECT * EXCLUDE ({exclude}) FROM {table}")}


def test_cannot_tell_is_no_audit_and_closes_the_question(tmp_path: Path) -> None:
    write_notes(tmp_path, 300, RIGHT)
    text = (tmp_path / "notes.jsonl").read_text().replace('"mood": "calm"', '"mood": "none of these"')
    (tmp_path / "notes.jsonl").write_text(text)
    project = opened(tmp_path, PEOPLE)
    IngestStep().run(project, QUIET)
    AnnotateStep().run(project, QUIET)
    turn(project)
    turn(project)
    silent = ask(project, "SELECT count(*) AS n FROM abstentions WHERE reason = 'cannot tell'")[0]["n"]
    audits = ask(project, "SELECT count(*) AS n FROM audits WHERE attribute = 'mood' AND round = 1")[0]["n"]
    assert silent > 0
    assert 0 < verdicts(project)["mood"]["audited"] < audits


def test_the_plan_says_how_many_audits_decide(project: Project) -> None:
    before = audits_to_decide(project)
    supposed = [(need.attribute, need.needed) for need in before[:2]]
    assert supposed == [("topic", audits_needed(accuracy, 0.85, 0.3 * 0.05)) for accuracy in (0.87, 0.9)]
    turn(project)
    after = {need.attribute: need for need in audits_to_decide(project)}
    assert after["mood"].needed is None
    assert 30 < (after["topic"].needed or 0) < 400


def test_asking_now_again_spends_nothing_where_nobody_has_answered_since(tmp_path: Path) -> None:
    write_notes(tmp_path, 300, RIGHT)
    project = opened(tmp_path, PEOPLE)
    IngestStep().run(project, QUIET)
    AnnotateStep().run(project, QUIET)
    turn(project)
    project = opened(tmp_path)
    spent = []
    for _ in range(3):
        turn(project, now=True)
        with project.reader() as reader:
            spent.append(spending_so_far(reader, project).spent)
    assert spent[0] > 0
    assert len(set(spent)) == 1


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    project = opened(tmp_path, settings=SETTINGS.replace("enabled = true", "enabled = false"))
    assert GateStep().run(project, QUIET).notes == ("enabled = false in [gate], or the protocol asks nothing",)


def test_a_column_that_no_item_has_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    write_notes(tmp_path, 60, RIGHT)
    project = opened(tmp_path, 'people = "oracle:subject"\n')
    IngestStep().run(project, QUIET)
    AnnotateStep().run(project, QUIET)
    with pytest.raises(ConfigurationError, match="no item has a column 'subject'") as told:
        turn(project)
    assert told.value.hint == "columns beside the items: mood, topic"
    assert ask(project, "FROM abstentions") == []
    assert turn(opened(tmp_path, PEOPLE)).done, "the questions of the round are still open"


def test_simulated_people_are_paid_from_the_same_ceiling(project: Project) -> None:
    project = opened(project.folder, PEOPLE + "\n[spending]\nceiling = 5.0\nlabel_price = 0.1\n")
    report = turn(project)
    given = "SELECT count(*) AS n FROM annotations WHERE annotator_kind = 'simulated'"
    assert ask(project, given) == [{"n": 50}]
    assert (money_spent(project), money_left(project)) == (pytest.approx(5.0), pytest.approx(0.0))
    assert "50 answers are simulated" in report.notes
    assert "70 questions wait: the spending ceiling leaves no money for their answers" in turn(project).notes
    assert ask(project, given) == [{"n": 50}]


def test_people_are_simulated_under_their_own_name_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="people"):
        opened(tmp_path, 'people = "ada"\n')


def test_an_answer_that_was_taken_back_counts_no_more(tmp_path: Path) -> None:
    write_notes(tmp_path, 300, RIGHT)
    project = opened(tmp_path)
    IngestStep().run(project, QUIET)
    AnnotateStep().run(project, QUIET)
    turn(project)
    [asked, *_] = ask(project, "FROM queue ORDER BY kind, item_id, attribute")
    named = {name: asked[name] for name in ("item_id", "protocol", "protocol_version", "attribute")}
    said = {**named, "annotator": "ada", "annotator_version": "1"}
    claim = rows("annotations", {**said, "value": "sea", "confidence": 1.0, "annotator_kind": "human"}, 1)
    project.store.commit(Write("label", {"annotations": claim}))
    assert turn(project).notes == ("119 questions wait for answers: curate label",)
    undone = rows("abstentions", {**said, "reason": "undone"}, 1)
    project.store.commit(Write("label", {"abstentions": undone}))
    assert turn(project).notes == ("120 questions wait for answers: curate label",)
