"""One ceiling for models and people: it stops in time, keeps what was paid for, and goes on when it is raised."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from curate.errors import BudgetSpentError
from curate.flows.labelling import StoreDesk, page_application
from curate.flows.project import Project
from curate.flows.spending import money_left, money_spent
from curate.flows.steps.annotate import AnnotateStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.label import LabelStep
from curate.store.inbox import Inbox
from curate.types import PersonAnswer, SilentProgress

FAKE_MODEL = Path(__file__).parents[1] / "support" / "fake_language_model.py"
ITEMS = 40
SETTINGS = """
[[source]]
name = "texts"
path = "texts.jsonl"
[protocol]
name = "demo"
attribute = [{{ name = "kind", question = "What is it?", values = ["code", "prose"] }}]
[[annotator]]
name = "model"
kind = "llm"
attributes = ["kind"]
address = "{address}"
model = "fake"
prompt_price = 1_000_000.0
completion_price = 1_000_000.0
[spending]
ceiling = {ceiling}
label_price = 100.0
"""


@pytest.fixture
def paid(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a fake language model, and the file with a line for each answer that it was paid for."""
    command = [sys.executable, str(FAKE_MODEL), "--port", "0", "--journal", str(tmp_path / "paid")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), tmp_path / "paid"
        process.kill()


@pytest.fixture
def open_with(
    tmp_path: Path, open_project: Callable[[Path], Project], paid: tuple[str, Path]
) -> Callable[..., Project]:
    """Return a function that opens the project with a ceiling."""
    lines = [json.dumps({"text": f"text number {number}"}) for number in range(ITEMS)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def open_folder(ceiling: float) -> Project:
        settings = SETTINGS.format(address=paid[0], ceiling=ceiling)
        (tmp_path / "curate.toml").write_text(settings, encoding="utf-8")
        return open_project(tmp_path)

    IngestStep().run(open_folder(0.0), SilentProgress())
    return open_folder


def test_the_ceiling_stops_in_time_and_everything_paid_for_counts(
    open_with: Callable[..., Project], paid: tuple[str, Path]
) -> None:
    project = open_with(1_000.0)
    report = AnnotateStep().run(project, SilentProgress())
    assert report.spent
    assert any("of the ceiling are left; raise ceiling in [spending]" in note for note in report.notes)
    with project.reader() as reader:
        claims = len(reader.query("FROM annotations"))
    assert 0 < report.done == claims == len(paid[1].read_text().splitlines()) < ITEMS
    assert 0 < money_spent(project) <= 1_000.0
    assert AnnotateStep().run(project, SilentProgress()).done == 0, "the same ceiling pays for nothing more"

    whole = AnnotateStep().run(open_with(100_000.0), SilentProgress())
    assert (whole.done, whole.spent) == (ITEMS - claims, False)
    assert len(paid[1].read_text().splitlines()) == ITEMS, "nothing was paid for twice"
    assert any("of them cached by the server)" in note and "an annotation" in note for note in whole.notes)


def test_people_and_models_share_the_ceiling(open_with: Callable[..., Project]) -> None:
    project = open_with(1_000.0)
    with project.reader() as reader:
        items = reader.query("SELECT item_id FROM items ORDER BY item_id")["item_id"].to_pylist()
    inbox = Inbox(project.store_folder)
    for number, item in enumerate(items[:7]):
        reason = {5: "cannot tell", 6: "skip"}.get(number, "")
        said = "" if reason else "code"
        inbox.append(PersonAnswer(item, "ann", item, "demo", "1", "kind", "2026-11-26T12:00:00+00:00", said, reason))
    inbox.close()
    LabelStep().run(project, SilentProgress())
    assert money_spent(project) == 600.0, "five values and a word that the item does not say"
    assert money_left(project) == 400.0
    desk = StoreDesk(project)
    application = page_application(project, desk, "", "owner")
    assert application is not None
    desk.close()
    with pytest.raises(BudgetSpentError, match="another answer costs 100, and 50 of the spending ceiling are left"):
        page_application(open_with(650.0), StoreDesk(open_with(650.0)), "", "owner")
    assert AnnotateStep().run(open_with(610.0), SilentProgress()).spent


def test_without_a_ceiling_nothing_is_bounded(open_with: Callable[..., Project]) -> None:
    assert money_left(open_with(0.0)) == float("inf")
