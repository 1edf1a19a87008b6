"""The walk over a lake: the rows of an embedded store, by one process or by several at once, killed or not."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from curate.flows.project import Project
from curate.flows.sequence import run_sequence
from curate.flows.steps import STEPS, annotate, ingest
from curate.flows.steps.base import ItemWork
from curate.settings import load_settings
from curate.store.address import LakeAddress
from curate.store.comparison import differences
from curate.store.reader import Reader
from curate.types import SilentProgress

Lakes = Callable[..., LakeAddress]
Start = Callable[..., "subprocess.Popen[str]"]
SMALL = """
[[source]]
name = "notes"
path = "inbox"
label = "place"
attribute = "place"

[protocol]
name = "notes"
version = "1"

[[protocol.attribute]]
name = "kind"
question = "What is it about?"
values = ["weather", "sea"]

[[annotator]]
name = "patterns"
kind = "rule"
rules = [
  { attribute = "kind", value = "weather", pattern = "wind" },
  { attribute = "kind", value = "sea", pattern = "wave" },
]
"""
ROWS = 8
TEXTS = 16
BATCHES = """
    import multiprocessing, os, signal, sys
    from contextlib import nullcontext
    from pathlib import Path
    from curate.flows.project import Project
    from curate.flows.steps import STEPS, annotate, base, ingest
    from curate.settings import load_settings
    from curate.store import write
    from curate.store.lake.turns import Turns
    from curate.types import SilentProgress

    ingest.BATCH_ROWS = ingest.PART_ROWS = 8
    annotate.ItemWork = lambda *given, **named: base.ItemWork(*given, **{**named, "rows": 8})
    project = Project(Path(sys.argv[1]), load_settings(Path(sys.argv[1]) / "curate.toml"), "test")
    steps = [step for step in STEPS if step.name in ("ingest", "annotate")]
