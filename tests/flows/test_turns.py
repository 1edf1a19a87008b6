"""Settings that went and came back: alignment scores again, so that no snapshot follows the settings in between."""

from pathlib import Path

from curate.flows.project import Project
from curate.flows.steps.align import AlignStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.turns import with_turn
from curate.settings import load_settings
from curate.store.write import Write, rows
from curate.types import SilentProgress

QUIET = SilentProgress()
TEXTS = ("def area(a):\n    return a\n" * 3, "Rain fell on the harbour, and boats waited.\n" * 3, "x = [1, 2, 3]\n" * 9)
SETTINGS = """
[[source]]
name = "texts"
path = "inbox"

[align]
target = "target"
compressor = "COMPRESSOR"
"""


def aligned(folder: Path, compressor: str) -> Project:
    """Align with a compressor, and return the project."""
    (folder / "curate.toml").write_text(SETTINGS.replace("COMPRESSOR", compressor))
    project = Project(folder, load_settings(folder / "curate.toml", {}), command="test")
    IngestStep().run(project, QUIET)
    planned = AlignStep().plan(project, QUIET).to_do
    assert AlignStep().run(project, QUIET).done == planned
    assert AlignStep().run(project, QUIET).idle
    return project


def newest(project: Project) -> dict[str, float]:
    with project.reader() as reader:
        found = reader.query("SELECT item_id, arg_max(score, commit_number) AS score FROM scores GROUP BY ALL")
    return {row["item_id"]: row["score"] for row in found.to_pylist()}


def test_a_compressor_that_comes_back_scores_again(tmp_path: Path) -> None:
    for name in ("inbox", "target"):
        (tmp_path / name).mkdir()
    for number, text in enumerate(TEXTS):
        (tmp_path / "inbox" / f"{number}.txt").write_text(text)
    (tmp_path / "target" / "one.txt").write_text(TEXTS[0])
    first, second = newest(aligned(tmp_path, "lz4-block")), newest(aligned(tmp_path, "gzip:6"))
    assert first != second
    assert newest(aligned(tmp_path, "lz4-block")) == first
    assert newest(aligned(tmp_path, "gzip:6")) == second
    (tmp_path / "inbox" / "late.txt").write_text("def late(b):\n    return b\n" * 3)
    project = aligned(tmp_path, "gzip:6")
    with project.reader() as reader:
        versions = reader.query("SELECT DISTINCT selector_version AS v FROM scores ORDER BY v")["v"].to_pylist()
        last = versions[1]
        assert [one.split(" target-")[1].partition(" ")[2] for one in versions] == ["", "turn-2", "", "turn-2"]
        assert with_turn(reader, "align", last.removesuffix(" turn-2")) == last
        assert with_turn(reader, "align", "new") == "new"
        assert with_turn(reader, "of nobody", last) == last


def test_turns_count_up_and_stay_while_nothing_else_scores(tmp_path: Path) -> None:
    (tmp_path / "curate.toml").write_text("")
    project = Project(tmp_path, load_settings(tmp_path / "curate.toml", {}), command="test")
    called = []
    for version in ("a", "b", "a", "a", "b", "a"):
        with project.reader() as reader:
            called.append(with_turn(reader, "align", version))
        table = {"item_id": ["1"], "selector": "align", "selector_version": called[-1], "target": "t", "score": [0.5]}
        project.store.commit(Write("align", {"scores": rows("scores", table, 1)}))
    assert called == ["a", "b", "a turn-2", "a turn-2", "b turn-2", "a turn-3"]
