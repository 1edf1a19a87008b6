"""The step `consensus`: several annotators' claims become one value, which a snapshot can take as its label."""

import json
import random
from pathlib import Path

import pytest

from curate.errors import ConfigurationError, UnknownNameError
from curate.flows.project import Project
from curate.flows.steps.consensus import ConsensusStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.report import ReportStep, report_path
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.store.write import Write, rows
from curate.types import SilentProgress

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "notes"
path = "notes.jsonl"

[protocol]
name = "topics"
version = "1"

[[protocol.attribute]]
name = "topic"
question = "What is it about?"
values = ["sea", "land"]

[[snapshot]]
name = "agreed"
label = "topic"
annotators = ["consensus"]
splits = { train = 1.0 }
"""
SKILLS = {"ann": 0.98, "ben": 0.98, "cam": 0.55, "dan": 0.55, "eve": 0.55}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    lines = [json.dumps({"text": f"note {number} of the {topic(number)}"}) for number in range(200)]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return opened(tmp_path)


def opened(folder: Path, more: str = "") -> Project:
    settings = SETTINGS.replace('annotators = ["consensus"]', "") if "none" in more else SETTINGS
    (folder / "curate.toml").write_text(more + settings, encoding="utf-8")
    project = Project(folder, load_settings(folder / "curate.toml", {}), command="test")
    IngestStep().run(project, QUIET)
    return project


def topic(number: int) -> str:
    return ("sea", "land")[number % 2]


def truths(project: Project) -> dict[str, str]:
    with project.reader() as reader:
        found = reader.query("SELECT item_id, text FROM items").to_pylist()
    return {row["item_id"]: str(row["text"]).rsplit(" ", 1)[1] for row in found}


def claim(
    project: Project,
    annotator: str,
    skill: float,
    items: dict[str, str],
    version: str = "1",
    confidence: float | list[float] = 1.0,
) -> None:
    dice = random.Random(f"{annotator} {version}")
    other = {"sea": "land", "land": "sea"}
    values = [true if dice.random() < skill else other[true] for true in items.values()]
    columns = {
        "item_id": list(items),
        "protocol": "topics",
        "protocol_version": "1",
        "attribute": "topic",
        "value": values,
        "confidence": confidence,
        "annotator": annotator,
        "annotator_kind": "human",
        "annotator_version": version,
    }
    project.store.commit(Write("label", {"annotations": rows("annotations", columns, len(items))}))


def drawn(project: Project) -> dict[str, tuple[str, float, int]]:
    query = """SELECT item_id, value, posterior, votes FROM consensus
        QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY commit_number DESC) = 1"""
    with project.reader() as reader:
        found = reader.query(query).to_pylist()
    return {row["item_id"]: (row["value"], row["posterior"], row["votes"]) for row in found}


def test_good_annotators_outweigh_the_many_and_the_snapshot_takes_their_word(project: Project) -> None:
    true = truths(project)
    for annotator, skill in SKILLS.items():
        claim(project, annotator, skill, true)
    assert ConsensusStep().plan(project, QUIET).to_do == 1
    assert ConsensusStep().run(project, QUIET).details == {"topics/1/topic": 200}
    found = drawn(project)
    assert sum(found[item][0] == value for item, value in true.items()) > 188
    assert {votes for _, _, votes in found.values()} == {5}
    assert ConsensusStep().run(project, QUIET).idle
    SnapshotStep().run(project, QUIET)
    with project.reader() as reader:
        labels = reader.query("SELECT item_id, label FROM snapshot_items").to_pylist()
    assert {row["item_id"]: row["label"] for row in labels} == {item: value for item, (value, _, _) in found.items()}
    ReportStep().run(project, QUIET)
    page = report_path(project).read_text(encoding="utf-8")
    assert "Krippendorff" in page
    assert '<th scope="row">eve</th>' in page


def test_one_annotator_is_no_consensus_and_a_new_claim_is_taken_in(project: Project) -> None:
    true = truths(project)
    claim(project, "ann", 0.9, true)
    assert ConsensusStep().run(project, QUIET).idle
    claim(project, "ben", 0.9, true)
    ConsensusStep().run(project, QUIET)
    before = drawn(project)
    few = dict(list(true.items())[:3])
    claim(project, "cam", 1.0, few)
    assert ConsensusStep().run(project, QUIET).done == 1
    after = drawn(project)
    assert all(after[item][2] == 3 and before[item][2] == 2 for item in few)
    claim(project, "ann", 0.0, few, version="2")
    ConsensusStep().run(project, QUIET)
    assert all(drawn(project)[item][2] == 3 for item in few)


def test_the_method_is_chosen_and_can_be_none(project: Project) -> None:
    true = truths(project)
    for annotator, skill in SKILLS.items():
        claim(project, annotator, skill, true)
    off = opened(project.folder, '[consensus]\nmethod = "none"\n')
    assert ConsensusStep().run(off, QUIET).notes == ('method = "none" in [consensus]',)
    plain = opened(project.folder, '[consensus]\nmethod = "majority"\n')
    ConsensusStep().run(plain, QUIET)
    right = sum(value == true[item] for item, (value, _, _) in drawn(plain).items())
    assert right < 185
    ConsensusStep().run(opened(project.folder), QUIET)
    assert sum(value == true[item] for item, (value, _, _) in drawn(plain).items()) > 188


MODEL = """
[[annotator]]
name = "clip"
kind = "rule"
rules = [{ attribute = "topic", value = "sea", pattern = "never said" }]

