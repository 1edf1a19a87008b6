"""New checkpoints are judged before they are served, people may overrule, and bottlenecks forget what they are told."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import StoreBusyError, UnknownNameError, UsageError
from curate.flows.project import Project
from curate.flows.sequence import run_sequence
from curate.flows.steps import forgetting as forgetting_module
from curate.flows.steps import step_named
from curate.flows.steps.forgetting import forget
from curate.flows.steps.learner_annotators import LearnerAnnotating
from curate.flows.steps.promoting import promote, roll_back
from curate.flows.steps.report_learners import learner_summaries
from curate.learners.encoders.hashed_text import HashedTextEncoder
from curate.settings import LearnerAnnotatorSettings, load_settings
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "notes"
path = "*.jsonl"
label = "topic"
attribute = "topic"

[dedup]
near = false

[protocol]
name = "notes"
version = "1"

[[protocol.attribute]]
name = "topic"
question = "What is it about?"
values = ["sea", "land", "air", "fire"]

[[snapshot]]
name = "topics"
label = "topic"
strict = true
annotators = ["notes"]
splits = { train = 0.7, test = 0.3 }

[[learner]]
name = "topics"
snapshot = "topics"
encoder = "hashed-ngrams:64"
parameters = { heads = 32, pairs = 64, batch_size = 16 }
"""
WORDS = {
    "sea": ["sail", "anchor", "harbour", "wave", "tide", "gull", "mast", "rudder", "keel", "deck"],
    "land": ["field", "forest", "meadow", "plough", "fence", "barn", "orchard", "horse", "cart", "lane"],
    "air": ["cloud", "wing", "glider", "kite", "breeze", "lark", "balloon", "storm", "swift", "gale"],
    "fire": ["ember", "flame", "ash", "kiln", "forge", "torch", "spark", "smoke", "coal", "hearth"],
}
WRONG = {"sea": "land", "land": "air", "air": "fire", "fire": "sea"}


