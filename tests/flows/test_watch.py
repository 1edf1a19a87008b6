"""Watching: real watchers as processes of their own over folders, globs, S3 and commands; what is due, and when."""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import pytest

from curate.errors import ConfigurationError, StoreError
from curate.flows.project import Project
from curate.flows.watch import Backlog, Watch, check_watchable
from curate.settings import Settings, SourceSettings, WatchSettings, load_settings
from curate.store.comparison import differences
from curate.store.lease import hold_lease
from curate.store.reader import Reader
from curate.types import SilentProgress

SECONDS = 60.0


class Watching:
    """A watcher as a process: what it prints arrives in a queue, so that a test waits for lines and never sleeps."""

    def __init__(self, folder: Path, *arguments: str, every: str = "0.1") -> None:
        command = [sys.executable, "-m", "curate", "ingest", *arguments, "--watch", "--every", every, "--json"]
        self.process = subprocess.Popen(
            command, cwd=folder, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._heard: list[str] = []
        self._readers = [
            Thread(target=self._pass_on, args=[stream], daemon=True)
            for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, text: str) -> str:
        """Return the next line that holds the text; the two streams come in any order."""
        deadline = time.monotonic() + SECONDS
        while not (found := [line for line in self._heard if text in line]) and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                self._heard.append(self._lines.get(timeout=max(0.0, deadline - time.monotonic())))
        if not found:
            raise AssertionError(f"no {text!r} in {self._heard}; the watcher's exit code is {self.process.poll()}")
        self._heard.remove(found[0])
        return found[0]

    def wait_for_items(self, count: int) -> None:
        """Wait until so many items have been reported, and not one more."""
        while count > 0:
            count -= json.loads(self.wait_for('"done"'))["done"]
        assert count == 0

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def rest(self) -> list[str]:
        """Return what was printed and not waited for; the process has ended."""
        for reader in self._readers:
            reader.join(SECONDS)
        return [*self._heard, *self._lines.queue]

    def _pass_on(self, stream: Any) -> None:
        for line in stream:
            self._lines.put(line.rstrip("\n"))


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watching]]:
    """`watch("inbox", …)` starts `curate ingest inbox … --watch` in a new project."""
    started: list[Watching] = []

    def start(*arguments: str, **options: str) -> Watching:
        started.append(Watching(tmp_path, *arguments, **options))
        started[-1].wait_for("watching ")
        return started[-1]

    (tmp_path / "curate.toml").touch()
    yield start
    for watching in started:
        watching.process.kill()
        watching.process.wait()


def write_source(folder: Path, **source: Any) -> None:
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in {"name": "s", **source}.items())
    (folder / "curate.toml").write_text(f"[[source]]\n{lines}\n")


def open_project(folder: Path) -> Project:
    return Project(folder, load_settings(folder / "curate.toml", {}), command="test")


def rows(folder: Path, question: str) -> list[tuple[Any, ...]]:
    with Reader(folder / "curate-store") as reader:
        return [tuple(row.values()) for row in reader.query(question).to_pylist()]


def lines(*texts: str) -> str:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


