"""An attribute of several values walks the whole loop: rules, gate, people, consensus, exports, a new version."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curate.errors import ConfigurationError
from curate.flows.labelling import StoreDesk
from curate.flows.project import Project
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.answers import import_answers
from curate.flows.steps.consensus import ConsensusStep
from curate.flows.steps.export import ExportStep, export_folder
from curate.flows.steps.gate import GateStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.report import ReportStep, report_path
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.types import SilentProgress, separate_values

QUIET = SilentProgress()
COLOURS = ("red", "green", "blue")
SETTINGS = """
[[source]]
name = "notes"
path = "notes.jsonl"
meta = ["colours"]

[protocol]
name = "notes"
version = "1"

[[protocol.attribute]]
name = "colours"
question = "Which colours has it?"
values = ["red", "green", "blue"]
multiple = true

[[protocol.attribute]]
name = "shade"
question = "Is the red or the blue of it dark?"
values = ["dark", "light"]
when = { colours = ["red", "blue"] }

[[annotator]]
name = "words"
kind = "rule"
rules = [
  { attribute = "colours", function = "rules:colours" },
  { attribute = "shade", value = "dark", pattern = "dark" },
]

[[annotator]]
name = "others"
kind = "rule"
rules = [{ attribute = "colours", function = "rules:few" }]

[[snapshot]]
name = "coloured"
label = "colours"
annotators = ["consensus"]
splits = { train = 1.0 }

[gate]
enabled = true
annotators = ["words", "others"]
reserve = 0.4
answers = 100
people = "oracle:colours"
oracle_noise = 0.02

[export]
formats = ["label-studio"]
"""
RULES = """
def colours(text):
    return [word for word in ("blue", "green", "red") if word in text]

def few(text):
    return [word for word in ("green", "red") if word in text]
