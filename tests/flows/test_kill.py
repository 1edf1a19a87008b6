"""Real processes, real kills: whatever the instant, a rerun ends with the same rows as an undisturbed run."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from curate.store.comparison import differences
from curate.store.manifest import read_manifest
from curate.store.reader import Reader

LOOK = 0.005  # seconds between two looks at the last commit
FAKE_MODEL = Path(__file__).parents[1] / "support" / "fake_language_model.py"
LLM = """
[[annotator]]
name = "model"
kind = "llm"
attributes = ["kind"]
address = "{address}"
model = "fake-fixed-function"
sample = 24
concurrency = 2
"""


@pytest.fixture(scope="module")
def fake_model_address() -> Iterator[str]:
    """The address of a fake language model whose answers are a fixed function of the question."""
    process = subprocess.Popen([sys.executable, str(FAKE_MODEL), "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.kill()
    process.wait()


def run(folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "curate", "--quiet", "run"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
        start_new_session=True,
    )


def goes_on(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Wait so long at most; return whether the process is still alive then."""
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def last_commit(folder: Path) -> int:
    return read_manifest(folder / "curate-store").commit_number


def run_to_the_end(folder: Path) -> list[float]:
    """Let a run finish; return the seconds before its first commit, between all others, and after its last."""
    process = run(folder)
    times = [time.monotonic()]
    alive = True
    while alive:
        alive = goes_on(process, LOOK)
        times += [time.monotonic()] * (last_commit(folder) - len(times) + 1)
    assert process.returncode in (0, 7), process.communicate()[1].decode()
    return [after - before for before, after in pairwise([*times, time.monotonic()])]


def kill_after(folder: Path, commit: int, seconds: float) -> bool:
    """Kill a run so many seconds after a commit is there; return whether it was still alive."""
    process = run(folder)
    while goes_on(process, LOOK) and last_commit(folder) < commit:
        pass
    if goes_on(process, seconds):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    return False


def killed_and_rerun(folder: Path, undisturbed: Path, pauses: list[float], kills: int, seed: int) -> int:
    """Kill runs at random moments of what is left, then let one finish; compare; return how many kills met a run.

    A moment is a commit and a part of the pause that followed it in the undisturbed run: so long and short phases are
    met, the first and the last too, on a machine that is faster now or slower. A kill comes no further ahead than twice
    its share of what is left, so that many kills are spread over the whole run.
    """
    chance = random.Random(seed)
    met = 0
    for remaining in range(kills, 0, -1):
        done = last_commit(folder)
        left = len(pauses) - done
        ahead, part = divmod(chance.uniform(0.0, min(left, 2 * left / remaining)), 1.0)
        commit = min(done + int(ahead), len(pauses) - 1)
        start = pauses[0] if commit == done > 0 else 0.0
        met += kill_after(folder, commit, part * (start + pauses[commit]))
    run_to_the_end(folder)
    with Reader(undisturbed / "curate-store") as first, Reader(folder / "curate-store") as second:
        assert differences(first, second) == []
    return met


def copy_project(folder: Path, name: str) -> Path:
    """Copy a project's input with its times, which are part of what the store remembers."""
    target = folder.parent / name
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("curate-store", "exports", "report.html", "cache"))
    return target


def check_kills(make_project: Callable[..., Path], address: str, repetitions: int, kills: int) -> None:
    original = make_project("undisturbed", LLM.format(address=address))
    copies = [copy_project(original, f"killed-{n}") for n in range(repetitions)]
    pauses = run_to_the_end(original)
    met = [killed_and_rerun(folder, original, pauses, kills, seed) for seed, folder in enumerate(copies)]
    assert sum(met) >= repetitions * kills / 2, "the kills came too late to meet a run at work"


@pytest.mark.timeout(300)
def test_killed_runs_end_with_the_same_rows(make_project: Callable[..., Path], fake_model_address: str) -> None:
    check_kills(make_project, fake_model_address, repetitions=1, kills=3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_killed_runs_end_with_the_same_rows(make_project: Callable[..., Path], fake_model_address: str) -> None:
    """One kill and one rerun, twenty times over, each from the beginning; and one run killed twenty times in a row."""
    check_kills(make_project, fake_model_address, repetitions=20, kills=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_run_killed_twenty_times_over(make_project: Callable[..., Path], fake_model_address: str) -> None:
    check_kills(make_project, fake_model_address, repetitions=1, kills=20)