class TestFolders:
    def test_files_are_taken_in_as_they_drop(self, watch: Callable[..., Watching], tmp_path: Path) -> None:
        (tmp_path / "inbox").mkdir()
        (tmp_path / "inbox" / "early.txt").write_text("early")
        watching = watch("inbox")
        watching.wait_for_items(1)
        (tmp_path / "inbox" / "a.jsonl").write_text(lines("one", "two"))
        watching.wait_for_items(2)
        (tmp_path / "inbox" / "deep").mkdir()
        (tmp_path / "inbox" / "deep" / "b.txt").write_text("three")
        watching.wait_for_items(1)
        (tmp_path / "inbox" / "early.txt").write_text("changed")
        watching.wait_for_items(1)
        assert watching.stop() == 130
        assert any(
            '"unchanged": "what was finished is committed (commit 4, ingest)' in line for line in watching.rest()
        )
        assert len(rows(tmp_path, "FROM items")) == len(rows(tmp_path, "FROM origins")) == 5

    def test_a_glob_takes_what_matches(self, watch: Callable[..., Watching], tmp_path: Path) -> None:
        (tmp_path / "logs" / "a").mkdir(parents=True)
        watching = watch("logs/**/*.jsonl", "--name", "logs")
        (tmp_path / "logs" / "a" / "no.csv").write_text("text\nno\n")
        (tmp_path / "logs" / "a" / "yes.jsonl").write_text(lines("yes"))
        watching.wait_for_items(1)
        (tmp_path / "logs" / "b").mkdir()
        (tmp_path / "logs" / "b" / "too.jsonl").write_text(lines("too"))
        watching.wait_for_items(1)
        assert watching.stop(signal.SIGTERM) == 130
        assert rows(tmp_path, "FROM origins SELECT locator ORDER BY 1") == [("a/yes.jsonl#1",), ("b/too.jsonl#1",)]

    @pytest.mark.slow
    def test_a_file_that_is_being_written_is_left(self, watch: Callable[..., Watching], tmp_path: Path) -> None:
        (tmp_path / "inbox").mkdir()
        script = (
            """while [ ! -e enough ]; do i=$((i+1)); printf '{"text": "li'; /bin/true; printf "ne $i\\"}\\n"; done"""
        )
        writer = subprocess.Popen(["sh", "-c", f"({script}) > inbox/slow.jsonl"], cwd=tmp_path)
        watching = watch("inbox", every="1")
        (tmp_path / "inbox" / "quick.txt").write_text("quick")
        watching.wait_for_items(1)
        (tmp_path / "enough").touch()
        assert writer.wait(SECONDS) == 0
        watching.wait_for_items((tmp_path / "inbox" / "slow.jsonl").read_text().count("\n"))
        assert watching.stop() == 130
        assert rows(tmp_path, "FROM rejects") == []

    def test_what_is_not_there_yet_is_waited_for(self, watch: Callable[..., Watching], tmp_path: Path) -> None:
        watching = watch("inbox")
        watching.wait_for("nothing exists at")
        (tmp_path / "inbox").mkdir()
        (tmp_path / "inbox" / "a.txt").write_text("one")
        watching.wait_for_items(1)
        (tmp_path / "inbox").rename(tmp_path / "away")
        watching.wait_for("nothing exists at")
        (tmp_path / "away" / "b.txt").write_text("two")
        (tmp_path / "away").rename(tmp_path / "inbox")
        watching.wait_for_items(1)
        assert watching.stop() == 130

    @pytest.mark.slow
    def test_two_watchers_do_no_harm(self, watch: Callable[..., Watching], tmp_path: Path) -> None:
        (tmp_path / "inbox").mkdir()
        both = [watch("inbox") for _ in range(2)]
        for name in "abcdef":
            (tmp_path / "inbox" / f"{name}.jsonl").write_text(lines(*(f"{name} {n}" for n in range(50))))
        deadline = time.monotonic() + SECONDS
        while len(rows(tmp_path, "FROM items")) < 300:
            assert time.monotonic() < deadline
        assert [watching.stop() for watching in both] == [130, 130]
        assert len(rows(tmp_path, "FROM origins")) == len(rows(tmp_path, "FROM items")) == 300

    @pytest.mark.slow
    def test_a_killed_watcher_goes_on_where_it_stood(self, watch: Callable[..., Watching], tmp_path: Path) -> None:
        (tmp_path / "inbox").mkdir()
        for name in "abc":
            texts = lines(*(f"{name} {n}" for n in range(15_000))) + "{broken\n"
            (tmp_path / "inbox" / f"{name}.jsonl").write_text(texts)
        shutil.copytree(tmp_path, tmp_path.parent / "undisturbed")
        watching = watch("inbox")
        watching.wait_for("ingest inbox: 3 to do")
        watching.process.kill()
        again = watch("inbox")
        again.wait_for('"done"')
        assert again.stop() == 130
        ended = subprocess.run(
            [sys.executable, "-m", "curate", "ingest", "inbox"], cwd=tmp_path.parent / "undisturbed", check=False
        )
        assert ended.returncode == 7
        with (
            Reader(tmp_path / "curate-store") as killed,
            Reader(tmp_path.parent / "undisturbed" / "curate-store") as undisturbed,
        ):
            assert differences(undisturbed, killed) == []


class TestAddresses:
    @pytest.fixture
    def bucket(self, make_bucket: Callable[..., Any]) -> Any:
        return make_bucket()

    def test_objects_are_taken_in_as_they_come(
        self, bucket: Any, watch: Callable[..., Watching], tmp_path: Path
    ) -> None:
        bucket.put_object(Bucket="bucket", Key="data/a.jsonl", Body=lines("one", "two").encode())
        watching = watch("s3://bucket/data/*.jsonl", "--name", "s3")
        watching.wait_for_items(2)
        bucket.put_object(Bucket="bucket", Key="data/b.jsonl", Body=lines("three").encode())
        watching.wait_for_items(1)
        bucket.put_object(Bucket="bucket", Key="data/a.jsonl", Body=lines("one", "four").encode())
        watching.wait_for_items(1)
        assert watching.stop() == 130
        assert len(rows(tmp_path, "FROM items")) == 4

    @pytest.mark.slow
    def test_an_address_that_fails_is_asked_again(
        self, bucket: Any, watch: Callable[..., Watching], tmp_path: Path
    ) -> None:
        watching = watch("s3://later/data", "--name", "s3")
        watching.wait_for("source 's3': ")
        bucket.create_bucket(Bucket="later")
        bucket.put_object(Bucket="later", Key="data/a.txt", Body=b"one")
        watching.wait_for_items(1)
        assert watching.stop() == 130