"""


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 notes that name their colours; one rule sees all of them, another no blue."""
    folder = tmp_path_factory.mktemp("annotated") / "project"
    folder.mkdir()
    generator = random.Random(0)
    lines = []
    for number in range(600):
        chosen = [colour for colour in COLOURS if generator.random() < 0.5]
        generator.shuffle(chosen)
        told = f"note {number} of {' and '.join(chosen) or 'nothing'}{' dark' * (number % 2)}"
        lines.append(json.dumps({"text": told, "colours": chosen}))
    (folder / "notes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "rules.py").write_text(RULES, encoding="utf-8")
    (folder / "curate.toml").write_text(SETTINGS, encoding="utf-8")
    project = Project(folder, load_settings(folder / "curate.toml", {}), command="test")
    IngestStep().run(project, QUIET)
    AnnotateStep().run(project, QUIET)
    return folder


@pytest.fixture
def project(annotated: Path, tmp_path: Path, open_project: Callable[[Path], Project]) -> Project:
    """A copy of the annotated project."""
    return open_project(Path(shutil.copytree(annotated, tmp_path, dirs_exist_ok=True)))


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        return reader.query(sql).to_pylist()


def true_colours(text: str) -> tuple[str, ...]:
    return tuple(colour for colour in COLOURS if colour in text)


def test_a_list_is_one_claim_and_none_of_them_is_one_too(project: Project) -> None:
    claims = ask(project, "FROM annotations JOIN items USING (item_id) WHERE attribute = 'colours'")
    words = {row["item_id"]: row for row in claims if row["annotator"] == "words"}
    assert len(words) == 600
    assert all(separate_values(row["value"]) == true_colours(row["text"]) for row in words.values())
    assert "[]" in {row["value"] for row in words.values()}


def test_a_condition_on_a_list_holds_where_one_of_its_values_is_asked_for(project: Project) -> None:
    dark = ask(project, "SELECT text FROM annotations JOIN items USING (item_id) WHERE attribute = 'shade'")
    assert dark
    assert all({"red", "blue"} & set(true_colours(row["text"])) for row in dark)
    expected = ask(project, "SELECT text FROM items WHERE text LIKE '%dark%'")
    assert len(dark) == sum(bool({"red", "blue"} & set(true_colours(row["text"]))) for row in expected)
    desk = StoreDesk(project)
    desk_asked = [one.item_id for one in desk.questions((), 5_000) if one.attribute == "shade"]
    desk.close()
    told = {row["item_id"]: row["text"] for row in ask(project, "SELECT item_id, text FROM items")}
    assert desk_asked
    assert all({"red", "blue"} & set(true_colours(told[item])) for item in desk_asked)


def test_the_gate_passes_who_tells_whole_lists_and_consensus_takes_each_value(project: Project) -> None:
    for _ in range(4):
        GateStep().run(project, QUIET)
    newest = "FROM gates QUALIFY row_number() OVER (PARTITION BY attribute, annotator ORDER BY look DESC) = 1"
    verdicts = {(row["attribute"], row["annotator"]): row for row in ask(project, newest)}
    good, poor = verdicts["colours", "words"], verdicts["colours", "others"]
    assert (good["verdict"], poor["verdict"]) == ("passed", "open")
    assert poor["low"] <= 0.5 <= poor["high"], "half of the notes have blue, which it cannot see"
    ConsensusStep().run(project, QUIET)
    drawn = ask(project, "FROM consensus JOIN items USING (item_id) WHERE attribute = 'colours' AND votes = 3")
    assert drawn
    right = [separate_values(row["value"]) == true_colours(row["text"]) for row in drawn]
    assert sum(right) / len(right) > 0.9
    figures = ask(project, "SELECT slice, value FROM metrics WHERE name = $$Krippendorff's alpha$$")
    assert {row["slice"] for row in figures} >= {"all", "value red", "value green", "value blue"}
    assert ConsensusStep().run(project, QUIET).idle
    ReportStep().run(project, QUIET)
    assert "notes/1/colours" in report_path(project).read_text(encoding="utf-8")


def test_lists_are_labels_of_snapshots_and_exports_and_go_to_label_studio_and_back(project: Project) -> None:
    ConsensusStep().run(project, QUIET)
    SnapshotStep().run(project, QUIET)
    ExportStep().run(project, QUIET)
    labels = {row["item_id"]: row["label"] for row in ask(project, "SELECT item_id, label FROM snapshot_items")}
    folder = export_folder(project) / "coloured"
    [shard] = folder.rglob("*.parquet")
    table = pq.read_table(shard)
    [names] = [
        one["names"]
        for name, one in json.loads(table.schema.metadata[b"huggingface"])["info"]["features"].items()
        if name == "label"
    ]
    assert {row["item_id"]: names[row["label"]] for row in table.to_pylist()} == labels
    interface = next(folder.rglob("labelling.xml")).read_text(encoding="utf-8")
    assert 'name="colours" toName="text" choice="multiple"' in interface
    assert 'name="shade" toName="text" choice="single"' in interface
    tasks = json.loads(
        next(path for path in folder.rglob("*") if path.is_file() and "label" in path.parent.name).read_text(
            encoding="utf-8"
        )
    )
    results = {
        task["data"]["item_id"]: {one["from_name"]: one for one in prediction["result"]}
        for task in tasks
        for prediction in task["predictions"]
        if prediction["model_version"].startswith("words")
    }
    claims = ask(project, "FROM annotations WHERE attribute = 'colours' AND annotator = 'words'")
    said = {row["item_id"]: list(separate_values(row["value"])) for row in claims}
    assert {item: one["colours"]["value"]["choices"] for item, one in results.items()} == {
        item: said[item] or ["none of them"] for item in results
    }
    assert [] in said.values()
    assert interface.count('<Choice value="none of them"/>') == 1
    answered = [
        {
            "data": task["data"],
            "annotations": [{"completed_by": 7, "result": [results[task["data"]["item_id"]]["colours"]]}],
        }
        for task in tasks
    ]
    answered[0]["annotations"][0]["result"][0]["value"]["choices"] = ["blue", "red"]
    (project.folder / "answers.json").write_text(json.dumps(answered), encoding="utf-8")
    report = import_answers(project, project.folder / "answers.json", QUIET)
    assert (report.done, report.rejected) == (len(tasks), 0)
    people = ask(project, "FROM annotations WHERE annotator = 'label-studio-7'")
    taken = {row["item_id"]: row["value"] for row in people}
    assert taken.pop(answered[0]["data"]["item_id"]) == '["red", "blue"]'
    assert taken == {item: json.dumps(said[item]) for item in taken}
    answered[0]["annotations"][0]["result"][0]["value"]["choices"] = ["blue", "none of them"]
    (project.folder / "answers.json").write_text(json.dumps(answered[:1]), encoding="utf-8")
    assert import_answers(project, project.folder / "answers.json", QUIET).rejected == 1


def test_a_new_version_carries_people_s_lists_over_where_each_value_is(
    project: Project, open_project: Callable[[Path], Project]
) -> None:
    for _ in range(2):
        GateStep().run(project, QUIET)
    before = ask(project, "FROM annotations WHERE annotator_kind = 'simulated'")
    changed = SETTINGS.replace('version = "1"', 'version = "2"').replace(
        'values = ["red", "green", "blue"]', 'values = ["warm", "green", "cyan", "navy"]'
    )
    changed = (
        changed.replace('colours = ["red", "blue"]', 'colours = ["warm", "navy"]').split("[[annotator]]")[0]
        + """
[[protocol.migration]]
from_version = "1"
values = { colours = { red = "warm", blue = ["cyan", "navy"] } }
[[annotator]]
name = "words"
kind = "rule"
rules = [{ attribute = "colours", value = "green", pattern = "green" }]
"""
    )
    (project.folder / "curate.toml").write_text(changed, encoding="utf-8")
    AnnotateStep().run(open_project(project.folder), QUIET)
    after = ask(project, "FROM annotations WHERE annotator_kind = 'simulated' AND protocol_version = '2'")
    carried = {(row["item_id"], row["annotator"]): row["value"] for row in after}
    said = {(row["item_id"], row["annotator"]): row["value"] for row in before if row["attribute"] == "colours"}
    assert {"[]"} < set(carried.values()) <= {"[]", '["warm"]', '["green"]', '["warm", "green"]'}
    assert carried == {key: value.replace("red", "warm") for key, value in said.items() if "blue" not in value}
    assert ask(project, "FROM annotations WHERE protocol_version = '1' AND annotator_kind = 'simulated'") == before


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ('[[annotator]]\nname = "eye"\nkind = "clip"\nmodel = "x"\n', "annotator 'eye': an image is nearest to one"),
        (
            '[[annotator]]\nname = "small"\nkind = "llm"\nattributes = ["colours"]\n',
            "annotator 'small': a model that is",
        ),
        ('[[snapshot]]\nname = "s"\nvalues = { colours = ["red"] }\n', "snapshot 's': values are asked for one by one"),
        ('[[filter.score]]\nselector = "words:colours=red"\nmin = 0.5\n', "filter.score: a claim has the value"),
    ],
)
def test_where_one_value_is_wanted_several_are_refused(
    tmp_path: Path, open_project: Callable[[Path], Project], more: str, reason: str
) -> None:
    (tmp_path / "curate.toml").write_text(SETTINGS + more, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=reason):
        open_project(tmp_path)
