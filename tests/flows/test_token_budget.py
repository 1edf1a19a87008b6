"""A budget of tokens: what it takes, what it keeps of the counting, and what a killed run leaves behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps.align import AlignStep
from curate.flows.steps.ingest import IngestStep
from curate.flows.steps.snapshot import SnapshotStep
from curate.settings import load_settings
from curate.store.snapshots import list_snapshots, snapshot_row
from curate.store.snapshots import tokens as counting
from curate.store.why import explain
from curate.store.write import Commit, Write
from curate.types import SilentProgress, StepReport

QUIET = SilentProgress()
LENGTHS = [3, 1, 50, 4, 2, 5, 1, 3, 2, 4]
Open = Callable[[str], Project]


def words_budget(tokens: int, name: str = "few") -> str:
    budget = f'budget = {{ tokens = {tokens}, tokenizer = "words" }}'
    return f'[[snapshot]]\nname = "{name}"\n{budget}\nsplits = {{ train = 1.0 }}\n'


@pytest.fixture
def texts(tmp_path: Path) -> Open:
    """Return a function that opens a project of ten texts of known lengths with these snapshots, as anew."""
    lines = [json.dumps({"text": " ".join([f"w{n}"] * length)}) for n, length in enumerate(LENGTHS)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def open_project(snapshots: str) -> Project:
        file = tmp_path / "curate.toml"
        file.write_text('[[source]]\nname = "texts"\npath = "texts.jsonl"\n' + snapshots, encoding="utf-8")
        project = Project(tmp_path, load_settings(file, {}), command="test")
        IngestStep().run(project, QUIET)
        return project

    return open_project


def run(project: Project) -> StepReport:
    return SnapshotStep().run(project, QUIET)


def ask(project: Project, sql: str) -> list[dict[str, Any]]:
    with project.reader() as reader:
        found: list[dict[str, Any]] = reader.query(sql).to_pylist()
    return found


def test_the_best_that_fit_are_taken(texts: Open) -> None:
    project = texts(words_budget(12))
    report = run(project)
    [funnel] = report.details.values()
    found = ask(project, "SELECT len(string_split(text, ' ')) AS length FROM items ORDER BY item_id")
    lengths = [row["length"] for row in found if row["length"] <= 12]
    fitting = next(n for n in range(len(lengths)) if sum(lengths[: n + 1]) > 12)
    assert funnel == {"arrived": 10, "longer than the budget": 1, "over the budget": 9 - fitting, "selected": fitting}
    reasons = set()
    with project.reader() as reader:
        for row in reader.query("FROM items ANTI JOIN snapshot_items USING (item_id)").to_pylist():
            reasons.add(explain(reader, row["item_id"])["absent_from"][0]["reason"])
    assert reasons == {
        "its 50 tokens (words-1) exceed the whole budget of 12",
        "the budget of 12 tokens (words-1) was spent before it",
    }


def test_no_text_is_counted_twice(texts: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    project = texts(words_budget(12))
    assert SnapshotStep().plan(project, QUIET).notes == (
        "few: the tokens of 10 texts are to be counted first; what fits is known then",
    )
    assert ask(project, "FROM scores") == []
    run(project)
    assert sorted(row["score"] for row in ask(project, "FROM scores")) == sorted(LENGTHS)
    assert run(project).idle
    with (project.folder / "texts.jsonl").open("a", encoding="utf-8") as file:
        file.write('\n{"text": "one new text"}\n')
    project = texts(words_budget(12) + words_budget(1000, "all"))
    seen: list[int] = []
    monkeypatch.setattr(
        "curate.flows.steps.snapshot._Counting.__call__",
        lambda self, batch, left: seen.append(left) or self._tokenizer.count(batch.column("text").to_pylist()),
    )
    SnapshotStep(names=["all"]).run(project, QUIET)
    assert seen == [1]


def test_counts_are_found_among_many_other_scores(texts: Open) -> None:
    """DuckDB joins differently there."""
    project = texts("")
    lines = [json.dumps({"text": f"text number {n} " + "etc " * (n % 40), "topic": str(n % 3)}) for n in range(480)]
    (project.folder / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (project.folder / "target.txt").write_text("text number one", encoding="utf-8")
    asked = words_budget(3000).replace("splits", 'values = { topic = ["1"] }\norder_by = "align"\nsplits')
    project = texts('label = "topic"\nattribute = "topic"\n[align]\ntarget = "target.txt"\n' + asked)
    AlignStep().run(project, QUIET)
    assert run(project).details["few 1"]["selected"] > 100
    assert run(project).skipped == 1


def test_a_killed_run_keeps_its_counts_and_ends_alike(texts: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_ROWS", 3)
    project = texts(words_budget(12))
    commit = project.store.commit
    commits: list[Write] = []

    def dying(write: Write) -> Commit:
        if len(commits) == 2:
            raise KeyboardInterrupt
        commits.append(write)
        return commit(write)

    monkeypatch.setattr(project.store, "commit", dying)
    with pytest.raises(KeyboardInterrupt):
        run(project)
    assert len(ask(project, "FROM scores")) == 6
    [funnel] = run(texts(words_budget(12))).details.values()
    assert sorted(row["score"] for row in ask(project, "FROM scores")) == sorted(LENGTHS)
    assert funnel["longer than the budget"] == 1


def test_the_tokenizer_is_in_the_spec_and_the_past_is_counted_too(texts: Open) -> None:
    project = texts(words_budget(1000))
    with project.reader() as reader:
        then = reader.commit_number
    run(project)
    SnapshotStep(str(then)).run(project, QUIET)
    with project.reader() as reader:
        [only] = list_snapshots(reader, "few")
        assert snapshot_row(reader, only).request.tokenizer == "words-1"
    assert run(texts(words_budget(1000).replace('"words"', '"bytes"'))).details["few 2"]["selected"] == 10
    with project.reader() as reader:
        one, other = list_snapshots(reader, "few")
    assert one.content_hash == other.content_hash


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("{ tokens = 5 }", "a budget of tokens needs a tokenizer"),
        ('{ tokenizer = "words" }', "a tokenizer without a budget of tokens"),
        ('{ tokens = 5, characters = 5, tokenizer = "words" }', "two budgets, of characters and of tokens"),
        ('{ tokens = 5, tokenizer = "word" }', "unknown tokenizer 'word'"),
    ],
)
def test_budgets_that_make_no_sense(texts: Open, budget: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        texts(f'[[snapshot]]\nname = "few"\nbudget = {budget}\n')


def test_a_missing_tokenizer_is_said(texts: Open) -> None:
    project = texts(words_budget(5).replace('"words"', '"models/tokenizer.json"'))
    with pytest.raises(ConfigurationError, match=r"models/tokenizer\.json cannot be read"):
        run(project)
