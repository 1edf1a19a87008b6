"""Who once evaluated never trains: real files through the real steps, across names of snapshots and after erasure."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from curate.flows.project import Project
from curate.flows.steps import step_named
from curate.flows.steps.comparison import EVALUATION
from curate.settings import Settings
from curate.store.care.erasure import ErasurePlan, erase
from curate.store.care.traces import find_traces
from curate.store.journal import Journal
from curate.types import SilentProgress

FIRST = {"name": "first", "splits": {"train": 0.4, "validation": 0.2, "test": 0.4}}
SECOND = {"name": "second", "splits": {"train": 1.0}}
WORDS = [f"word{number}" for number in range(4_000)]


class Walk:
    """A project folder whose source grows, walked up to its snapshots."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.walked = 0
        self.snapshots: list[dict[str, Any]] = [FIRST]

    @property
    def project(self) -> Project:
        source = {"name": "texts", "path": "inbox"}
        return Project(self.folder, Settings.model_validate({"source": [source], "snapshot": self.snapshots}), "test")

    def bring(self, texts: Sequence[str]) -> None:
        """Put texts into a new file, and walk."""
        (self.folder / "inbox").mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (self.folder / "inbox" / f"{self.walked}.jsonl").write_text(lines, encoding="utf-8")
        self.walk()

    def walk(self) -> None:
        self.walked += 1
        for step in ("ingest", "dedup", "snapshot"):
            step_named(step).run(self.project, SilentProgress())

    def ask(self, sql: str) -> list[dict[str, Any]]:
        with self.project.reader() as reader:
            found: list[dict[str, Any]] = reader.query(sql).to_pylist()
            return found

    def splits(self, name: str) -> dict[str, str]:
        """The split of each text in the newest number of a snapshot."""
        found = self.ask(f"""
            SELECT text, split FROM snapshot_items JOIN items USING (item_id) WHERE snapshot = '{name}'
              AND number = (SELECT max(number) FROM snapshots WHERE snapshot = '{name}')""")
        return {row["text"]: row["split"] for row in found}

    def reasons(self) -> dict[str, str]:
        return {
            row["text"]: row["reason"]
            for row in self.ask("SELECT text, reason FROM dropped JOIN items USING (item_id)")
        }

    def erase(self, texts: Sequence[str]) -> None:
        project = self.project
        with project.reader() as reader:
            found = reader.query("SELECT item_id FROM items WHERE list_contains($texts, text)", {"texts": list(texts)})
            items = found["item_id"].to_pylist()
            traces = find_traces(reader, Journal(project.store_folder), items)
        erase(project.store, ErasurePlan.of(items, traces, "asked for"))


def prose(seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=80))


def edited(text: str) -> str:
    """The text with another word in its middle: a near-duplicate, whichever of the two has the smaller id."""
    words = text.split()
    return " ".join([*words[:40], "edited", *words[41:]])


@pytest.fixture
def walk(tmp_path: Path) -> Walk:
    walk = Walk(tmp_path / "project")
    walk.bring([prose(seed) for seed in range(30)])
    return walk


def test_a_new_near_duplicate_of_an_evaluation_item_is_dropped_for_all_names(walk: Walk) -> None:
    first = walk.splits("first")
    evaluating = [text for text, split in first.items() if split != "train"]
    training = [text for text, split in first.items() if split == "train"]
    assert len(evaluating) > 5
    assert len(training) > 5
    walk.snapshots = [FIRST, SECOND]
    walk.bring([edited(text) for text in first])
    reasons = walk.reasons()
    assert {reasons[edited(text)] for text in evaluating} == {EVALUATION}
    assert not set(evaluating) & reasons.keys()
    second = walk.splits("second")
    assert not second.keys() & {*evaluating, *map(edited, evaluating)}
    assert len(second) == len(training)
    assert {text: walk.splits("first").get(text) for text in evaluating} == {text: first[text] for text in evaluating}


def test_erasing_it_keeps_it_out_of_training_and_frees_what_was_like_it(walk: Walk) -> None:
    evaluating = [text for text, split in walk.splits("first").items() if split != "train"]
    walk.snapshots = [FIRST, SECOND]
    walk.bring([edited(text) for text in evaluating])
    erased = evaluating[:2]
    walk.erase(erased)
    walk.bring(erased)
    assert [row["reason"] for row in walk.ask("SELECT reason FROM rejects")] == ["erased"] * 2
    for name in ("first", "second"):
        assert not set(erased) & walk.splits(name).keys()
    reasons = walk.reasons()
    assert {reasons[edited(text)] for text in evaluating[2:]} == {EVALUATION}
    assert not {edited(text) for text in erased} & reasons.keys()
    assert not walk.splits("second").keys() & {*evaluating, *map(edited, evaluating[2:])}
