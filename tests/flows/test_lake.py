"""The walk over a lake: the same rows as over an embedded store, by one process or by four at once, killed or not."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from curate.flows.project import Project
from curate.flows.sequence import run_sequence
from curate.flows.steps import STEPS
from curate.settings import load_settings
from curate.store.address import LakeAddress
from curate.store.comparison import differences
from curate.store.reader import Reader
from curate.types import SilentProgress

Make = Callable[..., Path]
Lakes = Callable[..., LakeAddress]
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
BATCHES = """
    import os, signal, sys
    from contextlib import nullcontext
    from functools import partial
    from pathlib import Path
    from curate.flows.project import Project
    from curate.flows.steps import STEPS, annotate, base, ingest
    from curate.settings import load_settings
    from curate.store import write
    from curate.store.lake.turns import Turns
    from curate.types import SilentProgress

    ingest.BATCH_ROWS = ingest.PART_ROWS = 8
    annotate.ItemWork = partial(base.ItemWork, rows=8)
    project = Project(Path(sys.argv[1]), load_settings(Path(sys.argv[1]) / "curate.toml"), "test")
    steps = [step for step in STEPS if step.name in ("ingest", "annotate")]
"""
AT_ONCE = (
    BATCHES
    + """
    if sys.argv[2] == "fences alone":
        Turns.take = lambda self: nullcontext()
    project.store
    print("ready", flush=True)
    sys.stdin.readline()
    for step in steps:
        step.run(project, SilentProgress())
"""
)
KILLED = (
    BATCHES
    + """
    places = {"in the transaction": (write._Transaction, "_add_commit"), "after it": (Turns, "_released")}
    owner, name = places[sys.argv[2]]
    inner, calls = getattr(owner, name), []

    def killing(*arguments):
        calls.append(name)
        if len(calls) == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(*arguments)

    setattr(owner, name, killing)
    for step in steps:
        step.run(project, SilentProgress())
"""
)


@pytest.fixture
def small_project(tmp_path: Path) -> Path:
    """A project of forty texts in five files."""
    folder = tmp_path / "project"
    (folder / "inbox").mkdir(parents=True)
    for file in range(5):
        texts = [("the wind blows" if n % 2 else "a wave comes") + f", said number {n}" for n in range(file, 40, 5)]
        lines = [json.dumps({"text": text, "place": "coast" if len(text) % 3 else "hill"}) for text in texts]
        (folder / "inbox" / f"{file}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "curate.toml").write_text(SMALL, encoding="utf-8")
    return folder


def start(script: str, folder: Path, lake: LakeAddress | None, *arguments: object) -> "subprocess.Popen[str]":
    """Start Python on a script in a project, with its store on a lake or in its folder."""
    environment = {**os.environ, **({"CURATE_STORE": str(lake)} if lake else {})}
    command = [sys.executable, "-c", dedent(script), str(folder), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finish(child: "subprocess.Popen[str]") -> int:
    child.communicate(timeout=100)
    return child.returncode


def undisturbed(folder: Path) -> Path:
    """The embedded store that one process fills from the project, in the same small batches."""
    child = start(AT_ONCE, folder, None, "alone")
    child.communicate("go\n", timeout=100)
    assert child.returncode == 0
    return folder / "curate-store"


def unlike(one: Path, other: LakeAddress, *, commits: bool) -> list[str]:
    with Reader(one) as first, Reader(other) as second:
        return differences(first, second, commits=commits)


@pytest.mark.parametrize("guard", ["turns and fences", "fences alone"])
def test_four_processes_at_once_lose_nothing_and_do_nothing_twice(
    small_project: Path, make_lake: Lakes, guard: str
) -> None:
    lake = make_lake()
    children = [start(AT_ONCE, small_project, lake, guard) for _ in range(4)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [finish(child) for child in children] == [0] * 4
    found = unlike(undisturbed(small_project), lake, commits=False)
    # Who took which turn shows in the commits and in where a cursor stands, and nowhere else.
    assert not [line for line in found if not line.startswith(("commits", "cursors"))]
    with Reader(lake) as reader:
        numbers = reader.query("SELECT commit_number FROM commits ORDER BY 1")["commit_number"].to_pylist()
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) == 10


@pytest.mark.parametrize("place", ["in the transaction", "after it"])
@pytest.mark.parametrize("batch", [2, 8])
def test_a_killed_writer_leaves_what_it_had_committed(
    small_project: Path, make_lake: Lakes, place: str, batch: int
) -> None:
    lake = make_lake()
    killed = start(KILLED, small_project, lake, place, batch)
    assert finish(killed) == -signal.SIGKILL
    done = batch - (place == "in the transaction")
    with Reader(lake) as reader:
        assert reader.commit_number == done
        assert reader.manifest.rows("commits") == done
    again = start(KILLED, small_project, lake, place, 10_000)
    assert finish(again) == 0
    assert unlike(undisturbed(small_project), lake, commits=True) == []


def curate(folder: Path, lake: LakeAddress, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "curate", *arguments],
        cwd=folder,
        env={**os.environ, "CURATE_STORE": str(lake)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_whole_walk_gives_the_same_rows(make_project: Make, make_lake: Lakes, postgres: Any) -> None:
    embedded = make_project("embedded")
    folder = Path(shutil.copytree(embedded, embedded.parent / "beside"))
    lake = make_lake()
    for project_folder, overrides in ((embedded, {}), (folder, {"store": str(lake)})):
        project = Project(project_folder, load_settings(project_folder / "curate.toml", overrides), "test")
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


def test_the_looking_verbs_answer_over_a_lake(small_project: Path, make_lake: Lakes) -> None:
    lake = make_lake()
    assert curate(small_project, lake, "ingest").returncode == 0
    assert curate(small_project, lake, "annotate").returncode == 0
    status = json.loads(curate(small_project, lake, "status", "--json").stdout)
    assert status["store"] == str(lake)
    assert status["tables"]["items"] == status["figures"]["items:text"] == 40
    assert status["holder"] is None
    counts = curate(
        small_project, lake, "sql", "SELECT value, count(*) AS n FROM annotations GROUP BY ALL ORDER BY ALL"
    )
    assert counts.stdout.splitlines() == ["value,n", "coast,26", "hill,14", "sea,20", "weather,20"]
    item = curate(small_project, lake, "sql", "SELECT item_id FROM items LIMIT 1").stdout.split()[1]
    why = json.loads(curate(small_project, lake, "why", item, "--json").stdout)
    assert why["item"]["item_id"] == item
    doctor = curate(small_project, lake, "doctor", "--json")
    assert doctor.returncode == 0, doctor.stdout
