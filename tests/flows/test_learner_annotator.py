"""The loop closes: people answer, a learner learns from them, and annotates what arrives next."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curate.errors import ConfigurationError, UnknownNameError
from curate.flows.project import Project
from curate.flows.sequence import run_sequence
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.consensus import ConsensusStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.promoting import roll_back
from curate.settings import load_settings
from curate.settings.teaching import with_annotator
from curate.store.claims import contested_questions, newest_claims
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "notes"
path = "*.jsonl"
meta = ["topic"]

[dedup]
near = false

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
rules = [
  { attribute = "topic", value = "sea", pattern = "water" },
  { attribute = "topic", value = "land", pattern = "ground" },
]

[[annotator]]
name = "pupil"
kind = "learner"
learner = "topics"

[gate]
enabled = true
people = "oracle:topic"
reserve = 0.3

[[snapshot]]
name = "topics"
label = "topic"
annotators = ["people"]
strict = true
splits = { train = 0.8, test = 0.2 }

[[learner]]
name = "topics"
kind = "nearest-class-mean"
snapshot = "topics"
encoder = "hashed-ngrams:128"
"""
WORDS = {
    "sea": ["sail", "anchor", "harbour", "wave", "tide", "gull", "mast", "rudder", "keel", "deck"],
    "land": ["field", "forest", "meadow", "plough", "fence", "barn", "orchard", "horse", "cart", "lane"],
}
SEEN = {"sea": "water", "land": "ground"}


def write_notes(folder: Path, count: int, file: str, seed: int) -> None:
    """Write notes whose words tell their topic, and whose rule's word tells the wrong one in three of ten."""
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        topic = chance.choice(("sea", "land"))
        seen = topic if chance.random() < 0.7 else {"sea": "land", "land": "sea"}[topic]
        text = f"note {seed}-{number}: {SEEN[seen]} {' '.join(chance.choices(WORDS[topic], k=6))}"
        lines.append(json.dumps({"text": text, "topic": topic}))
    (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def opened(folder: Path, settings: str = SETTINGS) -> Project:
    (folder / "curate.toml").write_text(settings, encoding="utf-8")
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def walk(folder: Path, settings: str = SETTINGS) -> dict[str, StepReport]:
    return {report.step: report for report in run_sequence(opened(folder, settings), QUIET)}


def ask(folder: Path, sql: str) -> list[dict[str, Any]]:
    with opened(folder).reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


@pytest.fixture(scope="module")
def first_walk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, StepReport]]:
    """A project after its first walk, never to be written to, and what each step reported."""
    folder = tmp_path_factory.mktemp("walked") / "project"
    folder.mkdir()
    write_notes(folder, 300, "first.jsonl", 1)
    return folder, walk(folder)


@pytest.fixture
def folder(first_walk: tuple[Path, dict[str, StepReport]], tmp_path: Path) -> Path:
    """A copy of the project that has been walked once."""
    return Path(shutil.copytree(first_walk[0], tmp_path / "project"))


def refused(settings: str, folder: Path) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        opened(folder, settings)
    return caught.value


def test_the_loop_closes(folder: Path, first_walk: tuple[Path, dict[str, StepReport]]) -> None:
    first = first_walk[1]
    assert first["annotate"].notes == ("pupil: learner 'topics' has no checkpoint yet, so it is not asked",)
    assert first["learn"].done == 3  # the learner and two baselines
    assert ask(folder, "FROM annotations WHERE annotator = 'pupil'") == []

    write_notes(folder, 100, "later.jsonl", 2)
    second = walk(folder)
    assert "pupil: learner 'topics' after topics 1" in second["annotate"].notes
    right = """
        SELECT annotator, avg((value = json_extract_string(metadata, '$.topic'))::INT) AS share, count(*) AS claims
        FROM annotations JOIN origins USING (item_id) WHERE locator LIKE '%later%' GROUP BY ALL"""
    later = {row["annotator"]: row for row in ask(folder, right)}
    assert later["pupil"]["claims"] == 100
    assert later["pupil"]["share"] > 0.9 > 0.8 > later["words"]["share"]
    taught = "(SELECT item_id FROM snapshot_items WHERE number = 1 AND split = 'train')"
    assert ask(folder, f"FROM annotations WHERE annotator = 'pupil' AND item_id IN {taught}") == []
    claims = ask(folder, "FROM annotations WHERE annotator = 'pupil'")
    assert len(claims) == 400 - len(ask(folder, f"FROM items WHERE item_id IN {taught}"))
    assert {(claim["annotator_kind"], claim["attribute"]) for claim in claims} == {("learner", "topic")}
    assert all(0.5 <= claim["confidence"] <= 1.0 for claim in claims)

    walk(folder)
    versions = ask(folder, "SELECT DISTINCT annotator_version AS version FROM annotations WHERE annotator = 'pupil'")
    checkpoints = ask(folder, "SELECT checkpoint FROM checkpoints WHERE learner = 'topics' AND number < 3")
    assert {row["version"].partition("+")[0] for row in versions} == {row["checkpoint"][:16] for row in checkpoints}
    assert len(versions) == 2
    assert ask(folder, "FROM gates WHERE annotator = 'pupil' AND audited > 20")
    calibrated = "FROM metrics WHERE subject = 'calibration of pupil on notes/1/topic' AND name = 'ECE after'"
    assert {row["checkpoint"] for row in ask(folder, calibrated)} & {row["version"] for row in versions}


