"""Real processes, real kills: whatever the instant, a rerun ends with the same rows as an undisturbed run."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from curate.store.comparison import differences
from curate.store.reader import Reader

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


def run_to_the_end(folder: Path) -> float:
    began = time.monotonic()
    process = run(folder)
    _, errors = process.communicate(timeout=120)
    assert process.returncode in (0, 7), errors.decode()
    return time.monotonic() - began


def kill_after(folder: Path, seconds: float) -> bool:
    """Kill a run after a while; return whether it was still at work."""
    process = run(folder)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    return False


def killed_and_rerun(folder: Path, undisturbed: Path, seconds: float, kills: int, seed: int) -> int:
    """Kill runs at random moments of the rest, then let one finish; compare; return how many kills met work."""
    chance = random.Random(seed)
    met = sum(kill_after(folder, chance.uniform(0.3, seconds)) for _ in range(kills))
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
    seconds = run_to_the_end(original)
    met = sum(killed_and_rerun(folder, original, seconds, kills, seed) for seed, folder in enumerate(copies))
    assert met >= repetitions, "the kills came too late to meet a run at work"


def test_killed_runs_end_with_the_same_rows(make_project: Callable[..., Path], fake_model_address: str) -> None:
    check_kills(make_project, fake_model_address, repetitions=2, kills=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_killed_runs_end_with_the_same_rows(make_project: Callable[..., Path], fake_model_address: str) -> None:
    """One kill and one rerun, twenty times over, each from the beginning; and one run killed twenty times in a row."""
    check_kills(make_project, fake_model_address, repetitions=20, kills=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_run_killed_twenty_times_over(make_project: Callable[..., Path], fake_model_address: str) -> None:
    check_kills(make_project, fake_model_address, repetitions=1, kills=20)
