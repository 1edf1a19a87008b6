"""`[[ranking]]` over a real store: snapshots ordered by any selector, by fusions, and by passes after a ranking."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.flows.project import Project
from curate.flows.sequence import run_sequence
from curate.flows.steps import ranking_samples, rankings
from curate.flows.steps.compare import CompareStep
from curate.flows.steps.embed import EmbedStep
from curate.flows.steps.fuse import FuseStep
from curate.flows.steps.mix import MixStep
from curate.flows.steps.ranking_samples import named_ranking, sample_scores, targets_of
from curate.flows.steps.snapshot import SnapshotStep
from curate.select.baselines import length_scores, random_scores
from curate.select.diversity import entropy_law_order
from curate.select.fusion import borda, reciprocal_rank, weighted_sum
from curate.select.importance import log_weights
from curate.select.tfidf import tfidf_scores
from curate.settings import MixSettings, RankingSettings, Settings
from curate.store.candidates import Candidates
from curate.store.write import Write, rows
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
NAN = float("nan")
CODE = "def area{0}(width, height):\n    return width * height + {0}\n"
PROSE = "Rain fell on harbour {0} while boats of every colour waited for wind number {0} to turn.\n"
TEXTS = {f"c{number}": CODE.format(number) for number in range(4)} | {
    f"p{number}": PROSE.format(number) * (1 + number % 3) for number in range(8)
}
TARGET = "def perimeter(width, height):\n    return 2 * (width + height)\n"
RANKINGS = """
[embed]
encoders = ["hashed-ngrams:64"]

[[ranking]]
name = "likely"
by = "importance"

[[ranking]]
name = "both"
by = "reciprocal-rank"
of = ["align", "ranking:likely"]

