"""The step `embed` over a real store, and learners that read what it kept instead of encoding again."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curate.flows.project import Project
from curate.flows.steps.embed import EmbedStep
from curate.flows.steps.embeddings import KeptEncoder
from curate.flows.steps.learn import LearnStep
from curate.flows.steps.snapshot import SnapshotStep
from curate.learners.encoders.factory import encoder_named
from curate.learners.encoders.pixels import PixelEncoder
from curate.settings import Settings, load_settings
from curate.store.comparison import differences
from curate.store.reader import Reader
from curate.store.write import Write, rows
from curate.types import SilentProgress

KILL_IN_THE_SECOND_BATCH = """
import os, signal
from curate.learners.encoders.pixels import PixelEncoder
encode, calls = PixelEncoder.encode, []
def fatal(self, items):
    calls.append(len(items))
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(self, items)
PixelEncoder.encode = fatal
"""
RUN = """
import sys
from pathlib import Path
from curate.flows.project import Project
from curate.flows.steps import base, embed
from curate.settings import load_settings
from curate.types import SilentProgress
embed.ROWS_AT_ONCE = 16
folder = Path(sys.argv[1])
embed.EmbedStep().run(Project(folder, load_settings(folder / "curate.toml", {}), "test"), SilentProgress())
"""
LABEL = "label"


def picture(number: int) -> bytes:
    """A grey square, brighter with its number; even numbers have a black upper half."""
    pixels = np.full((8, 8), 40 + number, np.uint8)
    if number % 2 == 0:
        pixels[:4] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Bench:
    """A project whose images and labels come from the test."""

    def __init__(self, folder: Path, toml: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "curate.toml").write_text(toml, encoding="utf-8")
        self.folder = folder
        self.open()

    def open(self) -> None:
        """Come back as another process would."""
        self.project = Project(self.folder, load_settings(self.folder / "curate.toml", {}), "test")

    def add(self, numbers: range, image: Callable[[int], bytes] = picture) -> None:
        ids = [f"{number:04d}" for number in numbers]
        columns = {"item_id": ids, "modality": "image", "image": [image(number) for number in numbers], "size": 1}
        items = rows("items", {**columns, **dict.fromkeys(("text", "events", "time_unit"))}, len(ids))
        claims = {
            "item_id": ids, "protocol": "default", "protocol_version": "1", "attribute": LABEL,
            "value": ["half" if number % 2 == 0 else "whole" for number in numbers], "confidence": 1.0,
            "annotator": "people", "annotator_kind": "human", "annotator_version": "1",
        }  # fmt: skip
        tables = {"items": items, "annotations": rows("annotations", claims, len(ids))}
        self.project.store.commit(Write("ingest", tables))

    def ask(self, sql: str) -> list[dict[str, Any]]:
        with self.project.reader() as reader:
            found: list[dict[str, Any]] = reader.query(sql).to_pylist()
            return found


EMBED = '[embed]\nencoders = ["pixels:2"]\n'


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path / "project", EMBED)
    bench.add(range(40))
    return bench


def test_every_item_gets_its_features_once(bench: Bench) -> None:
    step = EmbedStep()
    assert step.plan(bench.project, SilentProgress()).to_do == 40
    assert step.run(bench.project, SilentProgress()).done == 40
    assert step.run(bench.project, SilentProgress()).idle
    bench.add(range(40, 45))
    assert step.run(bench.project, SilentProgress()).done == 5
    found = bench.ask("FROM embeddings ORDER BY item_id")
    assert [row["item_id"] for row in found] == [f"{number:04d}" for number in range(45)]
    assert {(row["encoder_version"], row["dimension"]) for row in found} == {("pixels:2/1", 4)}
    items = pa.table({"item_id": ["x"], "image": [picture(6)]})
    assert found[6]["vector"] == PixelEncoder(2).encode(items)[0].tolist()


def test_an_item_that_cannot_be_encoded_costs_no_other(bench: Bench) -> None:
    bench.add(range(40, 42), image=lambda number: b"broken" if number == 40 else picture(number))
    report = EmbedStep().run(bench.project, SilentProgress())
    assert (report.done, report.failed) == (41, 1)
    [failure] = bench.ask("SELECT item_id, step, actor, reason FROM failures")
    assert (failure["item_id"], failure["step"], failure["actor"]) == ("0040", "embed", "pixels:2/1")
    assert "does not decode" in failure["reason"]
    assert EmbedStep().run(bench.project, SilentProgress()).idle


def test_without_encoders_nothing_is_done(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "project", "")
    bench.add(range(3))
    assert EmbedStep().run(bench.project, SilentProgress()).idle
    assert EmbedStep().plan(bench.project, SilentProgress()).notes == ("no encoders in [embed]",)


def test_a_killed_run_goes_on_where_it_was(bench: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path / "undisturbed", EMBED)
    other.add(range(40))

    def run(folder: Path, before: str = "") -> int:
        return subprocess.run([sys.executable, "-c", before + RUN, str(folder)], env=os.environ, check=False).returncode

    assert run(bench.folder, KILL_IN_THE_SECOND_BATCH) == -signal.SIGKILL
    assert bench.ask("SELECT count(*) AS kept FROM embeddings") == [{"kept": 16}]
    assert run(bench.folder) == run(other.folder) == 0
    with Reader(bench.folder / "curate-store") as one, Reader(other.folder / "curate-store") as undisturbed:
        assert differences(one, undisturbed) == []
        assert len(one.query("FROM embeddings")) == 40


class FakeCostlyEncoder(PixelEncoder):
    """Small grey pictures, and a count of what was encoded; it says that it is costly."""

    costly = True

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.encoded: list[str] = []

    def encode(self, items: pa.Table) -> Any:
        self.encoded += items["item_id"].to_pylist()
        return super().encode(items)


def test_kept_features_are_read_and_the_rest_computed(bench: Bench) -> None:
    EmbedStep().run(bench.project, SilentProgress())
    ids = ["0003", "new", "0001"]
    items = pa.table({"item_id": ids, "image": [picture(3), picture(7), picture(1)]})
    encoder = FakeCostlyEncoder(2)
    with bench.project.reader() as reader:
        kept = KeptEncoder(encoder, reader)
        features = kept.encode(items)
        assert np.array_equal(features, PixelEncoder(2).encode(items))
        assert encoder.encoded == ["new"]
        assert kept.fresh_rows()["item_id"].to_pylist() == ["new"]
        assert len(kept.fresh_rows()) == 0


LEARNER = """
[[protocol.attribute]]
name = "label"
question = "Is all of it bright?"
values = ["half", "whole"]

