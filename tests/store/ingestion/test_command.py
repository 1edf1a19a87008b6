"""Commands as sources: real programs that print, fail, hang, shout and leave cursors."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.store.ingestion.command import CommandRun, run_command, steady_locators
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.read import read_file
from curate.store.ingestion.shapes import RECORDS

Run = Callable[..., CommandRun]
TEXTS = Mapping(source="s", modality="text", format="jsonl")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def run(tmp_path: Path, said: list[str]) -> Run:
    """`run("…")` runs a shell script as a command."""

    def run_script(script: str, **options: Any) -> CommandRun:
        settings = {"folder": tmp_path, "timeout": 60.0, "cursor": "", "say": said.append, **options}
        return run_command(["sh", "-c", script], **settings)

    return run_script


def _texts(ran: CommandRun) -> list[str]:
    return [text for parsed in read_file(ran.output, TEXTS) for text in parsed.records["text"].to_pylist()]


def test_what_is_printed_is_a_file(run: Run) -> None:
    ran = run("""echo '{"text": "one"}'; echo '{"text": "two"}'""")
    assert ran.problem == ""
    assert _texts(ran) == _texts(ran) == ["one", "two"]
    assert ran.output.size == 32


def test_a_format_that_is_read_here_and_there_works_too(run: Run, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one", "two"]}), tmp_path / "a.parquet")
    mapping = Mapping(source="s", modality="text", format="parquet")
    [parsed] = read_file(run("cat a.parquet").output, mapping)
    assert parsed.records["text"].to_pylist() == ["one", "two"]


def test_the_fingerprint_follows_the_output(run: Run) -> None:
    prints = [run(f"printf {word}").output.fingerprint for word in ("a", "a", "b", "")]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_no_shell_is_between(tmp_path: Path) -> None:
    ran = run_command(["echo", "$HOME; exit 3"], folder=tmp_path, timeout=60.0, cursor="", say=print)
    assert ran.output.open().read() == b"$HOME; exit 3\n"


def test_it_runs_in_the_folder_and_hears_nothing(run: Run, tmp_path: Path) -> None:
    assert run("pwd; cat").output.open().read().decode().strip() == str(tmp_path)


def test_standard_error_is_told_line_by_line(run: Run, said: list[str]) -> None:
    run(r"printf 'one\ntwo\033[2J\n\nthree' >&2; head -c 70000 /dev/zero | tr '\0' x >&2")
    assert said[:2] == ["one", "two\N{REPLACEMENT CHARACTER}[2J"]
    assert said[2].startswith("threexxx")
    assert all(len(line) <= 500 for line in said)


@pytest.mark.parametrize(
    ("script", "problem"), [("exit 3", "ended with exit code 3"), ("kill -TERM $$", "was ended by signal 15")]
)
def test_a_failure_keeps_what_came_before(run: Run, script: str, problem: str) -> None:
    ran = run("""echo '{"text": "one"}'; echo new > $CURATE_CURSOR_FILE; """ + script, cursor="old")
    assert ran.problem == problem
    assert ran.cursor == "old"
    assert _texts(ran) == ["one"]


@pytest.mark.parametrize("command", ["absent-program", "/"])
def test_what_cannot_be_started_says_so(tmp_path: Path, command: str) -> None:
    ran = run_command([command], folder=tmp_path, timeout=60.0, cursor="", say=print)
    assert ran.problem.startswith("cannot be started: ")
    assert _texts(ran) == []


def test_a_command_that_hangs_is_stopped_with_its_children(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    ran = run("""echo '{"text": "one"}'; cat never & echo $! > child; cat never""", timeout=0.7)
    assert ran.problem == "was stopped after 0.7 seconds"
    assert _texts(ran) == ["one"]
    _wait_until(lambda: not _lives(int((tmp_path / "child").read_text())))


def test_a_command_is_stopped_with_the_watch(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    ran = run("""echo '{"text": "one"}'; touch started; cat never""", stopped=(tmp_path / "started").exists)
    assert ran.problem == "was stopped with the watch"
    assert _texts(ran) == ["one"]


def test_a_command_that_closes_its_standard_error_is_waited_for(run: Run) -> None:
    ran = run("exec 2>&-; head -c 3000000 /dev/zero | wc -c")
    assert ran.output.open().read().strip() == b"3000000"


def test_a_child_that_keeps_standard_error_open_keeps_nobody_and_goes(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    ran = run("cat never & echo $! > child; echo done")
    assert (ran.problem, ran.output.open().read()) == ("", b"done\n")
    _wait_until(lambda: not _lives(int((tmp_path / "child").read_text())))


def test_the_cursor_is_handed_on(run: Run) -> None:
    first = run("cat $CURATE_CURSOR_FILE; echo ' 7 ' > $CURATE_CURSOR_FILE")
    assert (first.output.size, first.cursor) == (0, "7")
    second = run("cat $CURATE_CURSOR_FILE", cursor=first.cursor)
    assert (second.output.open().read(), second.cursor) == (b"7", "7")
    assert run("rm $CURATE_CURSOR_FILE", cursor="7").cursor == "7"


def test_a_record_is_named_by_what_it_is() -> None:
    def record(entity: str, item: str) -> dict[str, Any]:
        return {"item_id": item * 64, "entity": entity, "locator": "command#9"}

    records = pa.Table.from_pylist([record("", "a"), record("s:x:1", "b")], RECORDS)
    assert steady_locators(records, "s")["locator"].to_pylist() == ["command#" + "a" * 16, "x:1"]


def _lives(process: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
