"""What of a `[[ranking]]` stays when its definition, its inputs or its pool change, and what its readers see."""

from pathlib import Path
from typing import Any

import pytest

from curate.cli.look import _explanation_lines
from curate.flows.project import Project
from curate.flows.steps.fuse import FuseStep
from curate.flows.steps.report_selection import alignments, snapshot_summaries
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import Settings
from curate.statistics import spearman
from curate.store import pool, summaries
from curate.store.mixing import grades
from curate.store.snapshots import SnapshotSpec
from curate.store.snapshots.judging import Moment, judge
from curate.store.why import explain
from curate.store.write import Write, rows
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
NAN = float("nan")
CODE = {
    f"c{number}": f"def area{number}(width, height):\n    return width * height + {number}\n" for number in range(3)
}
PROSE = {
    f"p{number}": f"Rain fell on harbour {number} while boats waited for wind number {number}." for number in range(4)
}


class Bench:
    """A project whose items and scores come from the test, and whose rankings another definition may replace."""

    def __init__(self, folder: Path, *ranked: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "target.py").write_text("def perimeter(width, height):\n    return 2 * (width + height)\n")
        self.define(*ranked)

    def define(self, *ranked: dict[str, Any], **settings: Any) -> None:
        given = {"align": {"target": "target.py"}, "ranking": list(ranked), **settings}
        self.project = Project(self.folder, Settings.model_validate(given), "test")

    def add(self, texts: dict[str, str | None], modality: str = "text") -> None:
        empty = dict.fromkeys(("image", "events", "time_unit"))
        columns = {"item_id": list(texts), "text": list(texts.values()), "size": 1, "modality": modality}
        self.project.store.commit(Write("ingest", {"items": rows("items", {**columns, **empty}, len(texts))}))

    def score(self, selector: str, scores: dict[str, float], version: str = "1") -> None:
        columns = {"item_id": list(scores), "selector": selector, "selector_version": version, "target": ""}
        table = rows("scores", {**columns, "score": list(scores.values())}, len(scores))
        self.project.store.commit(Write("align", {"scores": table}))

    def drop(self, *ids: str) -> None:
        columns = {"item_id": list(ids), "step": "filter", "action": "drop", "reason": "test"}
        self.project.store.commit(Write("filter", {"decisions": rows("decisions", columns)}))

    def run(self) -> StepReport:
        return FuseStep().run(self.project, QUIET)

    def to_do(self) -> int:
        return FuseStep().plan(self.project, QUIET).to_do

    def order(self, selector: str) -> list[str]:
        """What mixes, fusions and passes see, the best first."""
        with self.project.reader() as reader:
            found = grades(reader, [selector], "items", "")
        ordered = found.sort_by([("score", "descending"), ("item_id", "ascending")])
        ids: list[str] = ordered["item_id"].to_pylist()
        return ids

    def others(self, selector: str) -> list[set[str]]:
        """What comparisons, the report and snapshots see."""
        with self.project.reader() as reader:
            items = reader.query("SELECT item_id FROM items ANTI JOIN dropped USING (item_id)")["item_id"].to_pylist()
            seen = [
                set(pool.newest_scores(reader, selector, items)),
                {row["item_id"] for row in summaries.scores(reader, selector, "", 0)},
                set[str](),
            ]
            for modality in ("text", "image"):
                moment = Moment(reader.commit_number, reader.commit_number)
                judge(reader, SnapshotSpec("s", modality, order_by=selector), moment)
                seen[-1] |= set(reader.query("FROM judged WHERE barrier IS NULL")["item_id"].to_pylist())
        return seen


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "project")


def test_another_way_leaves_no_number_of_the_old_one_behind(bench: Bench) -> None:
    bench.define({"name": "a", "by": "random"})
    bench.add({**CODE, **PROSE, "empty": ""})
    bench.add({"image": None}, "image")
    assert bench.run().done == 9
    assert sorted(bench.order("ranking:a")) == sorted([*CODE, *PROSE, "empty", "image"])
    bench.define({"name": "a", "by": "importance"})
    assert bench.run().done == 8
    assert sorted(bench.order("ranking:a")[:3]) == list(CODE)
    assert bench.others("ranking:a") == [{*CODE, *PROSE}] * 3
    assert sorted(bench.order("ranking:a")) == [*CODE, *PROSE]
    bench.define({"name": "a", "by": "random"})
    assert bench.run().done == 9
    assert bench.others("ranking:a") == [{*CODE, *PROSE, "empty", "image"}] * 3


def test_a_fusion_of_others_forgets_what_only_the_old_ones_scored(bench: Bench) -> None:
    bench.define({"name": "f", "by": "borda", "of": ["x", "y"]})
    bench.add(dict.fromkeys("abcde", "text"))
    bench.score("x", {"a": 3.0, "b": 2.0})
    bench.score("y", {"b": 2.0, "c": 1.0})
    bench.score("z", {"d": 1.0})
    bench.run()
    assert sorted(bench.order("ranking:f")) == ["a", "b", "c"]
    bench.define({"name": "f", "by": "borda", "of": ["z", "y"]})
    assert bench.run().done == 3
    assert sorted(bench.order("ranking:f")) == ["b", "c", "d"]
    assert bench.others("ranking:f") == [{"b", "c", "d"}] * 3
    bench.score("y", {"c": NAN}, "2")
    bench.run()
    assert sorted(bench.order("ranking:f")) == ["b", "d"]
    assert bench.run().idle