[[snapshot]]
name = "halves"
modality = "image"
label = "label"
splits = { train = 0.7, test = 0.3 }

[[learner]]
name = "halves"
snapshot = "halves"
encoder = "pixels:2"
parameters = { heads = 8, pairs = 16 }
"""


def test_learners_and_baselines_encode_each_item_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path / "project", LEARNER)
    encoder = FakeCostlyEncoder(2)
    monkeypatch.setattr("curate.flows.steps.learn.encoder_named", lambda name, folder: encoder)

    def learn() -> None:
        bench.open()
        SnapshotStep().run(bench.project, SilentProgress())
        assert LearnStep().run(bench.project, SilentProgress()).done == 4

    bench.add(range(40))
    learn()
    assert sorted(encoder.encoded) == [f"{number:04d}" for number in range(40)]
    assert bench.ask("SELECT count(*) AS kept FROM embeddings") == [{"kept": 40}]
    bench.add(range(40, 60))
    learn()
    assert sorted(encoder.encoded) == [f"{number:04d}" for number in range(60)]
    accuracies = bench.ask("SELECT value FROM metrics WHERE subject = 'halves' AND name = 'accuracy' AND slice = 'all'")
    assert all(row["value"] > 0.9 for row in accuracies)


def test_clip_embeds_beside_others(tmp_path: Path, random_clip: Callable[..., Path]) -> None:
    name = f"clip-image:{random_clip()}"
    settings = Settings.model_validate({"embed": {"encoders": [name, "pixels:2"]}})
    bench = Bench(tmp_path / "project", "")
    bench.add(range(10))
    report = EmbedStep().run(Project(bench.folder, settings, "test"), SilentProgress())
    assert report.details == {name: 10, "pixels:2": 10}
    counts = bench.ask("SELECT encoder_version, count(*) AS n, any_value(dimension) AS d FROM embeddings GROUP BY ALL")
    assert {(row["encoder_version"], row["n"], row["d"]) for row in counts} == {
        (encoder_named(name).version, 10, 16),
        ("pixels:2/1", 10, 4),
    }
