"""The step `mix` over a real store: several targets share whatever a snapshot takes."""

from pathlib import Path
from typing import Any

import pytest

from curate.errors import ConfigurationError, UnknownNameError
from curate.flows.project import Project
from curate.flows.steps.align import AlignStep
from curate.flows.steps.mix import MixStep
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import Settings, load_settings
from curate.store.mixing import grades
from curate.store.write import Write, rows
from curate.types import SilentProgress, StepReport

NAN = float("nan")


class Bench:
    """A project whose texts and scores come from the test."""

    def __init__(self, folder: Path, mix: dict[str, Any], **settings: Any) -> None:
        self.project = Project(folder, Settings.model_validate({"mix": mix, **settings}), "test")

    def add(self, texts: dict[str, str]) -> None:
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
        return MixStep().run(self.project, SilentProgress())

    def order(self) -> list[str]:
        query = """
            SELECT item_id FROM scores WHERE selector = 'mix' AND NOT isnan(score)
            QUALIFY dense_rank() OVER (ORDER BY commit_number DESC) = 1 ORDER BY score DESC"""
        with self.project.reader() as reader:
            found: list[str] = reader.query(query)["item_id"].to_pylist()
            return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path / "project", {"parts": {"align": 2, "align:news": 1}})
    bench.add(dict.fromkeys("abcdefgh", "text " * 10))
    bench.score("align", {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": NAN})
    bench.score("align:news", {"a": 0.1, "e": 0.9, "f": 0.8, "g": 0.7})
    return bench


def test_targets_take_turns_by_their_parts(bench: Bench) -> None:
    assert MixStep().plan(bench.project, SilentProgress()).to_do == 7
    assert bench.run().done == 7
    assert bench.order() == ["a", "e", "b", "c", "f", "d", "g"]
    assert bench.run().idle
    assert MixStep().plan(bench.project, SilentProgress()).to_do == 0


def test_new_scores_and_decisions_order_anew(bench: Bench) -> None:
    bench.run()
    bench.drop("a")
    bench.run()
    assert bench.order() == ["b", "e", "c", "d", "f", "g"]
    bench.score("align", {"h": 1.0})
    bench.run()
    assert bench.order()[0] == "h"


def test_parts_that_go_back_bring_their_order_back(bench: Bench, tmp_path: Path) -> None:
    found = []
    for parts in ({"align": 2, "align:news": 1}, {"align": 1, "align:news": 2}, {"align": 2, "align:news": 1}):
        again = Bench(tmp_path / "project", {"parts": parts})
        assert again.run().done == 7
        assert again.run().idle
        found.append(again.order())
    assert found[0] == found[2] != found[1]


def test_a_newer_nan_takes_an_item_out_of_the_mix(bench: Bench) -> None:
    bench.run()
    bench.score("align", {"a": NAN}, "2")
    bench.score("align:news", {"a": NAN}, "2")
    bench.run()
    with bench.project.reader() as reader:
        ordered = grades(reader, ["mix"], "items", "").sort_by([("score", "descending")])["item_id"].to_pylist()
    assert ordered == ["b", "e", "c", "d", "f", "g"]
    assert bench.run().idle


@pytest.mark.parametrize(("unit", "more"), [("characters", {}), ("tokens", {"tokenizer": "words"})])
def test_parts_are_of_characters_or_tokens(tmp_path: Path, unit: str, more: dict[str, str]) -> None:
    bench = Bench(tmp_path / "project", {"parts": {"long": 1, "short": 1}, "unit": unit, **more})
    bench.add({"long 1": "text " * 30, "long 2": "text " * 30, **{f"short {n}": "text " * 10 for n in range(6)}})
    bench.score("long", {"long 1": 1, "long 2": 0.5})
    bench.score("short", {f"short {n}": -n for n in range(6)})
    assert bench.run().done == 8
    assert bench.order()[:5] == ["long 1", "short 0", "short 1", "short 2", "long 2"]
    assert bench.run().idle


def test_a_snapshot_is_taken_from_the_mix(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "code.txt").write_text("def area(width, height):\n    return width * height\n")
    (folder / "rain.txt").write_text("Rain fell on the harbour, and the boats stayed in.\n")
    bench = Bench(
        folder,
        {"parts": {"align": 1, "align:rain": 1}},
        align={"target": "code.txt", "more": [{"name": "rain", "target": "rain.txt"}]},
        snapshot=[{"name": "both", "order_by": "mix", "limit": 4}],
    )
    code = {f"code {n}": f"def volume_{n}(width, height):\n    return width * height * {n}\n" for n in range(9)}
    bench.add(code | {f"rain {n}": f"Rain fell on harbour {n}, and the boats stayed out." for n in range(9)})
    for step in (AlignStep(), MixStep(), SnapshotStep()):
        step.run(bench.project, SilentProgress())
    with bench.project.reader() as reader:
        chosen = reader.query("SELECT item_id FROM snapshot_items")["item_id"].to_pylist()
    assert sorted(name.split()[0] for name in chosen) == ["code", "code", "rain", "rain"]


def test_without_parts_it_is_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "project", {})
    assert bench.run().notes == ("no parts in [mix]",)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('[mix]\nparts = { "align" = 1 }\n', UnknownNameError, "unknown selector 'align'"),
        ('[align]\ntarget = "a"\n[mix]\nparts = { "align:b" = 1 }\n', UnknownNameError, "unknown selector 'align:b'"),
        ("[mix]\nparts = { x = 0 }\n", ConfigurationError, "mix.parts"),
        ('[mix]\nparts = { x = 1 }\nunit = "tokens"\n', ConfigurationError, "need a tokenizer"),
        ('[[snapshot]]\nname = "a"\norder_by = "mix"\n', ConfigurationError, "needs parts"),
        ('[[align.more]]\nname = "a"\ntarget = "b"\n', ConfigurationError, "no target in"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "curate.toml").write_text(text)
    with pytest.raises(error, match=message):
        load_settings(tmp_path / "curate.toml")


def test_a_part_whose_selector_has_scored_nothing_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "project", {"parts": {"align": 1, "algin": 1}})
    bench.add(dict.fromkeys("ab", "text"))
    bench.score("align", {"a": 0.9, "b": 0.8})
    assert MixStep().plan(bench.project, SilentProgress()).notes == ("no item has a score of 'algin'",)
    assert bench.run().notes == ("no item has a score of 'algin'",)
    assert bench.order() == ["a", "b"]
