"""A store that was restored to an earlier state, beside an export folder that went on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import BadDataError
from curate.flows.project import Project
from curate.flows.steps import step_named
from curate.store.care.backup import back_up, restore
from curate.store.exports.manifest import read_export_manifest
from curate.types import SilentProgress, StepReport

Say = Callable[..., StepReport]
QUIET = SilentProgress()
SETTINGS = '[[source]]\nname = "s"\npath = "a.jsonl"\n[[snapshot]]\nname = "texts"\n'


@pytest.fixture
def arrive(tmp_path: Path, open_project: Callable[[Path], Project]) -> Say:
    """`arrive(n)` brings the source to `n` texts, freezes a number and exports it."""
    (tmp_path / "curate.toml").write_text(SETTINGS)

    def go_on(count: int) -> StepReport:
        lines = "".join(json.dumps({"text": f"text number {row}"}) + "\n" for row in range(count))
        (tmp_path / "a.jsonl").write_text(lines)
        for name in ("ingest", "snapshot", "export"):
            report = step_named(name).run(open_project(tmp_path), QUIET)
        return report

    return go_on


@pytest.fixture
def rewind(tmp_path: Path, arrive: Say, open_project: Callable[[Path], Project]) -> Callable[[], Project]:
    """A store that was backed up at number 1; calling it restores that."""
    arrive(10)
    back_up(open_project(tmp_path).store, tmp_path / "backup")

    def back() -> Project:
        restore(tmp_path / "backup", open_project(tmp_path).store_folder, lease_timeout=5.0, command="test")
        return open_project(tmp_path)

    return back


def _content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_that_is_ahead_waits_until_the_store_has_caught_up(
    rewind: Callable[[], Project], arrive: Say, tmp_path: Path
) -> None:
    arrive(20)
    folder = tmp_path / "exports" / "texts"
    ahead = _content(folder)
    project = rewind()
    told = "exports/texts is ahead: it holds number 2, the snapshot 1; it was left"
    assert step_named("export").plan(project, QUIET).notes == (told,)
    report = step_named("export").run(project, QUIET)
    assert (report.done, report.notes) == (0, (told,))
    report = arrive(20)
    assert (report.done, report.notes) == (0, ())
    assert _content(folder) == ahead
    assert arrive(30).done == 1
    manifest = read_export_manifest(folder)
    assert manifest is not None
    assert [one.number for one in manifest.numbers] == [1, 2, 3]
    assert ahead.items() - {(name, ahead[name]) for name in ("README.md", "croissant.json", "manifest.json")} <= (
        _content(folder).items()
    )


def test_where_they_part_the_folder_is_left_and_the_number_named(
    rewind: Callable[[], Project], arrive: Say, tmp_path: Path
) -> None:
    arrive(20)
    arrive(30)
    folder = tmp_path / "exports" / "texts"
    ahead = _content(folder)
    rewind()
    with pytest.raises(BadDataError, match="part at number 2: the store was restored") as caught:
        arrive(30)
    assert "move it away" in caught.value.hint
    assert _content(folder) == ahead
    folder.rename(tmp_path / "exports" / "before")
    assert arrive(30).done == 1