def write_notes(folder: Path, count: int, seed: int, wrong: float = 0.0) -> None:
    """Write notes about the four topics, a share of them with another topic's label."""
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        topic = list(WORDS)[number % 4]
        text = f"{seed}-{number}: {' '.join(chance.choices(WORDS[topic], k=8))}"
        lines.append(json.dumps({"text": text, "topic": WRONG[topic] if chance.random() < wrong else topic}))
    (folder / f"{seed}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def opened(folder: Path, settings: str = SETTINGS) -> Project:
    (folder / "curate.toml").write_text(settings, encoding="utf-8")
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def learn(folder: Path, settings: str = SETTINGS) -> StepReport:
    steps = [step_named(name) for name in ("ingest", "snapshot", "learn")]
    return run_sequence(opened(folder, settings), QUIET, steps)[-1]


def ask(folder: Path, sql: str) -> list[dict[str, Any]]:
    with opened(folder).reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
        return found


def turns(folder: Path) -> list[dict[str, Any]]:
    return ask(folder, "FROM promotions ORDER BY turn")


def served(folder: Path) -> str:
    """What the annotator says that it is at work with."""
    settings = LearnerAnnotatorSettings(name="pupil", kind="learner", learner="topics")
    return LearnerAnnotating(opened(folder), settings).description


@pytest.fixture(scope="module")
def taught_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught") / "project"
    folder.mkdir()
    write_notes(folder, 400, 1)
    report = learn(folder)
    assert report.details["topics topics 1"]["after"] > 0.9
    return folder


@pytest.fixture
def folder(taught_once: Path, tmp_path: Path) -> Path:
    """A project whose learner has learned one number."""
    return Path(shutil.copytree(taught_once, tmp_path / "project"))


@pytest.fixture
def spoilt(folder: Path) -> Path:
    """The project after a second number whose labels are wrong."""
    write_notes(folder, 1200, 2, wrong=0.9)
    report = learn(folder)
    assert report.notes[0].startswith("topics: the new checkpoint is kept and not promoted; ")
    assert "were right and would be wrong" in report.notes[0]
    assert report.notes[1] == "to serve it all the same: curate promote topics"
    return folder


def test_the_first_and_what_is_no_worse_are_promoted(folder: Path) -> None:
    write_notes(folder, 200, 2)
    assert learn(folder).notes == ()
    assert [(turn["number"], turn["action"], turn["reason"]) for turn in turns(folder)] == [
        (1, "promoted", "the first checkpoint"),
        (2, "promoted", "no worse on any guarded slice"),
    ]
    assert turns(folder)[1]["served"] == turns(folder)[0]["checkpoint"]
    with opened(folder).reader() as reader:
        [shown] = learner_summaries(reader)
    assert (shown.served, shown.kept) == (turns(folder)[1]["checkpoint"], "")
    assert served(folder) == "learner 'topics' after topics 2"
    compared = ask(folder, "SELECT name FROM metrics WHERE subject = 'topics' AND name LIKE '%served%' ORDER BY name")
    assert [row["name"] for row in compared] == ["difference to served", "difference to served, low"]
    assert ask(folder, "FROM promotions WHERE learner <> 'topics'") == []


def test_what_is_worse_is_kept_explained_and_not_served(spoilt: Path) -> None:
    assert [turn["action"] for turn in turns(spoilt)] == ["promoted", "kept"]
    assert served(spoilt) == "learner 'topics' after topics 1"
    with opened(spoilt).reader() as reader:
        [shown] = learner_summaries(reader)
    assert (shown.served, shown.checkpoint) == tuple(turn["checkpoint"] for turn in turns(spoilt))
    assert shown.kept == turns(spoilt)[1]["reason"]
    write_notes(spoilt, 1200, 3, wrong=0.9)
    learn(spoilt)
    third = turns(spoilt)[2]
    assert (third["number"], third["action"]) == (3, "kept")
    assert third["served"] == turns(spoilt)[0]["checkpoint"]  # which is no longer the parent
    parents = ask(spoilt, "SELECT number, parent FROM checkpoints WHERE learner = 'topics' ORDER BY number")
    assert parents[2]["parent"] == turns(spoilt)[1]["checkpoint"]


def test_a_switched_off_gate_promotes_everything(folder: Path) -> None:
    write_notes(folder, 1200, 2, wrong=0.9)
    assert learn(folder, SETTINGS + "promotion = { enabled = false }\n").notes == ()
    assert [turn["reason"] for turn in turns(folder)] == ["the first checkpoint", "the promotion gate is off"]


def test_guarded_classes_are_judged_one_by_one(folder: Path) -> None:
    write_notes(folder, 200, 2)
    learn(folder, SETTINGS + "promotion = { classes = true }\n")
    slices = ask(folder, "SELECT slice FROM metrics WHERE name = 'difference to served' ORDER BY slice")
    assert [row["slice"] for row in slices] == ["all", "class:air", "class:fire", "class:land", "class:sea"]


def test_subpopulations_are_measured_and_guarded_one_by_one(folder: Path) -> None:
    settings = SETTINGS + 'slices = ["topic"]\n'
    write_notes(folder, 200, 2)
    learn(folder, settings)
    guarded = ask(folder, "SELECT slice FROM metrics WHERE name = 'difference to served' ORDER BY slice")
    assert [row["slice"] for row in guarded] == ["all", "topic:air", "topic:fire", "topic:land", "topic:sea"]
    with opened(folder, settings).reader() as reader:
        [summary] = learner_summaries(reader)
    assert [part.name for part in summary.slices] == ["topic:air", "topic:fire", "topic:land", "topic:sea"]


def test_what_is_left_of_earlier_numbers_is_measured(folder: Path) -> None:
    for seed, wrong in ((2, 0.0), (3, 0.9)):
        write_notes(folder, 200, seed, wrong=wrong)
        learn(folder)
    rows = ask(folder, "FROM metrics WHERE subject = 'topics' ORDER BY number")
    found = {(row["number"], row["name"], row["slice"]): row["value"] for row in rows}
    after = {(row, task): found[row, "accuracy", f"number:{task}"] for row in (1, 2, 3) for task in range(1, row + 1)}
    best = [max(after[1, 1], after[2, 1]), after[2, 2]]
    assert found[3, "forgetting", "over time"] == pytest.approx(sum(best) / 2 - (after[3, 1] + after[3, 2]) / 2)
    ahead = [found[number, "accuracy before", f"number:{number}"] - 0.25 for number in (2, 3)]
    assert found[3, "forward transfer", "over time"] == pytest.approx(sum(ahead) / 2)
    lowest = [found[number, "accuracy", "all"] for number in (1, 2, 3)]
    assert found[3, "minimum accuracy", "all"] == min(lowest)
    assert found[3, "parameters", "all"] >= found[1, "parameters", "all"] > 1_000
    with opened(folder).reader() as reader:
        [summary] = learner_summaries(reader)
    assert [len(values) for _, values in summary.matrix] == [3, 3, 3]
    assert summary.increments[-1].lowest is not None
    assert summary.increments[-1].seconds > 0


def test_people_overrule_the_gate_and_go_back(spoilt: Path) -> None:
    first, kept = (turn["checkpoint"] for turn in turns(spoilt))
    assert promote(opened(spoilt), QUIET, "topics", dry=True).idle
    assert len(turns(spoilt)) == 2
    report = promote(opened(spoilt), QUIET, "topics")
    assert report.details["served"] == kept
    assert any(note.startswith("the gate had kept it: ") for note in report.notes)
    assert served(spoilt) == "learner 'topics' after topics 2"
    assert promote(opened(spoilt), QUIET, "topics").skipped == 1
    report = roll_back(opened(spoilt), QUIET, "topics")
    assert report.details["served"] == first
    assert any("learning goes on from" in note for note in report.notes)
    assert served(spoilt) == "learner 'topics' after topics 1"
    with pytest.raises(UsageError, match="has served no other checkpoint"):
        roll_back(opened(spoilt), QUIET, "topics")
    roll_back(opened(spoilt), QUIET, "topics", to=kept[:12])
    assert [turn["action"] for turn in turns(spoilt)] == ["promoted", "kept", "by hand", "rolled back", "rolled back"]
    with pytest.raises(UnknownNameError, match="topcis"):
        promote(opened(spoilt), QUIET, "topcis")


def test_a_class_is_forgotten_and_the_others_are_not(folder: Path) -> None:
    before = turns(folder)[0]["checkpoint"]
    assert forget(opened(folder), QUIET, "label = 'fire'", dry=True).idle
    assert len(turns(folder)) == 1
    report = forget(opened(folder), QUIET, "label = 'fire'")
    figures = report.details["topics"]
    after = "accuracy after forgetting, "
    assert report.done > 50
    assert figures["accuracy before forgetting, forgotten items"] > 0.9
    assert figures[after + "forgotten items"] <= figures["chance, all"] == 0.25
    assert figures[after + "test items of their classes"] <= 0.25
    others = "accuracy before forgetting, test items of other classes"
    assert figures[after + "test items of other classes"] >= figures[others] - 0.05
    assert any("weak unlearning" in note for note in report.notes)
    assert any("topics/nearest-class-mean" in note for note in report.notes)
    last = turns(folder)[-1]
    assert (last["action"], last["served"], last["reason"]) == ("forgot", before, f"{report.done} items")
    [row] = ask(folder, f"SELECT parent, number, items FROM checkpoints WHERE checkpoint = '{last['checkpoint']}'")
    assert row == {"parent": before, "number": 1, "items": -report.done}
    with pytest.raises(UsageError, match="came by forgetting"):
        roll_back(opened(folder), QUIET, "topics")
    back = roll_back(opened(folder), QUIET, "topics", to=before)
    assert any("has its influence again" in note for note in back.notes)


def test_codes_are_kept_and_learned_from_without_the_encoder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [kept] = ask(
        folder,
        "SELECT count(*) AS items, count(DISTINCT keys_version) AS keys, any_value(len(codes)) AS heads FROM codes",
    )
    [row] = ask(folder, "SELECT items FROM checkpoints WHERE learner = 'topics'")
    assert kept == {"items": row["items"], "keys": 1, "heads": 32}
    encoded: list[int] = []
    encode = HashedTextEncoder.encode
    monkeypatch.setattr(
        HashedTextEncoder, "encode", lambda self, items: encoded.append(len(items)) or encode(self, items)
    )
    report = forget(opened(folder), QUIET, "label = 'fire'", exact=True)
    assert report.done in encoded
    assert row["items"] - report.done not in encoded


def test_a_bottleneck_forgets_exactly_when_it_learns_the_others_again(folder: Path, tmp_path: Path) -> None:
    report = forget(opened(folder), QUIET, "label = 'fire'", exact=True)
    figures = report.details["topics"]
    after = "accuracy after forgetting, "
    assert figures[after + "forgotten items"] == figures[after + "test items of their classes"] == 0.0
    others = "accuracy before forgetting, test items of other classes"
    assert figures[after + "test items of other classes"] >= figures[others] - 0.005
    assert any("taught all other items alone" in note for note in report.notes)
    again = forget(opened(folder), QUIET, "label = 'air'", exact=True)
    assert again.details["topics"][after + "forgotten items"] == 0.0
    assert again.details["topics"][after + "test items of other classes"] > 0.4


def test_a_ridge_over_codes_forgets_exactly(folder: Path) -> None:
    """What is left is what a learner would be that had never been taught the items, over the same keys."""
    ridge = SETTINGS.replace('name = "topics"\nsnapshot', 'name = "topics"\nkind = "key-value-ridge"\nsnapshot')
    ridge = ridge[: ridge.index("parameters = ")]
    learn(folder, ridge)
    report = forget(opened(folder, ridge), QUIET, "label = 'fire'")
    figures = report.details["topics"]
    assert figures["accuracy before forgetting, forgotten items"] > 0.9
    assert figures["accuracy after forgetting, forgotten items"] <= 0.25
    others = "accuracy before forgetting, test items of other classes"
    assert figures["accuracy after forgetting, test items of other classes"] >= figures[others] - 0.05
    assert any("but for rounding" in note for note in report.notes)
    assert not any("pairs" in name for name in figures)
    [again] = forget(opened(folder, ridge), QUIET, "label = 'fire'").notes
    assert "has forgotten them already" in again


def test_what_is_forgotten_is_not_forgotten_twice_and_learning_goes_on_from_there(folder: Path) -> None:
    forget(opened(folder), QUIET, "label = 'fire' AND source = 'notes'")
    [again] = forget(opened(folder), QUIET, "label = 'fire'").notes
    assert "has forgotten them already" in again
    forgot = turns(folder)[-1]["checkpoint"]
    write_notes(folder, 200, 2)
    learn(folder)
    [row] = ask(folder, "SELECT parent FROM checkpoints WHERE learner = 'topics' AND number = 2")
    assert row["parent"] == forgot
    assert learn(folder).idle


def test_who_cannot_forget_says_so(folder: Path) -> None:
    other = SETTINGS + '\n[[learner]]\nname = "means"\nkind = "nearest-class-mean"\nsnapshot = "topics"\n'
    other += 'encoder = "hashed-ngrams:64"\n'
    learn(folder, other)
    report = forget(opened(folder, other), QUIET, "label = 'fire'")
    assert report.notes[-1] == "means: a nearest-class-mean cannot forget; it still knows the items"
    with pytest.raises(UsageError, match="cannot forget"):
        forget(opened(folder, other), QUIET, "label = 'fire'", ["means"])
    with pytest.raises(UsageError, match="cannot be answered"):
        forget(opened(folder), QUIET, "nonsense = 1")
    with pytest.raises(UsageError, match="a head would lose its last written pair"):
        forget(opened(folder), QUIET, "true")


def test_forgetting_and_learning_at_once_lose_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the checkpoint and the commit another process learns: the forgetting is void and says so."""
    prepare: Callable[..., Any] = forgetting_module.lesson_write

    def learn_first(*given: Any) -> Any:
        write_notes(folder, 200, 2)
        learn(folder)
        return prepare(*given)

    monkeypatch.setattr(forgetting_module, "lesson_write", learn_first)
    with pytest.raises(StoreBusyError, match="changed learner 'topics' meanwhile"):
        forget(opened(folder), QUIET, "label = 'fire'")
    assert [turn["action"] for turn in turns(folder)] == ["promoted", "promoted"]
    assert ask(folder, "FROM ledger WHERE step = 'forget'") == []


def test_the_verbs(folder: Path, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    write_notes(folder, 200, 2)
    learn(folder)
    first, second = (turn["checkpoint"] for turn in turns(folder))
    planned = call("rollback", "topics", "--dry-run")
    assert planned.code == 0
    assert f"{first[:12]} (after topics 1) in place of {second[:12]}" in planned.err
    assert planned.err.endswith("nothing was written\n")
    assert json.loads(call("rollback", "topics", "--json").out)["details"]["served"] == first
    assert json.loads(call("promote", "topics", second[:9], "--json").out)["details"]["before"] == first
    command = [sys.executable, "-m", "curate", "forget", "--where", "text LIKE '%gull%'", "--json"]
    forgot = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 0 < forgot["done"] < 300
    assert [turn["action"] for turn in turns(folder)][2:] == ["rolled back", "by hand", "forgot"]
    [run] = ask(folder, "SELECT command FROM runs WHERE command LIKE '%forget%'")
    assert run == {"command": "curate forget"}  # the condition may name a person
    assert call("promote", "nobody").code == 3
    assert call("forget").code == 2