[[ranking]]
name = "varied"
by = "facility-location"
of = ["ranking:both"]
candidates = 30
chosen = 10
"""


class Bench:
    """A project whose texts and scores come from the test, and whose rankings are named by it."""

    def __init__(self, folder: Path, *ranked: dict[str, Any], **settings: Any) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "target.py").write_text(TARGET)
        given = {"align": {"target": "target.py"}, "ranking": list(ranked), **settings}
        self.project = Project(folder, Settings.model_validate(given), "test")

    def add(self, texts: dict[str, str | None]) -> None:
        empty = dict.fromkeys(("image", "events", "time_unit"))
        columns = {"item_id": list(texts), "text": list(texts.values()), "size": 1, "modality": "text"}
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

    def newest(self, selector: str) -> dict[str, float]:
        query = """
            SELECT item_id, score FROM scores WHERE selector = $selector
            QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY commit_number DESC) = 1"""
        with self.project.reader() as reader:
            found = reader.query(query, {"selector": selector})
        return dict(zip(found["item_id"].to_pylist(), found["score"].to_pylist(), strict=True))

    def order(self, selector: str) -> list[str]:
        found = self.newest(selector)
        return sorted((item for item in found if found[item] == found[item]), key=lambda item: (-found[item], item))

    def versions(self, selector: str) -> list[str]:
        query = "SELECT DISTINCT selector_version FROM scores WHERE selector = $selector"
        with self.project.reader() as reader:
            return sorted(reader.query(query, {"selector": selector})["selector_version"].to_pylist())


def matches(found: dict[str, float], ids: list[str], expected: np.ndarray[Any, Any]) -> bool:
    return np.allclose([found[item] for item in ids], expected, equal_nan=True, atol=1e-12)


def test_texts_are_ranked_as_the_library_ranks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rankings, "_ROWS", 5)
    bench = Bench(
        tmp_path / "project",
        {"name": "dsir", "by": "importance", "smoothing": 1.0},
        {"name": "words", "by": "tfidf"},
        {"name": "short", "by": "length"},
        {"name": "chance", "by": "random", "seed": 3},
    )
    bench.add({**TEXTS, "empty": "", "null": None})
    assert FuseStep().plan(bench.project, QUIET).to_do == 4 * 14
    assert bench.run().done == 4 * 14
    ids, texts = [*TEXTS, "empty", "null"], [*TEXTS.values(), "", None]
    assert matches(bench.newest("ranking:dsir"), ids, log_weights(texts, [TARGET], smoothing=1.0))
    assert matches(bench.newest("ranking:words"), ids, tfidf_scores(texts, [TARGET]))
    assert matches(bench.newest("ranking:short"), ids, length_scores(texts))
    assert matches(bench.newest("ranking:chance"), ids, random_scores(ids, 3))
    assert sorted(bench.order("ranking:dsir")[:4]) == ["c0", "c1", "c2", "c3"]
    [version] = bench.versions("ranking:dsir")
    assert version.startswith("dsir:1 words-1-2 smoothing-1.0 top-k target-")


def test_a_second_run_does_nothing_and_new_items_order_anew(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path / "project",
        {"name": "dsir", "by": "importance"},
        {"name": "short", "by": "length"},
        {"name": "both", "by": "borda", "of": ["ranking:dsir", "ranking:short"]},
    )
    bench.add(TEXTS)
    bench.run()
    before, first = bench.project.reader().commit_number, bench.newest("ranking:dsir")
    assert FuseStep().plan(bench.project, QUIET).to_do == 0
    assert bench.run().idle
    assert bench.project.reader().commit_number == before
    bench.add({"n": CODE.format("_of"), "o": "return width"})
    assert FuseStep().plan(bench.project, QUIET).to_do == 14 + 2 + 14
    assert bench.run().done == 14 + 2 + 14
    assert bench.newest("ranking:dsir")["c0"] != first["c0"]
    assert len(bench.order("ranking:both")) == 14
    assert bench.run().idle
    bench.drop("c0", "c1")
    assert bench.run().done == 12 + 0 + 12
    assert len(bench.versions("ranking:dsir")) == 3
    assert len(bench.versions("ranking:short")) == 1


def test_other_parameters_and_another_target_score_anew(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    Bench(folder).add(TEXTS)
    named = {"name": "a", "by": "length"}
    assert Bench(folder, named).run().done == 12
    assert Bench(folder, {"name": "a", "by": "tfidf"}).run().done == 12
    bench = Bench(folder, named)
    assert bench.run().done == 12
    assert bench.order("ranking:a")[0] == "c0"
    bench = Bench(folder, {"name": "a", "by": "tfidf", "target": "rain.txt"})
    (folder / "rain.txt").write_text("Rain fell on a harbour.")
    assert bench.run().done == 12
    assert bench.order("ranking:a")[0].startswith("p")
    (folder / "rain.txt").write_text("return width * height")
    assert bench.run().done == 12
    assert bench.order("ranking:a")[0].startswith("c")


def test_gumbel_draws_by_weight_and_repeats_itself(tmp_path: Path) -> None:
    ways = [{"name": f"g{seed}", "by": "importance", "mode": "gumbel", "seed": seed} for seed in (1, 2)]
    bench = Bench(tmp_path / "one", {"name": "best", "by": "importance"}, *ways)
    bench.add(TEXTS)
    bench.run()
    other = Bench(tmp_path / "two", ways[0])
    other.add(TEXTS)
    other.run()
    assert bench.newest("ranking:g1") == other.newest("ranking:g1")
    assert bench.newest("ranking:g1") != bench.newest("ranking:g2")
    assert bench.newest("ranking:g1") != bench.newest("ranking:best")


def test_fusions_are_the_librarys_and_no_opinion_comes_last(tmp_path: Path) -> None:
    of = {"of": ["x", "y"], "weights": {"x": 2}}
    bench = Bench(
        tmp_path / "project",
        {"name": "b", "by": "borda", **of},
        {"name": "r", "by": "reciprocal-rank", **of},
        {"name": "w", "by": "weighted-sum", **of},
    )
    bench.add(dict.fromkeys("abcdef", "text"))
    bench.score("x", {"a": 3.0, "b": 2.0, "c": NAN, "d": 1.0, "e": NAN})
    bench.score("y", {"a": 0.1, "b": 0.9, "c": 0.5, "e": NAN})
    assert bench.run().done == 12
    lists = [np.array([3.0, 2.0, NAN, 1.0]), np.array([0.1, 0.9, 0.5, NAN])]
    for name, fusion in (("b", borda), ("r", reciprocal_rank), ("w", weighted_sum)):
        found = bench.newest(f"ranking:{name}")
        assert sorted(found) == ["a", "b", "c", "d"]
        assert matches(found, ["a", "b", "c", "d"], fusion(lists, [2.0, 1.0]))
    bench.score("y", {"d": 5.0})
    assert bench.run().done == 12
    assert bench.run().idle


def test_near_duplicates_of_a_better_one_come_last(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path / "project",
        {"name": "varied", "by": "without-near-duplicates", "of": ["x"], "candidates": 4},
    )
    prose = PROSE.format(1)
    bench.add({"a": prose, "b": "something else entirely", "c": prose + " today", "d": "", "e": prose})
    bench.score("x", {"a": 0.9, "b": 0.5, "c": 0.8, "d": 0.4, "e": 0.1})
    assert bench.run().done == 5
    assert bench.order("ranking:varied") == ["a", "b", "d", "e", "c"]
    assert bench.newest("ranking:varied") == {"a": 0.0, "b": -1.0, "d": -2.0, "e": -3.0, "c": -4.0}


def test_the_entropy_law_chooses_what_is_not_said_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    way = {"name": "varied", "by": "entropy-law", "of": ["x"], "candidates": 6, "chosen": 3}
    bench = Bench(tmp_path / "project", way)
    texts = dict(zip("abcdefg", [*list(TEXTS.values())[:5], "", "the last one"], strict=True))
    bench.add(texts)
    bench.score("x", {item: 1.0 - place / 10 for place, item in enumerate(texts)})
    assert bench.run().done == 7
    chosen = ["abcde"[place] for place in entropy_law_order(list(texts.values())[:5], 3)]
    assert bench.order("ranking:varied") == [*chosen, *(item for item in texts if item not in chosen)]
    monkeypatch.setattr(rankings, "_MOST_CHARACTERS", len(texts["a"]))
    bench.score("x", {"g": 0.0}, "2")
    assert "4 of 6 candidates do not fit" in bench.run().notes[0]
    assert bench.order("ranking:varied") == ["a", *"bcdefg"]
    assert bench.run().idle


def test_facility_location_takes_the_vectors_of_an_encoder(tmp_path: Path) -> None:
    way = {"name": "varied", "by": "facility-location", "of": ["x"], "candidates": 12, "chosen": 2}
    bench = Bench(tmp_path / "project", way, embed={"encoders": ["hashed-ngrams:64"]})
    bench.add(TEXTS)
    bench.score("x", {item: 1.0 - place / 20 for place, item in enumerate(TEXTS)})
    report = bench.run()
    assert report.notes == ("ranking 'varied': 12 of 12 candidates have no vector by the encoder, and are not chosen",)
    assert bench.order("ranking:varied") == list(TEXTS)
    EmbedStep().run(bench.project, QUIET)
    assert bench.run().notes == ()
    assert {item[0] for item in bench.order("ranking:varied")[:2]} == {"c", "p"}
    assert bench.run().idle


def test_a_selector_that_has_scored_nothing_is_told(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path / "project",
        {"name": "b", "by": "borda", "of": ["x", "algin"]},
        {"name": "v", "by": "entropy-law", "of": ["nothing"]},
    )
    assert bench.run().done == 0
    bench.add({"a": "text"})
    bench.score("x", {"a": 1.0})
    notes = bench.run().notes
    assert "ranking 'b': no item has a score of 'algin'" in notes
    assert bench.newest("ranking:b") == {"a": 1.0}
    assert bench.newest("ranking:v") == {}


def test_a_pool_without_a_word_ranks_nothing_and_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "project", {"name": "dsir", "by": "importance"}, {"name": "w", "by": "tfidf"})
    bench.add({"a": "", "b": " \n"})
    report = bench.run()
    assert report.done == 2
    assert "ranking 'dsir': nothing is ranked" in report.notes[0]
    assert bench.order("ranking:w") == []
    assert bench.run().idle


def test_a_snapshot_takes_the_order_and_compare_stands_beside_it(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path / "project",
        {"name": "dsir", "by": "importance"},
        {"name": "both", "by": "borda", "of": ["ranking:dsir", "own"]},
        {"name": "varied", "by": "without-near-duplicates", "of": ["ranking:both"], "threshold": 0.9},
        {"name": "short", "by": "length"},
        snapshot=[
            {"name": name, "order_by": f"ranking:{name}", "limit": 4} for name in ("dsir", "both", "varied", "short")
        ],
    )
    bench.add(TEXTS)
    bench.score("own", {item: float(item.startswith("c")) for item in TEXTS})
    bench.run()
    SnapshotStep().run(bench.project, QUIET)
    with bench.project.reader() as reader:
        found = reader.query("SELECT snapshot, item_id FROM snapshot_items ORDER BY ALL").to_pylist()
    for name in ("dsir", "both", "varied"):
        assert [row["item_id"] for row in found if row["snapshot"] == name] == ["c0", "c1", "c2", "c3"]
    report = CompareStep().run(bench.project, QUIET)
    assert report.done == 4
    query = "SELECT slice, value FROM metrics WHERE subject = $subject AND name = 'bits per character'"
    for name in ("dsir", "both", "varied", "short"):
        with bench.project.reader() as reader:
            rival = reader.query(query, {"subject": f"selection of {name}"}).to_pylist()
        bits = {row["slice"]: row["value"] for row in rival}
        assert {f"ranking:{name}", "align", "fused", "importance", "tfidf", "random", "length"} == set(bits)
        if name != "short":
            assert bits[f"ranking:{name}"] < bits["random"]
    assert not [note for note in report.notes if "length is as good as" in note and "short" in note]
    assert CompareStep().run(bench.project, QUIET).idle


def test_rankings_that_share_what_they_start_from_make_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [["own", "align"], *([f"ranking:a{layer}", f"ranking:b{layer}"] for layer in range(6))]
    ranked = [
        {"name": f"{side}{layer}", "by": "borda", "of": of} for layer, of in enumerate(layers[:-1]) for side in "ab"
    ]
    bench = Bench(tmp_path / "project", *ranked)
    bench.add(TEXTS)
    asked: list[str] = []

    def counted(project: Project, selector: str) -> RankingSettings | None:
        asked.append(selector)
        return named_ranking(project, selector)

    monkeypatch.setattr(ranking_samples, "named_ranking", counted)
    assert targets_of(bench.project, layers[-1]) == ("target.py",)
    sample = Candidates(tuple(TEXTS), tuple(TEXTS.values()), 0.5, 0, len(TEXTS))
    scores = sample_scores(bench.project, sample, {"target.py": [TARGET]}, "ranking:a5")
    assert np.isfinite(scores).all()
    assert max(asked.count(selector) for selector in asked) == 2


def test_a_mix_is_compared_with_all_its_parts(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path / "project",
        {"name": "dsir", "by": "importance"},
        {"name": "short", "by": "length"},
        mix={"parts": {"align": 1, "ranking:short": 1, "own": 2}},
        snapshot=[{"name": "mixed", "order_by": "mix", "limit": 4}],
    )
    bench.add(TEXTS)
    ids = list(TEXTS)
    bench.score("align", {item: float(item.startswith("c")) for item in ids})
    bench.score("own", {item: float(item in ("p2", "p5")) for item in ids})
    found, _ = mix_beside_the_others(bench)
    assert found["mix"] == 2 / 4  # two of the four turns are with `own`, which likes prose
    settings = bench.project.settings.model_copy(update={"mix": MixSettings(parts={"ranking:short": 1})})
    bench.project = Project(bench.project.folder, settings, "test")
    found, notes = mix_beside_the_others(bench)
    assert notes == ()
    assert found["mix"] == found["length"] != found["random"]


def mix_beside_the_others(bench: Bench) -> tuple[dict[str, float], tuple[str, ...]]:
    """Run all that a mix needs, and return which share of each choice alignment chooses too, and the notes."""
    bench.run()
    for step in (MixStep(), SnapshotStep()):
        step.run(bench.project, QUIET)
    report = CompareStep().run(bench.project, QUIET)
    assert report.done == 1
    query = "SELECT slice, value FROM metrics WHERE subject = 'selection of mixed' AND name = 'overlap' ORDER BY number"
    with bench.project.reader() as reader:
        return {row["slice"]: row["value"] for row in reader.query(query).to_pylist()}, report.notes


def test_a_project_walks_with_rankings_and_new_items_order_anew(
    walked: Path, open_project: Callable[[Path], Project]
) -> None:
    settings = walked / "curate.toml"
    text = settings.read_text(encoding="utf-8").replace('order_by = "align"', 'order_by = "ranking:varied"')
    settings.write_text(text + RANKINGS, encoding="utf-8")
    reports = walk(open_project(walked))
    assert reports["fuse"].notes == ()
    assert reports["fuse"].done > 0
    assert reports["compare"].done == 1
    assert "ranking:varied" in (walked / "report.html").read_text(encoding="utf-8")
    assert all(report.idle for report in walk(open_project(walked)).values())
    (walked / "inbox" / "notes" / "new.txt").write_text("a new note about the rain and the sun", encoding="utf-8")
    assert walk(open_project(walked))["fuse"].done == reports["fuse"].done + 3
    with open_project(walked).reader() as reader:
        query = "SELECT count(DISTINCT selector_version) AS orders FROM scores WHERE selector LIKE 'ranking:%'"
        assert reader.query(query)["orders"].to_pylist() == [6]


def walk(project: Project) -> dict[str, StepReport]:
    return {report.step: report for report in run_sequence(project, QUIET)}
