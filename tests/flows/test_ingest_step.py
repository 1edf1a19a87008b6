"""The step `ingest` over every kind of place: what is read again and what is not, and what a pipe brings."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps import ingest as ingest_module
from curate.flows.steps import step_named
from curate.settings import load_settings
from curate.types import SilentProgress, StepReport

Ingest = Callable[..., StepReport]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    """`ingest(path="…", …)` runs the step over one source."""

    def run(**source: Any) -> StepReport:
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in {"name": "s", **source}.items())
        (tmp_path / "curate.toml").write_text(f"[[source]]\n{lines}\n")
        return step_named("ingest").run(_project(tmp_path), SilentProgress())

    return run


def _project(folder: Path) -> Project:
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def _rows(folder: Path, question: str) -> list[tuple[Any, ...]]:
    with _project(folder).reader() as reader:
        return [tuple(row.values()) for row in reader.query(question).to_pylist()]


def _lines(*texts: str) -> str:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


@pytest.fixture
def memory() -> Iterator[Any]:
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file("/inbox/a.jsonl", _lines("one", "two").encode())
    filesystem.pipe_file("/inbox/b.txt", b"three")
    yield filesystem
    filesystem.rm("/inbox", recursive=True)


def test_unchanged_files_behind_an_address_are_not_read_again(
    ingest: Ingest, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ingest(path="memory://inbox")
    assert (first.done, first.details["files"]) == (3, 2)
    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "open", lambda *_, **__: pytest.fail("a file was opened"))
        assert ingest(path="memory://inbox").idle
    memory.pipe_file("/inbox/b.txt", b"four")
    again = ingest(path="memory://inbox")
    assert (again.done, again.details["files"]) == (1, 1)


def test_secrets_in_an_address_reach_no_store(ingest: Ingest, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="secret"):
        ingest(path="s3://key:word@bucket/x")
    assert not any(
        b"key:word" in path.read_bytes() for path in (tmp_path / "curate-store").rglob("*") if path.is_file()
    )


def test_many_small_files_are_parts_of_few_chunks(
    ingest: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "BATCH_ROWS", 7)
    monkeypatch.setattr(ingest_module, "PART_ROWS", 3)
    folder = tmp_path / "all" / "notes"
    folder.mkdir(parents=True)
    for number in range(40):
        (folder / f"{number:02}.txt").write_text(f"note {number}" if number % 10 else "")
    (folder / "20b.jsonl").write_text(_lines("row one", "row two"))
    report = ingest(path="all", label="folder")
    assert (report.done, report.rejected, report.details["files"]) == (38, 4, 41)
    rejects = _rows(tmp_path, "FROM rejects SELECT locator, reason, fingerprint ORDER BY locator")
    assert [row[:2] for row in rejects] == [(f"notes/{number:02}.txt", "empty-text") for number in range(0, 40, 10)]
    assert rejects[0][2] == f"0-{(folder / '00.txt').stat().st_mtime_ns}"
    assert _rows(tmp_path, "FROM annotations SELECT DISTINCT value") == [("notes",)]
    assert ingest(path="all", label="folder").idle


def test_a_stopped_ingestion_ends_with_the_same_commits(
    ingest: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "BATCH_ROWS", 5)
    monkeypatch.setattr(ingest_module, "PART_ROWS", 4)
    folder = tmp_path / "notes"
    folder.mkdir()
    chance = random.Random(0)
    for number in range(60):
        (folder / f"{number:02}.txt").write_text(f"note {number} " * chance.randrange(1, 9))

    def items() -> list[tuple[Any, ...]]:
        return _rows(tmp_path, "FROM items SELECT item_id, commit_number ORDER BY ALL")

    ingest(path="notes")
    whole = items()
    (tmp_path / "curate-store").rename(tmp_path / "first")
    commit, count = ingest_module._commit, iter(range(3))
    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "_commit", lambda *arguments: next(count) is not None and commit(*arguments))
        with pytest.raises(StopIteration):
            ingest(path="notes")
    ingest(path="notes")
    assert items() == whole


def test_a_label_that_no_record_has_is_told(ingest: Ingest, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(_lines("one", "two"))
    assert ingest(path="a.jsonl", label="topci").notes == (
        "source 's': no record has a 'topci', so nothing was labelled",
    )
    (tmp_path / "a.jsonl").write_text(_lines("one", "two") + '{"text": "three", "topic": "sea"}\n')
    assert ingest(path="a.jsonl", label="topic").notes == ()
    assert ingest(path="a.jsonl", label="topic").notes == ()


def test_every_column_that_no_record_has_is_told(ingest: Ingest, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(_lines("one", "two"))
    asked = {"path": "a.jsonl", "id": "uid", "meta": ["lang", "year"], "licence_column": "rights", "licence": "MIT"}
    assert ingest(**asked).notes == (
        "source 's': no record has a 'lang', so no item has it beside it",
        "source 's': no record has a 'year', so no item has it beside it",
        "source 's': no record has a 'uid', so none is known again once it changes",
        "source 's': no record's 'rights' says another licence than the source's own",
    )
    said = '{"text": "three", "uid": 3, "lang": "en", "year": null, "rights": "CC0"}\n'
    (tmp_path / "a.jsonl").write_text(_lines("one", "two") + said)
    assert ingest(**asked).notes == ()
    assert ingest(**asked).notes == ()


def test_what_a_command_prints_comes_in_once(ingest: Ingest, tmp_path: Path) -> None:
    records = tmp_path / "records"
    source = {"command": ["cat", "records"], "format": "jsonl", "id": "id"}
    records.write_text('{"text": "one", "id": 1}\n{"text": "two"}\n')
    assert ingest(**source).done == 2
    assert ingest(**source).idle
    records.write_text('{"text": "zero"}\n{"text": "uno", "id": 1}\n{"text": "two"}\n')
    assert (ingest(**source).done, len(_rows(tmp_path, "FROM origins"))) == (2, 4)
    assert _rows(tmp_path, "FROM dropped JOIN items USING (item_id) SELECT text") == [("one",)]
    records.write_text('{"text": "one", "id": 1}\n')  # as it was before
    assert ingest(**source).done == 0
    assert _rows(tmp_path, "FROM dropped JOIN items USING (item_id) SELECT text") == [("uno",)]
    assert {locator for (locator,) in _rows(tmp_path, "FROM origins SELECT locator") if "#" not in locator} == {"1"}


def test_each_text_that_a_command_prints_is_another(ingest: Ingest, tmp_path: Path) -> None:
    for text in ("one", "two"):
        (tmp_path / "note").write_text(text)
        assert ingest(command=["cat", "note"], format="text").done == 1
    assert _rows(tmp_path, "FROM dropped") == []


def test_a_source_that_fails_keeps_no_other_back(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    commands = {"fails": ["sh", "-c", 'echo \'{"text": "two"}\'; exit 2'], "absent": ["no-such-program"]}
    sources = [
        f'[[source]]\nname = "{name}"\ncommand = {json.dumps(c)}\nformat = "jsonl"' for name, c in commands.items()
    ]
    (tmp_path / "curate.toml").write_text("\n".join([*sources, '[[source]]\nname = "a"\npath = "a.txt"']))
    report = step_named("ingest").run(_project(tmp_path), SilentProgress())
    assert (report.done, report.failed) == (2, 2)
    assert report.notes == (
        "source 'fails': its command 'sh' ended with exit code 2",
        "source 'absent': its command 'no-such-program' cannot be started: No such file or directory",
    )
    plan = step_named("ingest").plan(_project(tmp_path), SilentProgress())
    assert (plan.to_do, plan.already_done) == (2, 1)


def _pipe(folder: Path, content: bytes, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "curate", "ingest", "-", *options, "--json"]
    done = subprocess.run(
        command, input=content, cwd=folder, capture_output=True, check=False, env=os.environ, timeout=60
    )
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "curate.toml").write_text("")
    return tmp_path


def test_standard_input(project: Path) -> None:
    first = _pipe(project, (_lines("one") + "{\n" + _lines("two")).encode(), "--format", "jsonl")
    assert first.returncode == 7, first.stderr
    assert _rows(project, "FROM origins SELECT source, locator ORDER BY ALL") == [
        ("stdin", "stdin#1"),
        ("stdin", "stdin#3"),
    ]
    assert _rows(project, "FROM rejects SELECT locator, reason") == [("stdin#2", "broken-json")]
    again = _pipe(project, _lines("one", "two", "three").encode(), "--format", "jsonl")
    assert json.loads(again.stdout)["done"] == 1
    other = _pipe(project, (_lines("one") + "[\n").encode(), "--format", "jsonl")
    assert json.loads(other.stdout)["rejected"] == 1


def test_standard_input_says_what_it_needs(project: Path) -> None:
    nameless = _pipe(project, b"text")
    assert nameless.returncode == 3
    assert "--format" in nameless.stderr
    unseekable = _pipe(project, b"PAR1" * 10, "--format", "parquet")
    assert unseekable.returncode == 4
    assert _rows(project, "FROM rejects SELECT reason") == [("unsupported-format",)]


@pytest.mark.parametrize(
    ("rows", "size", "is_full"),
    [
        (0, 0, False),
        (100_000, 40 * 2**20, False),
        (100_000, 48 * 2**20, True),
        (8_000, 31 * 2**20, False),
        (8_000, 32 * 2**20, True),
        (400_000, 2**20, True),
    ],
)
def test_a_commit_takes_less_of_large_rows(rows: int, size: int, is_full: bool) -> None:
    assert ingest_module.Batch(rows=rows, bytes=size).full is is_full
