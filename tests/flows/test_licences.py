"""The licence of every origin is carried into the card, for people, hubs and Croissant."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from curate.flows.project import Project
from curate.flows.steps import step_named
from curate.settings import Settings
from curate.types import SilentProgress

SHARED = "a text that comes from two places"
SOURCES = {
    "forum": ("CC-BY-SA-4.0", [SHARED, "a text of the forum", "another text of the forum"]),
    "books": ("MIT", [SHARED, "a text of a book"]),
    "found": ("", ["a text that lay around"]),
    "same": ("ISC", [SHARED]),
    "house": ("Our own terms", ["a text of the house"]),
}


def export(folder: Path, *sources: str) -> tuple[list[str], list[str], str]:
    """Walk from these sources to the export; return the hub's licences, Croissant's and the card."""
    folder.mkdir()
    for name in sources:
        lines = [json.dumps({"text": text}) + "\n" for text in SOURCES[name][1]]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    described = [{"name": name, "path": f"{name}.jsonl", "licence": SOURCES[name][0]} for name in sources]
    settings = Settings.model_validate({"source": described, "snapshot": [{"name": "texts", "splits": {"train": 1.0}}]})
    project = Project(folder, settings, "test")
    for step in ("ingest", "snapshot", "export"):
        step_named(step).run(project, SilentProgress())
    card = (folder / "exports" / "texts" / "README.md").read_text(encoding="utf-8")
    croissant = json.loads((folder / "exports" / "texts" / "croissant.json").read_text(encoding="utf-8"))
    return yaml.safe_load(card.split("---")[1])["license"], croissant["license"], card


def test_every_origin_counts_and_what_declares_nothing_is_not_hidden(tmp_path: Path) -> None:
    hub, croissant, card = export(tmp_path / "project", "forum", "books", "found", "house")
    assert hub == ["cc-by-sa-4.0", "mit", "other", "unknown"]
    assert croissant == ["not declared", "CC-BY-SA-4.0", "MIT", "Our own terms"]
    for line in (
        "| books | MIT | 1 |",
        "| forum | CC-BY-SA-4.0 | 3 |",
        "| found | not declared | 1 |",
        "| house | Our own terms | 1 |",
        "| CC-BY-SA-4.0, MIT | 1 |",
    ):
        assert line in card


def test_a_source_that_brings_nothing_new_brings_its_licence(tmp_path: Path) -> None:
    hub, croissant, card = export(tmp_path / "project", "forum", "same")
    assert hub == ["cc-by-sa-4.0", "isc"]
    assert croissant == ["CC-BY-SA-4.0", "ISC"]
    assert "| CC-BY-SA-4.0, ISC | 1 |" in card
    assert "| same |" not in card


def test_one_licence_for_all_says_so_once(tmp_path: Path) -> None:
    hub, croissant, card = export(tmp_path / "project", "books")
    assert (hub, croissant) == (["mit"], ["MIT"])
    assert "several licences" not in card


def test_items_of_one_source_come_under_their_own_licences(tmp_path: Path) -> None:
    documents = [("a", "MIT"), ("b", "Apache-2.0"), ("c", None), ("d", "")]
    lines = [json.dumps({"text": f"the text {text}", "terms": licence}) + "\n" for text, licence in documents]
    (tmp_path / "code.jsonl").write_text("".join(lines), encoding="utf-8")
    source = {"name": "code", "path": "code.jsonl", "licence": "CC0-1.0", "licence_column": "terms"}
    settings = Settings.model_validate({"source": [source], "snapshot": [{"name": "texts", "splits": {"train": 1.0}}]})
    project = Project(tmp_path, settings, "test")
    for step in ("ingest", "snapshot", "export"):
        step_named(step).run(project, SilentProgress())
    folder = tmp_path / "exports" / "texts"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---")[1])["license"] == ["apache-2.0", "cc0-1.0", "mit"]
    assert {"| code | Apache-2.0 | 1 |", "| code | CC0-1.0 | 2 |", "| code | MIT | 1 |"} <= set(card.splitlines())
    (shard,) = folder.glob("data/*.parquet")
    rows = pq.read_table(shard, columns=["text", "licence"]).to_pylist()
    assert {row["text"]: row["licence"] for row in rows} == {
        f"the text {text}": licence or "CC0-1.0" for text, licence in documents
    }


def test_none_is_unknown(tmp_path: Path) -> None:
    hub, croissant, _ = export(tmp_path / "project", "found")
    assert (hub, croissant) == (["unknown"], ["not declared"])