[consensus]
model = "clip"
method = "METHOD"
"""


@pytest.mark.parametrize("method", ["bayesian", "crowdlab"])
def test_a_models_confidences_decide_where_voters_differ_and_stand_in_where_they_are_silent(
    project: Project, method: str
) -> None:
    true = truths(project)
    voted = dict(list(true.items())[:150])
    for annotator in ("ann", "ben"):
        claim(project, annotator, 0.7, voted)
    claim(project, "clip", 1.0, true, confidence=0.9)
    weighed = opened(project.folder, MODEL.replace("METHOD", method))
    ConsensusStep().run(weighed, QUIET)
    found = drawn(weighed)
    assert sum(found[item][0] == value for item, value in true.items()) > 190
    assert {found[item][2] for item in voted} == {3}
    assert {found[item][2] for item in true if item not in voted} == {1}
    with weighed.reader() as reader:
        told = reader.query("SELECT DISTINCT checkpoint AS method FROM metrics WHERE name = 'accuracy'").to_pylist()
        skill = reader.query("SELECT value FROM metrics WHERE name = 'accuracy' AND slice = 'clip'").to_pylist()
    assert told == [{"method": method}]
    assert 0.8 < skill[0]["value"] <= 1


def test_a_model_that_doubts_does_not_outvote_people(project: Project) -> None:
    """The same claims count for more or less by their confidence, which a vote's do not."""
    true = truths(project)
    for annotator in ("ann", "ben", "cam"):
        claim(project, annotator, 0.85, true)
    claim(project, "clip", 0.0, true, confidence=0.5)
    ConsensusStep().run(opened(project.folder, MODEL.replace("METHOD", "crowdlab")), QUIET)
    assert sum(value == true[item] for item, (value, _, _) in drawn(project).items()) > 180


def test_crowdlab_waits_for_two_votes_on_an_item_and_says_so(project: Project) -> None:
    true = truths(project)
    claim(project, "ann", 0.9, true)
    claim(project, "clip", 0.9, true, confidence=0.8)
    weighed = opened(project.folder, MODEL.replace("METHOD", "crowdlab"))
    report = ConsensusStep().run(weighed, QUIET)
    assert report.notes == ("topics/1/topic waits: no item has two votes",)
    assert not drawn(weighed)
    claim(project, "ben", 0.9, true)
    assert ConsensusStep().run(weighed, QUIET).done == 1


def test_the_report_has_the_kappas_of_each_pair_and_of_all(project: Project) -> None:
    true = truths(project)
    claim(project, "ann", 1.0, true)
    claim(project, "ben", 1.0, true)
    claim(project, "cam", 0.5, dict(list(true.items())[:100]))
    ConsensusStep().run(project, QUIET)
    query = "SELECT name, slice, value FROM metrics WHERE name LIKE '%kappa' ORDER BY ALL"
    with project.reader() as reader:
        found = {(row["name"], row["slice"]): row["value"] for row in reader.query(query).to_pylist()}
    assert found["Cohen's kappa", "ann and ben"] == 1
    assert abs(found["Cohen's kappa", "ann and cam"]) < 0.4
    assert not any(name == "Fleiss' kappa" for name, _ in found)
    claim(project, "cam", 0.5, true, version="2")
    ConsensusStep().run(project, QUIET)
    ReportStep().run(project, QUIET)
    page = report_path(project).read_text(encoding="utf-8")
    assert "Fleiss&#39; kappa" in page
    assert "ann and ben" in page


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('[consensus]\nmethod = "crowdlab"\n', "none is named"),
        ('[consensus]\nmethod = "majority"\nmodel = "clip"\n', "majority knows no model"),
        ('[consensus]\nmodel = "clap"\n', "clap"),
    ],
)
def test_a_model_that_cannot_be_weighed_is_refused(project: Project, settings: str, says: str) -> None:
    with pytest.raises((ConfigurationError, UnknownNameError), match=says):
        opened(project.folder, settings)