def test_it_is_asked_again_by_each_checkpoint_or_once(folder: Path) -> None:
    once = SETTINGS.replace('learner = "topics"\n', 'learner = "topics"\nagain = false\n')
    write_notes(folder, 100, "later.jsonl", 2)
    walk(folder, once)
    assert len(ask(folder, "SELECT DISTINCT checkpoint FROM checkpoints WHERE learner = 'topics'")) == 2
    before = len(ask(folder, "FROM annotations WHERE annotator = 'pupil'"))
    assert before > 300
    assert AnnotateStep().run(opened(folder, once), QUIET).idle
    plan = AnnotateStep().plan(opened(folder), QUIET)
    assert plan.to_do == 400
    AnnotateStep().run(opened(folder), QUIET)
    assert AnnotateStep().run(opened(folder), QUIET).idle
    assert len(ask(folder, "FROM annotations WHERE annotator = 'pupil'")) > before + 300


@pytest.mark.parametrize("again", [True, False])
def test_after_a_rollback_the_later_checkpoint_counts_no_more(folder: Path, *, again: bool) -> None:
    settings = SETTINGS + "promotion = { enabled = false }\n"
    settings = settings.replace('learner = "topics"\n', f'learner = "topics"\nagain = {str(again).lower()}\n')
    write_notes(folder, 100, "later.jsonl", 2)
    walk(folder, settings)
    first = said(folder)
    write_notes(folder, 20, "last.jsonl", 3)
    IngestStep().run(opened(folder, settings), QUIET)
    AnnotateStep().run(opened(folder, settings), QUIET)
    assert first != {item_id: claim for item_id, claim in said(folder).items() if item_id in first} or not again
    report = roll_back(opened(folder, settings), QUIET, "topics")
    assert any("once `curate annotate` has asked it" in note for note in report.notes)
    AnnotateStep().run(opened(folder, settings), QUIET)
    back = said(folder)
    assert {item_id: back[item_id] for item_id in first} == first
    assert len(back) == len(first) + 20
    speaking = """
        SELECT DISTINCT starts_with(annotator_version, left(checkpoint, 16)) AS by_the_first
        FROM annotations a, checkpoints c WHERE annotator = 'pupil' AND c.learner = 'topics' AND c.number = 1
        QUALIFY a.commit_number = max(a.commit_number) OVER (PARTITION BY item_id)"""
    assert ask(folder, speaking) == [{"by_the_first": True}]
    assert AnnotateStep().run(opened(folder, settings), QUIET).idle


def said(folder: Path) -> dict[str, tuple[str, float]]:
    """What counts of the pupil's claims, as consensus reads them."""
    with opened(folder).reader() as reader:
        [question] = [one for one in contested_questions(reader) if one.attribute == "topic"]
        found = newest_claims(reader, question).to_pylist()
    return {row["item_id"]: (row["value"], row["confidence"]) for row in found if row["annotator"] == "pupil"}


