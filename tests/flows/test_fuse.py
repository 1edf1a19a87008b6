"""The step `fuse` over a real store: the best by alignment are ordered anew, and a snapshot takes that order."""

from pathlib import Path

import pytest

from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps import fuse
from curate.flows.steps.align import AlignStep
from curate.flows.steps.compare import CompareStep
from curate.flows.steps.fuse import FuseStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.store.write import Write, rows
from curate.types import SilentProgress

QUIET = SilentProgress()
CODE = "def area{0}(width, height):\n    return width * height\n"
OTHER = "class Queue{0}:\n    def push(self, item):\n        self.items.append(item)\n"
PROSE = "Rain fell on harbour {0} while boats of every colour waited for the wind to turn.\n"
SETTINGS = """
[[source]]
name = "texts"
path = "inbox"

[align]
target = "target"

[fuse]
candidates = {}

[[snapshot]]
name = "like-target"
order_by = "fused"
limit = 2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("inbox", "target"):
        (tmp_path / name).mkdir()
    for number in range(4):
        (tmp_path / "inbox" / f"code{number}.txt").write_text(CODE.format(number))
        (tmp_path / "inbox" / f"prose{number}.txt").write_text(PROSE.format(number))
    (tmp_path / "inbox" / "other.txt").write_text(OTHER.format(""))
    (tmp_path / "target" / "one.txt").write_text(CODE.format("s") + CODE.format("_of"))
    (tmp_path / "target" / "two.txt").write_text(OTHER.format("Worker"))
    return tmp_path


def opened(folder: Path, candidates: int) -> Project:
    (folder / "curate.toml").write_text(SETTINGS.format(candidates))
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def order(project: Project, selector: str = "fused") -> list[str]:
    """The items' files in the newest order."""
    query = f"""
        SELECT o.locator FROM scores s JOIN origins o USING (item_id) WHERE selector = '{selector}' AND NOT isnan(score)
        QUALIFY dense_rank() OVER (ORDER BY s.commit_number DESC) = 1 ORDER BY score DESC, s.item_id"""
    with project.reader() as reader:
        found: list[str] = reader.query(query)["locator"].to_pylist()
    return [Path(locator.partition("#")[0]).stem for locator in found]


def test_the_order_covers_the_target_and_a_snapshot_takes_it(folder: Path) -> None:
    project = opened(folder, 20)
    IngestStep().run(project, QUIET)
    AlignStep().run(project, QUIET)
    assert FuseStep().plan(project, QUIET).to_do == 9
    assert FuseStep().run(project, QUIET).done == 9
    assert {name.rstrip("0123") for name in order(project)[:2]} == {"code", "other"}
    assert {name.rstrip("0123") for name in order(project)[5:]} == {"prose"}
    assert (FuseStep().plan(project, QUIET).to_do, FuseStep().run(project, QUIET).done) == (0, 0)
    SnapshotStep().run(project, QUIET)
    with project.reader() as reader:
        chosen = reader.query("SELECT locator FROM snapshot_items JOIN origins USING (item_id) ORDER BY locator")
    assert sorted(Path(place.partition("#")[0]).stem.rstrip("0123") for place in chosen["locator"].to_pylist()) == [
        "code",
        "other",
    ]
    assert CompareStep().run(project, QUIET).done == 1


def test_candidates_that_go_back_bring_their_order_back(folder: Path) -> None:
    for step in (IngestStep(), AlignStep()):
        step.run(opened(folder, 20), QUIET)
    found = []
    for candidates in (20, 1, 20):
        project = opened(folder, candidates)
        assert FuseStep().run(project, QUIET).done == 9
        assert FuseStep().run(project, QUIET).idle
        found.append(order(project))
    assert found[0] == found[2] != found[1]


def test_a_drop_makes_the_order_anew(folder: Path) -> None:
    project = opened(folder, 20)
    IngestStep().run(project, QUIET)
    AlignStep().run(project, QUIET)
    FuseStep().run(project, QUIET)
    with project.reader() as reader:
        [first] = reader.query("SELECT item_id FROM scores WHERE selector = 'fused' AND score = 0")[
            "item_id"
        ].to_pylist()
    gone = order(project)[0]
    decision = {"item_id": [first], "step": "filter", "action": "drop", "reason": "test"}
    project.store.commit(Write("filter", {"decisions": rows("decisions", decision)}))
    assert FuseStep().run(project, QUIET).done == 8
    assert gone not in order(project)


def test_behind_the_candidates_the_order_is_alignments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = opened(folder, 3)
    IngestStep().run(project, QUIET)
    AlignStep().run(project, QUIET)
    assert FuseStep().run(project, QUIET).notes == ()
    assert order(project)[3:] == order(project, "align")[3:]
    assert sorted(order(project)[:3]) == sorted(order(project, "align")[:3])
    monkeypatch.setattr(fuse, "_MOST_CHARACTERS", 10)
    report = FuseStep().run(opened(folder, 5), QUIET)
    assert report.notes[0].startswith("0 of 5 candidates were fused: with the others they hold more than 10 characters")
    assert order(project) == order(project, "align")


def test_a_huge_candidate_costs_no_other_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = folder / "inbox" / "huge.txt"
    huge.write_text(CODE.format("huge") * 200)
    monkeypatch.setattr(fuse, "_MOST_CHARACTERS", 5_000)
    project = opened(folder, 20)
    IngestStep().run(project, QUIET)
    AlignStep().run(project, QUIET)
    assert order(project, "align")[-1] != "huge"
    report = FuseStep().run(project, QUIET)
    assert report.notes[0].startswith("9 of 10 candidates were fused")
    assert order(project)[-1] == "huge"
    assert len(order(project)) == 10


def test_random_choice_that_is_as_good_is_told(folder: Path) -> None:
    for file in (folder / "target").iterdir():
        file.write_text(PROSE.format("one") + CODE.format(1))
    for file in (folder / "inbox").iterdir():
        file.write_text(f"the same words in another order {file.stem}")
    project = opened(folder, 20)
    for step in (IngestStep(), AlignStep(), FuseStep(), SnapshotStep()):
        step.run(project, QUIET)
    assert any("as good as the fused selector" in note for note in CompareStep().run(project, QUIET).notes)


def test_it_is_off_unless_asked_for_and_a_snapshot_needs_it(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs candidates and a target"):
        opened(folder, 0)
    (folder / "curate.toml").write_text('[align]\ntarget = "target"\n')
    project = Project(folder, load_settings(folder / "curate.toml", {}), command="test")
    assert FuseStep().plan(project, QUIET).to_do == 0
    assert FuseStep().run(project, QUIET).notes == (
        "no [[ranking]], and candidates = 0 in [fuse] or no [align] target",
    )