def test_where_nothing_is_ranked_any_more_no_order_stays(bench: Bench) -> None:
    bench.define({"name": "a", "by": "importance"}, {"name": "p", "by": "entropy-law", "of": ["ranking:a"]})
    bench.add({"a": "width of a box", "empty": ""})
    bench.run()
    assert bench.order("ranking:a") == bench.order("ranking:p") == ["a"]
    (bench.folder / "target.py").write_text("?")
    bench.drop("a")
    assert "nothing is ranked" in bench.run().notes[0]
    assert bench.run().idle
    with bench.project.reader() as reader:
        for selector in ("ranking:a", "ranking:p"):
            assert pool.newest_scores(reader, selector, ["a", "empty"]) == {}


def test_the_report_holds_chance_against_the_lengths_of_texts_alone(bench: Bench) -> None:
    snapshots = [{"name": name, "modality": name, "order_by": "ranking:a"} for name in ("image", "text")]
    bench.define({"name": "a", "by": "random"}, snapshot=snapshots)
    bench.add({"image": None}, "image")
    bench.run()
    SnapshotStep().run(bench.project, QUIET)
    with bench.project.reader() as reader:
        assert [found.spearman_length for found in alignments(reader, snapshot_summaries(reader))] == [None]
    bench.add({**CODE, **PROSE})
    bench.run()
    SnapshotStep().run(bench.project, QUIET)
    with bench.project.reader() as reader:
        found = {alignment.spearman_length for alignment in alignments(reader, snapshot_summaries(reader))}
        scored = summaries.scores(reader, "ranking:a", "", 0)
    texts = [row for row in scored if row["item_id"] != "image"]
    assert found == {spearman([row["score"] for row in texts], [row["length"] for row in texts])}


def test_the_places_of_a_pass_are_ranks_wherever_they_are_shown(bench: Bench) -> None:
    way = {"name": "p", "by": "without-near-duplicates", "of": ["x"]}
    bench.define(way, snapshot=[{"name": "best", "order_by": "ranking:p", "limit": 2}])
    bench.add(PROSE)
    bench.score("x", {item: -place / 8 for place, item in enumerate(PROSE)})
    bench.run()
    SnapshotStep().run(bench.project, QUIET)
    with bench.project.reader() as reader:
        [absent] = explain(reader, "p3")["absent_from"]
        [shown] = alignments(reader, snapshot_summaries(reader))
        lines = "\n".join(_explanation_lines(explain(reader, "p1")))
    assert absent["reason"] == "its ranking:p rank 4 does not reach the cut, rank 2"
    assert shown.ranks
    assert lines.count("rank 2") == 2
    assert "-0.125" in lines


@pytest.mark.parametrize(
    ("way", "other"),
    [
        ({"by": "importance", "smoothing": 1.0}, {"smoothing": 1.0000004}),
        ({"by": "borda", "of": ["x"], "weights": {"x": 1.0}}, {"weights": {"x": 1.0000004}}),
        ({"by": "without-near-duplicates", "of": ["x"], "threshold": 0.5}, {"threshold": 0.50000004}),
    ],
)
def test_numbers_that_round_to_the_same_are_others(bench: Bench, way: dict[str, Any], other: dict[str, Any]) -> None:
    bench.define({"name": "a", **way})
    bench.add({"a": "width of a box"})
    bench.score("x", {"a": 1.0})
    assert bench.run().done == 1
    bench.define({"name": "a", **way, **other})
    assert bench.run().done == 1


def test_unusable_rows_of_a_target_are_told_once(bench: Bench) -> None:
    (bench.folder / "more.jsonl").write_text('{"text": "rain on a harbour"}\nnot json\n')
    bench.define(*({"name": name, "by": name, "target": "more.jsonl"} for name in ("importance", "tfidf")))
    bench.add(PROSE)
    for notes in (FuseStep().plan(bench.project, QUIET).notes, bench.run().notes):
        assert len(notes) == 1
        assert notes[0].startswith("1 rows of the target 'more.jsonl' are unusable, first more.jsonl#2: ")


def test_the_plan_counts_what_starts_from_what_is_due(bench: Bench) -> None:
    bench.define(
        {"name": "pass", "by": "entropy-law", "of": ["ranking:both"]},
        {"name": "both", "by": "borda", "of": ["ranking:words", "fused", "own"]},
        {"name": "words", "by": "tfidf"},
        {"name": "lost", "by": "borda", "of": ["nobody"]},
        fuse={"candidates": 5},
    )
    bench.add({**CODE, **PROSE})
    bench.add({"image": None}, "image")
    bench.score("own", {"image": 1.0, "c0": 0.5})
    bench.score("align", dict.fromkeys(CODE, 1.0))
    plan = FuseStep().plan(bench.project, QUIET)
    assert plan.notes == ("no item has a score of 'nobody'",)
    assert bench.run().done == plan.to_do == 3 + 7 + 8 + 8
    assert bench.to_do() == 0
    bench.score("align", {"p0": 0.5})
    assert bench.to_do() == 4 + 8 + 8
    assert bench.run().done == 4 + 8 + 8
