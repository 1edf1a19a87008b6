"""The step `compare`: every selection beside the baselines, once, with the same figures in every run."""

import re
from pathlib import Path

import pytest

from curate.flows.project import Project
from curate.flows.steps import compare
from curate.flows.steps.align import AlignStep
from curate.flows.steps.compare import CompareStep, how_many
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.mix import MixStep
from curate.flows.steps.report import ReportStep, report_path
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.store.candidates import Candidates, sampled_candidates
from curate.store.snapshots import latest_snapshot
from curate.types import SilentProgress

QUIET = SilentProgress()
SETTINGS = """
[[source]]
name = "texts"
path = "inbox"

[align]
target = "target"

[[snapshot]]
name = "like-target"
order_by = "align"
limit = 8
"""
CODE = """def {0}(width, height):
    if width < 0 or height < 0:
        raise ValueError(width, height)
    total = width * height
    return total + {1}
"""
PROSE = "On day {0} the rain fell on the harbour and the fishermen of village {1} stayed at home."


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for folder in ("inbox", "target"):
        (tmp_path / folder).mkdir()
    for number in range(10):
        (tmp_path / "inbox" / f"code{number}.txt").write_text(CODE.format(f"area{number}", number))
    for number in range(30):
        (tmp_path / "inbox" / f"prose{number}.txt").write_text(PROSE.format(number, number * 7))
    for number in range(4):
        (tmp_path / "target" / f"{number}.txt").write_text(CODE.format(f"perimeter{number}", 2 * number))
    return opened(tmp_path)


def opened(folder: Path, more: str = "") -> Project:
    (folder / "curate.toml").write_text(SETTINGS.replace('target = "target"', f'target = "target"{more}'))
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def frozen(project: Project) -> Project:
    for step in (IngestStep(), AlignStep(), SnapshotStep()):
        step.run(project, QUIET)
    return project


def figures(project: Project, snapshot: str = "like-target") -> dict[tuple[str, str], float]:
    query = "SELECT name, slice, value FROM metrics WHERE subject = $subject"
    with project.reader() as reader:
        found = reader.query(query, {"subject": f"selection of {snapshot}"})
    return {(row["name"], row["slice"]): row["value"] for row in found.to_pylist()}


def test_each_selection_is_compared_once_and_the_report_shows_it(project: Project) -> None:
    frozen(project)
    assert CompareStep().plan(project, QUIET).to_do == 1
    report = CompareStep().run(project, QUIET)
    assert (report.done, report.notes) == (1, ())
    found = figures(project)
    assert found["overlap", "align"] == 1.0
    assert found["overlap, low", "random"] <= found["overlap", "random"] <= found["overlap, high", "random"]
    assert found["bits per character", "align"] < found["bits per character", "random"]
    assert found["KL reduction", "align"] > found["KL reduction", "length"]
    assert CompareStep().run(project, QUIET).idle
    assert figures(project) == found
    ReportStep().run(project, QUIET)
    page = report_path(project).read_text(encoding="utf-8")
    assert "also chosen by align" in page
    assert '<th scope="row">fused</th>' in page
    assert re.search(r'<th scope="row">texts</th><td class="number">8</td><td class="number">100.0% .*100.0%', page)


def test_it_can_be_switched_off(project: Project) -> None:
    frozen(project)
    off = opened(project.folder, "\nbaselines = false")
    assert CompareStep().plan(off, QUIET).notes == (
        "no snapshot is ordered by align, fused, mix or a ranking that has a target, or baselines = false in [align]",
    )
    assert CompareStep().run(off, QUIET).idle
    assert figures(off) == {}


def test_a_baseline_that_is_as_good_is_a_note(project: Project) -> None:
    for file in (project.folder / "target").iterdir():
        file.write_text(PROSE.format("one", file.stem) + " " + CODE.format("area", 1))
    for file in (project.folder / "inbox").glob("*.txt"):
        file.write_text(f"the same words in another order {file.stem}")
    frozen(project)
    assert any("as good as alignment" in note for note in CompareStep().run(project, QUIET).notes)


MORE = """
more = [{ name = "prose", target = "prose" }]

[mix]
parts = { align = 1, "align:prose" = 1 }

[[snapshot]]
name = "like-prose"
order_by = "align:prose"
limit = 8

[[snapshot]]
name = "mixed"
order_by = "mix"
limit = 8
"""


def test_selections_for_further_targets_and_their_mix_are_compared_too(project: Project) -> None:
    (project.folder / "prose").mkdir()
    for number in range(4):
        (project.folder / "prose" / f"{number}.txt").write_text(PROSE.format(number + 90, number))
    several = opened(project.folder, MORE)
    for step in (IngestStep(), AlignStep(), MixStep(), SnapshotStep()):
        step.run(several, QUIET)
    assert CompareStep().run(several, QUIET).done == 3
    assert CompareStep().run(several, QUIET).idle
    prose, mixed = figures(several, "like-prose"), figures(several, "mixed")
    assert prose["bits per character", "align"] < prose["bits per character", "length"]
    assert ("KL reduction", "mix") not in prose
    # Both kinds of texts predict both kinds of targets better than only the nearer ones do.
    assert mixed["bits per character", "mix"] < mixed["bits per character", "align"]
    ReportStep().run(several, QUIET)
    assert '<th scope="row">mix</th>' in report_path(several).read_text(encoding="utf-8")


def test_what_the_snapshot_could_not_choose_is_no_candidate(project: Project, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for number in range(25):
        (tmp_path / "other" / f"{number}.txt").write_text(CODE.format(f"volume{number}", number))
    more = '\n[[source]]\nname = "others"\npath = "other"\n'
    settings = tmp_path / "curate.toml"
    settings.write_text(more + settings.read_text().replace("limit = 8", 'limit = 8\nsources = ["texts"]'))
    project = frozen(Project(tmp_path, load_settings(settings, {}), command="test"))
    with project.reader() as reader:
        snapshot = latest_snapshot(reader, "like-target")
        assert snapshot is not None
        found = sampled_candidates(reader, snapshot, "align", 2_000, 1_000_000)
        assert not [text for text in found.texts if "volume" in text]
        assert (len(found.texts), found.selected_share, found.passed_over) == (40, 8 / 40, 0)
        few = sampled_candidates(reader, snapshot, "align", 2_000, 500)
        assert sum(map(len, few.texts)) <= 500
        assert len(few.texts) + few.passed_over == 40


def test_long_texts_are_left_out_of_the_comparison_and_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_MOST_CHARACTERS", 4_000)
    notes = CompareStep().run(frozen(project), QUIET).notes
    assert re.match(r"like-target 1: \d+ long texts are not among the \d+ that selectors were compared on", notes[0])


@pytest.mark.parametrize(
    ("texts", "pool", "share", "chosen"),
    [(2_000, 9_000, 0.0005, 50), (2_000, 9_000, 0.5, 1_000), (9, 9, 0.2, 2), (30, 99, 0.01, 15)],
)
def test_of_a_sample_at_least_fifty_are_chosen(texts: int, pool: int, share: float, chosen: int) -> None:
    assert how_many(Candidates(("",) * texts, ("",) * texts, share, 0, pool)) == chosen
