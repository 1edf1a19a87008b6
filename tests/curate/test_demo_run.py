"""The demo as a whole, over few texts and two increments: it walks, survives an interruption and comes to rest."""

import re
from pathlib import Path

import pytest

from curate.demo import corpus, digits, language_model
from curate.demo import main as demo
from curate.demo.main import run_demo
from curate.demo.pieces import Piece
from curate.demo.summary import Summary, format_summary
from curate.errors import InterruptedRunError
from curate.types import SilentProgress

_POOL = {
    "python": [
        f'def add_{k}(first, second):\n    """Add {k}."""\n    return first + second + {k}\n' for k in range(30)
    ],
    "c": [f"#include <stdio.h>\nint add_{k}(int first, int second);\n/* number {k} */\n" for k in range(20)],
    "json": [f'{{"number": {k}, "name": "entry {k}"}}' for k in range(10)],
    "rst": [f"Heading {k}\n=========\n\nSome ``code`` here::\n\n  x = {k}\n" for k in range(10)],
    "english": [f"It was a quiet evening, and number {k} came home late." for k in range(10)] * 2
    + ["It was a QUIET evening, and  number 1 came home late."],
}


class _Notes(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(scope="module")
def small() -> pytest.MonkeyPatch:
    """Few texts, two digits and no model: the corpus and the model have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "pool", lambda kind: [Piece(kind, f"{kind}:{k}", t) for k, t in enumerate(_POOL[kind])])
        patch.setattr(digits, "INCREMENTS", ((0,), (1,)))
        patch.setattr(language_model, "find_spec", lambda name: None)
        yield patch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "curate-demo"


@pytest.fixture(scope="module")
def first(small: pytest.MonkeyPatch, folder: Path) -> Summary:
    return run_demo(folder, SilentProgress())


def test_every_arrival_is_counted(first: Summary) -> None:
    arrived = {arrival.source: arrival for arrival in first.data.arrivals}
    assert (arrived["code"].origins, arrived["code"].items, arrived["code"].rejects) == (50, 50, 2)
    assert (arrived["documents"].origins, arrived["documents"].rejects) == (20, 0)
    assert (arrived["prose"].origins, arrived["prose"].items, arrived["prose"].rejects) == (21, 11, 1)
    assert (arrived["digits"].origins, arrived["digits"].rejects) == (271, 1)
    assert (arrived["unlabelled-digits"].origins, arrived["unlabelled-digits"].rejects) == (450, 0)


def test_the_summary_tells_a_person_what_happened(first: Summary, folder: Path) -> None:
    told = format_summary(first)
    for expected in (
        r"by kind: .*python 30",
        r"dropped as duplicate: 1 ",
        r"broken-json +code: .*a line that breaks off",
        r"image-does-not-decode +digits: .*half of an image",
        r"80 of 80 texts, by their alignment to target.jsonl",
        r"patterns: \d+ labels, right in \d",
        r"1 +0 +\d+ +0.0%",
        r"(?s)digits 1: 137 new items.*?nothing to do for .*?align",
        r"exports/python-like\b",
        r"why [0-9a-f]{12} ",
        r"Note: no language model, for xllamacpp",
    ):
        assert re.search(expected, told), expected
    assert str(folder) in told
    assert max(map(len, told.splitlines())) <= 120


def test_the_digits_are_learned_one_increment_at_a_time(first: Summary) -> None:
    [learner] = first.data.learners
    assert [increment.new_classes for increment in learner.increments] == [("0",), ("1",)]
    last = learner.increments[-1]
    assert last.before is not None
    assert last.after is not None
    assert last.after.value > last.before.value


def test_unlabelled_digits_are_looked_at_and_never_learned(first: Summary) -> None:
    [learner] = first.data.learners
    [funnel] = [funnel for funnel in first.data.funnels if funnel.name == "digits"]
    assert {drop.reason: drop.count for stage in funnel.stages for drop in stage.drops} == {"no label": 450}
    held_out = learner.increments[-1].after
    assert held_out is not None
    assert sum(increment.items for increment in learner.increments) + held_out.total == 271


def test_report_and_training_sets_lie_where_the_summary_says(first: Summary, folder: Path) -> None:
    assert "<script" not in (folder / "report.html").read_text()
    for export in first.data.exports:
        assert list((folder / export.path / "data").glob("train-*.parquet"))


def test_a_second_run_finds_nothing_and_says_so(first: Summary, folder: Path) -> None:
    report = (folder / "report.html").read_bytes()
    again = run_demo(folder, SilentProgress())
    assert again.idle
    assert again.data == first.data
    assert len(again.walks) == 1
    assert "Nothing new" in format_summary(again)
    assert (folder / "report.html").read_bytes() == report


@pytest.mark.slow
def test_an_interrupted_demo_goes_on_and_ends_alike(
    small: pytest.MonkeyPatch, first: Summary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise InterruptedRunError("stopped")

    whole = demo.run_sequence
    monkeypatch.setattr(demo, "run_sequence", interrupted)
    with pytest.raises(InterruptedRunError):
        run_demo(tmp_path, SilentProgress())
    monkeypatch.setattr(demo, "run_sequence", whole)
    summary = run_demo(tmp_path, SilentProgress())
    assert [walk.what for walk in summary.walks] == ["what an interrupted demo had left", "digits 1"]
    assert summary.data.arrivals == first.data.arrivals
    assert [one.content_hash for one in summary.data.snapshots] == [one.content_hash for one in first.data.snapshots]
    assert [one.checkpoint for one in summary.data.learners] == [one.checkpoint for one in first.data.learners]


def test_increments_are_announced(small: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "run_sequence", lambda *_: [])
    notes = _Notes()
    run_demo(tmp_path, notes)
    assert [note for note in notes.notes if note.startswith("increment")] == [
        "increment 1 of 2: all texts, unlabelled digits, digits 0",
        "increment 2 of 2: digits 1",
    ]
