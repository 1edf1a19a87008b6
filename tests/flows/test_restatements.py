"""Sources that change what they said: contents and labels that return, licences put right, mappings that change."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curate.flows.project import Project
from curate.flows.steps import step_named
from curate.flows.steps.export import ExportStep, export_folder
from curate.flows.steps.positions import Position, Reading, mapping_digest
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import SourceSettings, load_settings
from curate.store.why import explain
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
SNAPSHOT = """
[[snapshot]]
name = "all"
label = "label"
splits = { train = 1.0 }
"""


class Bench:
    """A project with one source of rows in `data.jsonl`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ingest(self, *rows: dict[str, Any], snapshot: str = SNAPSHOT, **mapping: Any) -> StepReport:
        """Write the rows, if any, and run the step by this mapping."""
        if rows:
            (self.folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        source = {"name": "s", "path": "data.jsonl", **mapping}
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in source.items())
        snapshot = snapshot if "label" in mapping else snapshot.replace('label = "label"\n', "")
        (self.folder / "curate.toml").write_text(f"[[source]]\n{lines}\n{snapshot}")
        return step_named("ingest").run(self.project(), QUIET)

    def project(self) -> Project:
        return Project(self.folder, load_settings(self.folder / "curate.toml", {}), command="test")

    def held(self) -> dict[str, Any]:
        """What the newest snapshot holds: text and label."""
        SnapshotStep().run(self.project(), QUIET)
        query = """
            SELECT i.text, s.label FROM snapshot_items s JOIN items i USING (item_id)
            WHERE s.number = (SELECT max(number) FROM snapshots) ORDER BY 1"""
        return {row["text"]: row["label"] for row in self.ask(query)}

    def ask(self, query: str) -> list[dict[str, Any]]:
        with self.project().reader() as reader:
            found: list[dict[str, Any]] = reader.query(query).to_pylist()
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_content_that_the_source_takes_up_again_is_the_one_that_counts(bench: Bench) -> None:
    for text in ("alpha", "CHANGED", "alpha", "CHANGED"):
        bench.ingest({"id": 1, "text": text}, {"id": 2, "text": "other"}, id="id")
        assert set(bench.held()) == {text, "other"}
    commits = bench.ask("SELECT count(*) AS count FROM commits")
    (bench.folder / "data.jsonl").touch()
    bench.ingest(id="id")
    assert bench.ask("SELECT count(*) AS count FROM decisions WHERE step = 'ingest'") == [{"count": 5}]
    assert bench.ask("SELECT count(*) AS count FROM commits")[0]["count"] <= commits[0]["count"] + 1


def test_a_file_that_grew_does_not_win_over_a_newer_one(bench: Bench) -> None:
    bench.ingest({"id": 1, "text": "old"}, path="*.jsonl", id="id")
    (bench.folder / "newer.jsonl").write_text('{"id": 1, "text": "new"}\n')
    bench.ingest(path="*.jsonl", id="id")
    assert set(bench.held()) == {"new"}
    bench.ingest({"id": 1, "text": "old"}, {"id": 2, "text": "more"}, path="*.jsonl", id="id")
    assert set(bench.held()) == {"new", "more"}


def test_a_label_that_the_source_takes_up_again_is_the_one_that_counts(bench: Bench) -> None:
    for label in ("a", "b", "a", "b", "a"):
        bench.ingest({"text": "one", "kind": label}, {"text": "two", "kind": "c"}, label="kind")
        assert bench.held() == {"one": label, "two": "c"}
    claims = bench.ask("SELECT value, annotator_version FROM annotations WHERE value <> 'c' ORDER BY commit_number")
    assert [(row["value"], row["annotator_version"]) for row in claims] == [
        ("a", "1"), ("b", "1"), ("a", "2"), ("b", "3"), ("a", "4"),
    ]  # fmt: skip


def test_a_label_that_returns_counts_where_the_rows_have_moved(bench: Bench) -> None:
    bench.ingest({"text": "one", "kind": "a"}, label="kind")
    bench.ingest({"text": "zero", "kind": "c"}, {"text": "one", "kind": "b"}, label="kind")
    assert bench.held()["one"] == "b"
    bench.ingest({"text": "zero", "kind": "c"}, {"text": "one", "kind": "a"}, label="kind")
    assert bench.held()["one"] == "a"
    bench.ingest({"text": "one", "kind": "b"}, label="kind")
    assert bench.held()["one"] == "b"


def test_a_file_that_grew_takes_no_label_back_from_another(bench: Bench) -> None:
    bench.ingest({"text": "one", "kind": "old"}, path="*.jsonl", label="kind")
    (bench.folder / "newer.jsonl").write_text('{"text": "one", "kind": "new"}\n')
    bench.ingest(path="*.jsonl", label="kind")
    bench.ingest({"text": "one", "kind": "old"}, {"text": "more", "kind": "old"}, path="*.jsonl", label="kind")
    assert bench.held() == {"one": "new", "more": "old"}