"""
AT_ONCE = (
    BATCHES
    + """
    if sys.argv[2] == "fences alone":
        Turns.take = lambda self: nullcontext()
    context = multiprocessing.get_context("fork")  # of a process that holds no store: Python is loaded once
    count = int(sys.argv[3])
    gate = context.Barrier(count)

    def work():
        project.store
        gate.wait(60)
        for step in steps:
            step.run(project, SilentProgress())

    maker = context.Process(target=lambda: project.store)  # the lake is made in a turn, which "fences alone" takes away
    maker.start()
    maker.join()
    children = [context.Process(target=work) for _ in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print(*(child.exitcode for child in children))
"""
)
KILLED = (
    BATCHES
    + """
    places = {"in the transaction": (write._Transaction, "_add_commit"), "after it": (Turns, "_released")}

    def work(place, kill_at):
        owner, name = places[place]
        inner, calls = getattr(owner, name), []

        def killing(*arguments):
            calls.append(name)
            if len(calls) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return inner(*arguments)

        setattr(owner, name, killing)
        for step in steps:
            step.run(project, SilentProgress())

    for line in sys.stdin:
        place, kill_at = line.rsplit(maxsplit=1)
        child = multiprocessing.get_context("fork").Process(target=work, args=(place, int(kill_at)))
        child.start()
        child.join()
        print(child.exitcode, flush=True)
"""
)
pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def small_project(tmp_path: Path) -> Path:
    """A project of texts in two files, of which each is a batch."""
    folder = tmp_path / "project"
    (folder / "inbox").mkdir(parents=True)
    for file in range(0, TEXTS, ROWS):
        texts = [("the wind" if n % 2 else "a wave") + f" of number {n}" for n in range(file, file + ROWS)]
        lines = [json.dumps({"text": text, "place": "hill" if "wind" in text else "coast"}) for text in texts]
        (folder / "inbox" / f"{file:02d}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "curate.toml").write_text(SMALL, encoding="utf-8")
    return folder


@pytest.fixture
def undisturbed(small_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The embedded store that one process fills from the project in the same small batches."""
    monkeypatch.setattr(ingest, "BATCH_ROWS", ROWS)
    monkeypatch.setattr(ingest, "PART_ROWS", ROWS)
    monkeypatch.setattr(annotate, "ItemWork", lambda *given, **named: ItemWork(*given, **{**named, "rows": ROWS}))
    project = Project(small_project, load_settings(small_project / "curate.toml"), "test")
    for step in STEPS:
        if step.name in ("ingest", "annotate"):
            step.run(project, SilentProgress())
    return small_project / "curate-store"


@pytest.fixture
def start(small_project: Path) -> Iterator[Start]:
    """Start Python on a script in the project, with its store on a lake; who is alive after the test is killed."""
    children: list[subprocess.Popen[str]] = []

    def start(script: str, lake: LakeAddress, *arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", dedent(script), str(small_project), *map(str, arguments)]
        environment = {**os.environ, "CURATE_STORE": str(lake)}
        pipe = subprocess.PIPE
        children.append(subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.communicate()


def unlike(one: Path, other: LakeAddress, *, commits: bool) -> list[str]:
    with Reader(one) as first, Reader(other) as second:
        return differences(first, second, commits=commits)


@pytest.mark.parametrize("guard", ["fences alone", "turns and fences"])
def test_four_processes_at_once_lose_nothing_and_do_nothing_twice(
    undisturbed: Path, make_lake: Lakes, start: Start, guard: str
) -> None:
    lake = make_lake()
    child = start(AT_ONCE, lake, guard, 4)
    assert child.communicate()[0].split() == ["0"] * 4
    found = unlike(undisturbed, lake, commits=False)
    # Who took which turn shows in the commits and in where a cursor stands, and nowhere else.
    assert not [line for line in found if not line.startswith(("commits", "cursors"))]
    with Reader(lake) as reader:
        numbers = reader.query("SELECT commit_number FROM commits ORDER BY 1")["commit_number"].to_pylist()
        assert numbers == list(range(1, 2 * TEXTS // ROWS + 1))


def test_killed_writers_leave_what_they_had_committed(undisturbed: Path, make_lake: Lakes, start: Start) -> None:
    """Two kills while items come in (commits 1 and 2) and two while they are annotated, each going on from the last."""
    lake = make_lake()
    child = start(KILLED, lake)
    assert child.stdin is not None
    assert child.stdout is not None
    kills = [("in the transaction", 2, 1), ("after it", 1, 2), ("in the transaction", 2, 3), ("after it", 1, 4)]
    for place, kill_at, done in kills:
        print(place, kill_at, file=child.stdin, flush=True)
        assert int(child.stdout.readline()) == -signal.SIGKILL
        with Reader(lake) as reader:
            assert reader.commit_number == reader.manifest.rows("commits") == done
    print("after it", 10_000, file=child.stdin, flush=True)
    assert int(child.stdout.readline()) == 0
    assert unlike(undisturbed, lake, commits=True) == []


def test_the_whole_walk_gives_the_same_rows(walked: Path, make_lake: Lakes, postgres: Any) -> None:
    embedded = walked
    written = shutil.ignore_patterns("curate-store", "exports", "report.html")
    folder = Path(shutil.copytree(embedded, embedded.parent / "beside", ignore=written))
    lake = make_lake()
    project = Project(folder, load_settings(folder / "curate.toml", {"store": str(lake)}), "test")
    run_sequence(project, SilentProgress())
    assert unlike(embedded / "curate-store", lake, commits=True) == []
    for name in ("like-target", "digits"):
        one, other = (place / "exports" / name / "manifest.json" for place in (embedded, folder))
        assert json.loads(one.read_text())["content_hash"] == json.loads(other.read_text())["content_hash"]
    project = Project(folder, load_settings(folder / "curate.toml", {"store": str(lake)}), "test")
    assert all(report.idle for report in run_sequence(project, SilentProgress()))
    assert all(step.plan(project, SilentProgress()).to_do == 0 for step in STEPS if step.name in ("ingest", "annotate"))
    assert postgres.password not in postgres.dump(lake.catalog.split()[0].partition("=")[2])
    assert not [
        path for path in folder.rglob("*") if path.is_file() and postgres.password.encode() in path.read_bytes()
    ]