class TestCommands:
    PRINT = ("sh", "-c", "echo again >&2; cat records")

    def test_new_records_are_taken_in_once(self, watch: Callable[..., Watching], tmp_path: Path) -> None:
        (tmp_path / "records").write_text(lines("one", "two"))
        write_source(tmp_path, command=self.PRINT, format="jsonl")
        watching = watch()
        watching.wait_for("s: again")
        watching.wait_for_items(2)
        (tmp_path / "new").write_text(lines("zero", "one", "two"))
        (tmp_path / "new").rename(tmp_path / "records")
        watching.wait_for_items(1)
        watching.wait_for("s: again")
        watching.wait_for("s: again")
        assert watching.stop() == 130
        assert len(rows(tmp_path, "FROM origins")) == 3

    def test_a_command_that_fails_is_asked_again(self, watch: Callable[..., Watching], tmp_path: Path) -> None:
        (tmp_path / "records").write_text(lines("one"))
        script = 'cat records; [ -e mended ] && echo \'{"text": "two"}\' || exit 4'
        write_source(tmp_path, command=["sh", "-c", script], format="jsonl")
        watching = watch()
        assert json.loads(watching.wait_for('"done"'))["done"] == 1
        watching.wait_for("source 's': its command 'sh' ended with exit code 4")
        (tmp_path / "mended").touch()
        watching.wait_for_items(1)
        assert watching.stop() == 130

    def test_a_command_that_hangs_is_stopped_and_asked_again(
        self, watch: Callable[..., Watching], tmp_path: Path
    ) -> None:
        os.mkfifo(tmp_path / "never")
        script = "cat records; [ -e mended ] || cat never"
        (tmp_path / "records").write_text(lines("one"))
        write_source(tmp_path, command=["sh", "-c", script], format="jsonl", timeout=0.5)
        watching = watch()
        watching.wait_for_items(1)
        watching.wait_for("its command 'sh' was stopped after 0.5 seconds")
        (tmp_path / "new").write_text(lines("one", "two"))
        (tmp_path / "new").rename(tmp_path / "records")
        watching.wait_for_items(1)
        assert watching.stop() == 130

    def test_an_interrupted_watcher_leaves_no_command_behind(
        self, watch: Callable[..., Watching], tmp_path: Path
    ) -> None:
        os.mkfifo(tmp_path / "never")
        write_source(tmp_path, command=["sh", "-c", "echo I am $$ >&2; cat never"], format="jsonl")
        watching = watch()
        process = int(watching.wait_for("s: I am ").split()[-1])
        assert watching.stop() == 130
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)

    def test_a_broken_line_is_a_reject_and_the_rest_goes_on(
        self, watch: Callable[..., Watching], tmp_path: Path
    ) -> None:
        (tmp_path / "records").write_text(lines("one") + "{broken\n" + lines("two"))
        write_source(tmp_path, command=self.PRINT, format="jsonl")
        watching = watch()
        report = json.loads(watching.wait_for('"done"'))
        assert (report["done"], report["rejected"]) == (2, 1)
        assert watching.stop() == 130
        assert rows(tmp_path, "FROM rejects SELECT source, locator, reason") == [("s", "command#2", "broken-json")]

    def test_the_cursor_lets_a_command_print_only_what_is_new(
        self, watch: Callable[..., Watching], tmp_path: Path
    ) -> None:
        script = "n=$(cat $CURATE_CURSOR_FILE); echo at ${n:-0} >&2; tail -n +$((${n:-0} + 1)) records; " + (
            "wc -l < records > $CURATE_CURSOR_FILE"
        )
        (tmp_path / "records").write_text(lines("one", "two"))
        write_source(tmp_path, command=["sh", "-c", script], format="jsonl")
        first = watch()
        first.wait_for("s: at 2")
        first.process.kill()
        with (tmp_path / "records").open("a") as records:
            records.write(lines("three"))
        second = watch()
        second.wait_for("s: at 2")
        second.wait_for_items(1)
        second.wait_for("s: at 3")
        assert second.stop() == 130
        assert len(rows(tmp_path, "FROM items")) == 3