def test_a_correction_that_waits_counts_as_a_change(bench: Bench) -> None:
    waiting = SNAPSHOT.replace('label = "label"', "wait = 2")
    bench.ingest({"text": "one"}, licence="unknown", snapshot=waiting)
    assert set(bench.held()) == {"one"}
    bench.ingest({"text": "one"}, licence="MIT", snapshot=waiting)
    report = SnapshotStep().run(bench.project(), QUIET)
    assert report.notes == ("snapshot 'all' waits: 1 of 2 changes",)


def test_a_source_that_is_read_from_elsewhere_says_so_once(bench: Bench) -> None:
    assert bench.ingest({"text": "one"}).notes == ()
    bench.folder.joinpath("moved.jsonl").write_text('{"text": "two"}\n')
    [note] = bench.ingest(path="moved.jsonl").notes
    assert note == "source 's' was read from data.jsonl before; what moved.jsonl says counts as newer"
    assert bench.ingest(path="moved.jsonl").notes == ()


def test_a_licence_and_metadata_put_right_are_what_the_next_export_and_why_say(bench: Bench) -> None:
    bench.ingest({"text": "one", "lang": "xx"}, licence="unknown", meta=["lang"])
    assert set(bench.held()) == {"one"}
    ExportStep().run(bench.project(), QUIET)
    bench.ingest({"text": "one", "lang": "en"}, licence="MIT", meta=["lang"])
    [newest] = bench.ask("SELECT licence, metadata FROM latest_origins")
    assert (newest["licence"], json.loads(newest["metadata"])) == ("MIT", {"lang": "en"})
    assert set(bench.held()) == set(bench.held()) == {"one"}
    assert bench.ask("SELECT max(number) AS number, count(DISTINCT content_hash) AS contents FROM snapshots") == [
        {"number": 2, "contents": 1}
    ]
    ExportStep().run(bench.project(), QUIET)
    folder = export_folder(bench.project()) / "all"
    manifest = json.loads(next(folder.glob("*manifest*.json")).read_text())
    listed = manifest["numbers"][-1]["shards"]
    shards = [path for path in folder.rglob("*.parquet") if any(path.name.startswith(name) for name in listed)]
    assert {licence for shard in shards for licence in pq.read_table(shard)["licence"].to_pylist()} == {"MIT"}
    assert "unknown" not in (folder / "README.md").read_text()
    with bench.project().reader() as reader:
        [item] = [row["item_id"] for row in reader.query("SELECT item_id FROM items WHERE text = 'one'").to_pylist()]
        told = explain(reader, item)
    assert [row["licence"] for row in told["origins"]] == ["MIT"]
    assert bench.ask("SELECT licence FROM origins") == [{"licence": "unknown"}]
    assert [row["licence"] for row in told["restatements"]] == ["MIT"]


def test_a_changed_mapping_reads_an_unchanged_file_again(bench: Bench) -> None:
    row = {"text": "one", "body": "two", "kind": "a", "sort": "b"}
    assert bench.ingest(row, label="kind").done == 1
    assert bench.ingest(label="kind").idle
    bench.ingest(label="sort")
    assert bench.held() == {"one": "b"}
    bench.ingest(label="kind")
    assert bench.held() == {"one": "a"}
    assert bench.ingest(label="kind", text="body").done == 1
    assert bench.ingest(label="kind", text="body").idle


def test_cursors_of_older_versions_count_as_read_by_todays_mapping(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Position, "encode", lambda self: json.dumps([self.fingerprint, self.row, self.complete]))
        bench.ingest({"text": "one"})
    assert bench.ingest(licence="MIT").idle
    bench.ingest({"text": "one"}, {"text": "two"}, licence="MIT")
    assert {row["licence"] for row in bench.ask("FROM latest_origins")} == {"MIT"}


def test_an_unfinished_file_is_begun_anew_by_another_mapping(listed: Callable[[str], Any]) -> None:
    source = SourceSettings(name="s", path="x")
    other = SourceSettings(name="s", path="x", label="kind")
    half = Position("f1", 500, False, mapping_digest(source)).encode()
    file = listed("f1")
    assert Reading.of(source, {"x": half}).start(file) == Position("f1", 500, False, mapping_digest(source))
    assert Reading.of(other, {"x": half}).start(file) == Position("f1", 0, False, mapping_digest(other), again=True)
    assert Reading.of(source, {}).start(file) == Position("f1", 0, False, mapping_digest(source))
    assert Reading.of(source, {"x": half}).start(listed("f2")).again


def test_defaults_and_the_address_are_no_part_of_a_mapping() -> None:
    assert mapping_digest(SourceSettings(name="a", path="x", text="text")) == mapping_digest(
        SourceSettings(name="b", path="y")
    )
    assert mapping_digest(SourceSettings(name="a", path="x", meta=("lang",))) != mapping_digest(
        SourceSettings(name="a", path="x")
    )


@pytest.fixture
def listed() -> Callable[[str], Any]:
    class Listed:
        locator = "x"

        def __init__(self, fingerprint: str) -> None:
            self.fingerprint = fingerprint

    return Listed
