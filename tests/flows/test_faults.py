"""Faults met by the real command line: killed in each phase, kept from writing by a process that hangs, robbed."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from curate.flows.project import Project
from curate.flows.steps import ingest, step_named
from curate.settings import load_settings
from curate.store.comparison import differences
from curate.store.manifest import PUBLISHED_FOLDER, read_manifest
from curate.store.reader import Reader
from curate.types import SilentProgress

STORE = "curate-store"
CURATE = ("-m", "curate", "--quiet")
SETTINGS = """
lease_timeout = 0.0

[[source]]
name = "texts"
path = "texts.jsonl"
"""
AT = """
    import importlib, os, signal, sys

    module, _, path = sys.argv[1].partition(":")
    owner = importlib.import_module(module)
    *owners, name = path.split(".")
    for step in owners:
        owner = getattr(owner, step)
    real, left, sent = getattr(owner, name), int(sys.argv[2]), int(sys.argv[3])

    def fatal(*arguments, **options):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), sent)
        return real(*arguments, **options)

    setattr(owner, name, fatal)
    from curate.flows.steps import ingest
    ingest.BATCH_ROWS, ingest.PART_ROWS = 40, 20
    from curate.cli import main
    main(["--quiet", sys.argv[4]])
"""


def curate(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=100)


@pytest.fixture(autouse=True, scope="module")
def _small_batches() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "BATCH_ROWS", 40)
        patch.setattr(ingest, "PART_ROWS", 20)
        yield


def walk(folder: Path, *steps: str) -> None:
    """Ingest and look for duplicates in this process, until there is nothing left to do."""
    for name in steps or ("ingest", "dedup"):
        project = Project(folder, load_settings(folder / "curate.toml", {}), command="test")
        assert not step_named(name).run(project, SilentProgress()).failed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 100 texts, every tenth a near-duplicate, and the store of an undisturbed walk."""
    folder = tmp_path_factory.mktemp("undisturbed")
    noise = random.Random(0)
    words = ["".join(noise.choices("abcdefghij", k=6)) for _ in range(500)]
    texts = [" ".join(noise.choices(words, k=40)) for _ in range(100)]
    texts[9::10] = [f"{text} {text[:6]}" for text in texts[0::10]]
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (folder / "curate.toml").write_text(SETTINGS)
    walk(folder)
    return folder


@pytest.fixture
def project(undisturbed: Path, tmp_path: Path) -> Path:
    """The same project without a store; the input keeps its time, which is part of what the store remembers."""
    for name in ("texts.jsonl", "curate.toml"):
        (tmp_path / name).write_bytes((undisturbed / name).read_bytes())
        status = (undisturbed / name).stat()
        os.utime(tmp_path / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    return tmp_path


def check(folder: Path, undisturbed: Path) -> None:
    with Reader(folder / STORE) as one, Reader(undisturbed / STORE) as other:
        assert differences(one, other) == []


@pytest.mark.parametrize(
    ("verb", "place", "calls", "commits"),
    [
        pytest.param("ingest", "curate.store.ingestion.batches:parsed", 4, (0, 1), id="reading"),
        pytest.param("dedup", "curate.flows.steps.dedup:Outcome", 1, (3, 3), id="computing"),
        pytest.param("ingest", "curate.store.write:_Transaction._add_commit", 2, (1, 1), id="inside the transaction"),
        pytest.param("ingest", "curate.store.publish:swap_manifest", 2, (1, 1), id="between commit and publishing"),
    ],
)
def test_killed_in_each_phase(
    project: Path, undisturbed: Path, verb: str, place: str, calls: int, commits: tuple[int, int]
) -> None:
    if verb == "dedup":
        walk(project, "ingest")
    killed = curate(project, "-c", dedent(AT), place, str(calls), str(int(signal.SIGKILL)), verb)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    low, high = commits
    assert low <= read_manifest(project / STORE).commit_number <= high
    walk(project)  # nobody waits for the lease of a process that is dead
    check(project, undisturbed)


def test_a_holder_that_hangs_is_named_and_exit_code_5_says_so(project: Path, undisturbed: Path) -> None:
    place = "curate.store.write:_Transaction._add_commit"
    hanging = [sys.executable, "-c", dedent(AT), place, "2", str(int(signal.SIGSTOP)), "ingest"]
    with subprocess.Popen(hanging, cwd=project) as holder:
        try:
            os.waitpid(holder.pid, os.WUNTRACED)
            refused = curate(project, *CURATE, "ingest")
            assert refused.returncode == 5
            assert f"is held by process {holder.pid} on " in refused.stderr
            assert "Traceback" not in refused.stderr
            asked = curate(project, *CURATE, "sql", "SELECT count(*) AS n FROM items", "--json")
            assert (asked.returncode, json.loads(asked.stdout)) == (0, {"n": 40})
        finally:
            holder.send_signal(signal.SIGCONT)
    assert holder.returncode == 0
    walk(project)
    check(project, undisturbed)


def test_a_published_segment_is_missing(project: Path, undisturbed: Path) -> None:
    walk(project)
    published = project / STORE / PUBLISHED_FOLDER
    lost = sorted(published.glob("items-*.parquet"))[1]
    lost.unlink()
    asked = curate(project, *CURATE, "sql", "SELECT count(*) FROM items")
    examined = curate(project, *CURATE, "doctor")
    assert (asked.returncode, examined.returncode) == (4, 4)
    for said in (asked.stderr, examined.stdout):
        assert lost.name in said
        assert f"delete {PUBLISHED_FOLDER}/ inside the store; the next writing command publishes it anew" in said
    for path in published.iterdir():
        path.unlink()
    published.rmdir()
    walk(project, "ingest")
    check(project, undisturbed)