class TestLook:
    def test_only_what_two_looks_find_alike_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "inbox").mkdir()
        write_source(tmp_path, path="inbox")
        watch = Watch(open_project(tmp_path), SilentProgress())
        file = tmp_path / "inbox" / "a.jsonl"
        for number in range(3):
            with file.open("a") as stream:
                stream.write(lines(f"line {number}"))
            assert watch.look().idle
        assert watch.look().done == 3
        assert watch.look().idle
        with file.open("a") as stream:
            stream.write(lines("line 3"))
        assert [watch.look().done for _ in range(3)] == [0, 1, 0]

    def test_a_file_that_is_gone_and_comes_back_changed_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "inbox").mkdir()
        write_source(tmp_path, path="inbox")
        watch = Watch(open_project(tmp_path), SilentProgress())
        (tmp_path / "inbox" / "b.txt").write_text("stays")
        (tmp_path / "inbox" / "a.txt").write_text("one")
        assert [watch.look().done for _ in range(2)] == [0, 2]
        (tmp_path / "inbox" / "a.txt").unlink()
        assert watch.look().done == 0
        (tmp_path / "inbox" / "a.txt").write_text("another")
        assert [watch.look().done for _ in range(2)] == [0, 1]

    def test_a_quiet_look_opens_no_store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "inbox").mkdir()
        write_source(tmp_path, path="inbox")
        (tmp_path / "inbox" / "a.txt").write_text("one")
        watch = Watch(open_project(tmp_path), SilentProgress())
        assert [watch.look().done for _ in range(2)] == [0, 1]
        monkeypatch.setattr(Project, "reader", lambda _: pytest.fail("the store was opened"))
        assert watch.look().idle

    def test_notes_are_told_once(self, tmp_path: Path) -> None:
        write_source(tmp_path, path="inbox")
        watch = Watch(open_project(tmp_path), SilentProgress())
        assert [len(watch.look().notes) for _ in range(3)] == [1, 0, 0]
        (tmp_path / "inbox").mkdir()
        (tmp_path / "inbox" / "a.txt").write_text("one")
        assert [len(watch.look().notes) for _ in range(2)] == [0, 0]
        shutil.rmtree(tmp_path / "inbox")
        assert len(watch.look().notes) == 1

    def test_an_address_out_of_reach_is_looked_at_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("no route")

        memory = fsspec.filesystem("memory")
        memory.pipe_file("/watched/a.txt", b"one")
        write_source(tmp_path, path="memory://watched")
        watch = Watch(open_project(tmp_path), SilentProgress())
        with monkeypatch.context() as patch:
            patch.setattr(type(memory), "find", fail)
            assert "no route" in watch.look().notes[0]
        watch.look()
        with monkeypatch.context() as patch:
            patch.setattr(type(memory), "open", fail)
            assert "no route" in watch.look().notes[0]
        assert watch.look().done == 1
        memory.rm("/watched", recursive=True)

    def test_a_busy_store_is_looked_at_again(self, tmp_path: Path) -> None:
        (tmp_path / "inbox").mkdir()
        write_source(tmp_path, path="inbox")
        (tmp_path / "inbox" / "a.txt").write_text("one")
        project = Project(tmp_path, load_settings(tmp_path / "curate.toml", {"lease_timeout": "0.01"}), command="test")
        watch = Watch(project, SilentProgress())
        with hold_lease(project.store.folder, timeout=1, command="somebody's command"):
            assert watch.look().notes == ()
            assert "somebody's command" in watch.look().notes[0]
        assert watch.look().done == 1

    def test_a_damaged_store_ends_the_watch(self, tmp_path: Path) -> None:
        (tmp_path / "inbox").mkdir()
        write_source(tmp_path, path="inbox")
        (tmp_path / "inbox" / "a.txt").write_text("one")
        project = open_project(tmp_path)
        (project.store.folder / "ledger.duckdb").write_bytes(b"no database")
        watch = Watch(project, SilentProgress())
        watch.look()
        with pytest.raises(StoreError):
            watch.look()


class TestBacklog:
    def test_it_is_due_after_enough_items_or_enough_seconds(self) -> None:
        now = 100.0
        backlog = Backlog(WatchSettings(items=10, after=30.0), lambda: now)
        assert not backlog.is_due
        now = 130.0
        assert backlog.is_due  # whatever an earlier watch took in
        backlog.clear()
        now = 1000.0
        backlog.add(0)
        now = 1010.0
        backlog.add(9)
        now = 1039.0
        backlog.add(0)
        assert not backlog.is_due
        now = 1040.0
        assert backlog.is_due
        backlog.clear()
        backlog.add(10)
        assert backlog.is_due


class TestWhatCanBeWatched:
    def test_standard_input_cannot(self) -> None:
        source = SourceSettings(name="in", path="-", format="jsonl")
        with pytest.raises(ConfigurationError, match="'in' is standard input"):
            check_watchable(Settings(source=(source,)))

    def test_nothing_cannot(self) -> None:
        with pytest.raises(ConfigurationError, match="no source"):
            check_watchable(Settings())

    def test_a_watch_loads_no_prefect(self, tmp_path: Path) -> None:
        program = "import sys, curate.cli.watching, curate.flows.watch; assert 'prefect' not in sys.modules"
        subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
