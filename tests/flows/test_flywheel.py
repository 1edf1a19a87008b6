"""The real flow through Prefect's own test harness: a temporary server, one session for all tests of this file."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
import yaml

from curate.annotate.llm.client import Client
from curate.errors import ConfigurationError, PartlyDoneError, StoreError
from curate.flows.steps import STEPS
from curate.settings import ScheduleSettings, Settings
from curate.store.reader import Reader
from curate.types import SilentProgress

UNREACHABLE = """
[[annotator]]
name = "nobody"
kind = "llm"
attributes = ["kind"]
address = "http://127.0.0.1:9/v1"
model = "nobody"
sample = 2
timeout = 0.2
"""


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give Prefect a home of its own and a server that has time to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        patch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
        patch.setenv("PREFECT_LOGGING_LEVEL", "ERROR")
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        patch.setenv("PREFECT_SERVER_UI_ENABLED", "false")
        patch.setenv("PREFECT_API_BLOCKS_REGISTER_ON_START", "false")
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=120):
            yield


@pytest.mark.timeout(300)
def test_the_flow_walks_the_same_steps(
    prefect_server: None, make_project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.artifacts import Artifact

    from curate.flows.flywheel import flywheel

    folder = make_project(more_settings='[lineage]\nfile = "lineage.jsonl"\n')
    flywheel(str(folder / "curate.toml"))
    with Reader(folder / "curate-store") as reader:
        steps = reader.query("SELECT DISTINCT step FROM commits ORDER BY step")["step"].to_pylist()
    written = ["align", "annotate", "compare", "consensus", "dedup", "ingest", "learn", "snapshot"]
    assert steps == written
    assert (folder / "report.html").exists()
    artifact = Artifact.get("flywheel")
    assert artifact is not None
    assert "ingest" in str(artifact.data)
    events = [json.loads(line) for line in (folder / "lineage.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * len(STEPS)
    assert len({event["run"]["runId"] for event in events}) == len(STEPS)
    assert len({event["run"]["facets"]["parent"]["run"]["runId"] for event in events}) == 1
    with (folder / "curate.toml").open("a", encoding="utf-8") as settings:
        settings.write(UNREACHABLE)
    monkeypatch.setattr(Client, "_wait", lambda *fake_wait: None)
    with pytest.raises(PartlyDoneError, match="2 items failed"):
        flywheel(str(folder / "curate.toml"))


def test_the_work_pool_file_names_a_flow_that_is_there() -> None:
    root = Path(__file__).parents[2]
    [deployment] = yaml.safe_load((root / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    file, _, name = deployment["entrypoint"].partition(":")
    assert f"def {name}(" in (root / file).read_text(encoding="utf-8")


def test_a_schedule_that_is_none_is_refused(tmp_path: Path) -> None:
    from curate.flows.deployment import serve

    settings = Settings(schedule=ScheduleSettings(cron="every now and then"))
    with pytest.raises(ConfigurationError, match="cron"):
        serve(tmp_path / "curate.toml", settings, tmp_path, SilentProgress())


def test_a_watch_that_breaks_ends_what_it_runs_beside(tmp_path: Path) -> None:
    from curate.flows.watcher import watcher

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    def wait_beside_a_watcher() -> None:
        with watcher(tmp_path / "curate.toml", Settings(), "flywheel/test", SilentProgress()):
            assert Event().wait(60), "nothing ended the block"

    (tmp_path / "curate.toml").write_text('[[source]]\nname = "s"\ncommand = ["echo", "a"]\nformat = "text"\n')
    (tmp_path / "curate-store").mkdir()
    (tmp_path / "curate-store" / "ledger.duckdb").write_bytes(b"no database")
    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(StoreError):
            wait_beside_a_watcher()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_run_that_goes_on_ends_with_what_serves_it() -> None:
    from curate.flows.deployment import runs_ended

    def serve_a_run() -> None:
        with runs_ended():
            run.start()
            raise KeyboardInterrupt

    run = multiprocessing.get_context("spawn").Process(target=signal.pause)
    with pytest.raises(KeyboardInterrupt):
        serve_a_run()
    assert run.exitcode == -signal.SIGTERM


def test_the_loop_is_ordered_one_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.flows.watcher import ServedLoop

    ordered: list[str] = []
    ended = False

    def fake_run_deployment(name: str, **_: object) -> SimpleNamespace:
        if not ordered:
            ordered.append("")
            raise ConnectionError("no server yet")
        ordered.append(name)
        return SimpleNamespace(id=len(ordered))

    notes: list[str] = []
    progress = SilentProgress()
    monkeypatch.setattr(progress, "note", notes.append)
    monkeypatch.setattr("prefect.deployments.run_deployment", fake_run_deployment)
    monkeypatch.setattr(ServedLoop, "_has_ended", lambda _: ended)
    start = ServedLoop("flywheel/test", progress)
    assert [start() for _ in range(3)] == [False, True, False]
    ended = True
    assert start()
    assert ordered == ["", "flywheel/test", "flywheel/test"]
    assert notes[0].endswith("ConnectionError: no server yet")
    assert len(notes) == 3


def test_the_sequence_never_imports_prefect(make_project: Callable[..., Path]) -> None:
    program = (
        "import sys; from curate.cli import main\n"
        "try: main(['--quiet', 'run'])\n"
        "except SystemExit: pass\n"
        "assert 'curate.flows.sequence' in sys.modules\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'prefect']"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=make_project(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Serve a project in a process of its own, and interrupt it at the end as Ctrl-C does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "curate", "serve", *arguments],
        cwd=folder,
        env={**os.environ, "PREFECT_HOME": str(folder / "prefect")},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=180)
    assert process.returncode in (0, 130)


def wait_until(reached: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Look again and again, for as long as the process lives."""
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_serve_runs_the_flow_on_its_schedule_and_leaves_no_server(make_project: Callable[..., Path]) -> None:
    folder = make_project()
    with serving(folder, "--cron", "* * * * *") as process:
        wait_until((folder / "report.html").exists, process)
    assert not [p for p in Path("/proc").glob("[0-9]*/environ") if str(folder / "prefect").encode() in _read(p)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_serve_starts_the_loop_when_enough_has_come_in(make_project: Callable[..., Path]) -> None:
    watch = "[watch]\nevery = 0.5\nitems = 3\nafter = 100000.0\n"
    folder = make_project(more_settings=watch + '[[source]]\nname = "dropped"\npath = "dropped"\n')
    with serving(folder, "--watch", "--cron", "") as process:
        assert process.stderr is not None
        assert any("the loop was started" in line for line in process.stderr)
        (folder / "dropped").mkdir()
        for name in "abc":
            (folder / "dropped" / f"{name}.txt").write_text(f"a note that was dropped, {name}")
        assert any("the loop was started" in line for line in process.stderr)
        wait_until(lambda: "dropped" in _snapshot_sources(folder), process)
    with Reader(folder / "curate-store") as reader:
        commands = reader.query("SELECT DISTINCT command FROM commits JOIN runs USING (run_id) WHERE step = 'ingest'")
    assert commands["command"].to_pylist() == ["curate serve --watch"]


def _snapshot_sources(folder: Path) -> list[str]:
    question = "SELECT DISTINCT source FROM ledger JOIN origins USING (item_id) WHERE step = 'annotate'"
    with Reader(folder / "curate-store") as reader:
        return [str(source) for source in reader.query(question)["source"].to_pylist()]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