def test_it_abstains_below_a_threshold(folder: Path) -> None:
    sure = SETTINGS.replace('learner = "topics"\n', 'learner = "topics"\nleast = 0.9999\n')
    AnnotateStep().run(opened(folder), QUIET)
    AnnotateStep().run(opened(folder, sure), QUIET)
    by_version = """
        SELECT min(confidence) AS least, count(*) AS claims FROM annotations WHERE annotator = 'pupil'
        GROUP BY annotator_version ORDER BY least"""
    every, some = ask(folder, by_version)
    assert every["least"] < 0.9999 <= some["least"]
    assert 0 < some["claims"] < every["claims"]


def test_a_learner_can_be_asked_by_its_name(folder: Path) -> None:
    without = SETTINGS.replace(SETTINGS[SETTINGS.index('[[annotator]]\nname = "pupil"') : SETTINGS.index("[gate]")], "")
    opened(folder, without)
    command = [sys.executable, "-m", "curate", "--json"]
    program = (
        "import sys; from curate.cli import main\n"
        "try: main(['--json', 'annotate', '--with', 'learner:topics'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'prefect'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["details"] == {"learner:topics": 300}
    assert len(ask(folder, "FROM annotations WHERE annotator = 'learner:topics'")) > 200
    unknown = subprocess.run(
        [*command, "annotate", "--with", "learner:nobody"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert unknown.returncode == 3
    assert "learner:topics" in unknown.stderr


def test_a_configured_annotator_goes_before_the_name_of_its_learner(folder: Path) -> None:
    settings = opened(folder).settings
    assert [one.name for one in with_annotator(settings, "learner:topics").annotator] == ["pupil"]
    assert [one.name for one in with_annotator(settings, "words").annotator] == ["words"]
    with pytest.raises(UnknownNameError, match="nobody"):
        with_annotator(settings, "nobody")


def test_no_learner_learns_from_its_own_claims(folder: Path) -> None:
    error = refused(SETTINGS.replace("strict = true\n", ""), folder)
    assert "would learn from its own claims" in error.message
    assert error.hint == """strict = true and annotators = ["people"] in [[snapshot]] 'topics'"""
    trusting = SETTINGS.replace('["people"]', '["people", "pupil"]')
    assert "own claims" in refused(trusting, folder).message
    drawn = SETTINGS.replace('["people"]', '["consensus"]')
    opened(folder, drawn)
    error = refused(drawn + "\n[consensus]\nlearners = true\n", folder)
    assert error.hint == "learners = false in [consensus]"


def test_no_two_learners_teach_each_other(folder: Path) -> None:
    second = """
[[annotator]]
name = "other"
kind = "learner"
learner = "others"

[[snapshot]]
name = "others"
label = "topic"
annotators = ["pupil"]
strict = true

[[learner]]
name = "others"
snapshot = "others"
encoder = "hashed-ngrams:128"
"""
    opened(folder, SETTINGS + second)
    error = refused((SETTINGS + second).replace('["people"]', '["people", "other"]'), folder)
    assert "own claims" in error.message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('learner = "topics"\n', 'learner = "topisc"\n', "unknown learner 'topisc'"),
        ('learner = "topics"\n', "", "annotator[1].learner is missing"),
        ('name = "topic"\n', 'name = "subject"\n', "the protocol has no such attribute"),
    ],
)
def test_settings_that_cannot_be_are_refused(folder: Path, old: str, new: str, message: str) -> None:
    settings = SETTINGS.replace(old, new, 1)
    if "subject" in new:
        settings = settings.replace('attribute = "topic"', 'attribute = "subject"')
        settings = settings.replace('meta = ["topic"]', 'label = "topic"\nattribute = "topic"')
    assert message in refused(settings, folder).message


def test_what_learners_claim_counts_in_the_consensus_only_where_it_is_said(folder: Path) -> None:
    counted = "SELECT DISTINCT slice FROM metrics WHERE subject LIKE 'consensus on%' AND name = 'claims'"
    AnnotateStep().run(opened(folder), QUIET)
    assert ConsensusStep().run(opened(folder), QUIET).idle
    assert "pupil" not in [row["slice"] for row in ask(folder, counted)]
    counting = opened(folder, SETTINGS + "\n[consensus]\nlearners = true\n")
    assert ConsensusStep().run(counting, QUIET).done == 1
    assert "pupil" in [row["slice"] for row in ask(folder, counted)]
    assert ConsensusStep().run(opened(folder), QUIET).done == 1
