import json
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks
from benchmarks.__main__ import main, names, purpose
from benchmarks.harness.circumstances import commit
from benchmarks.harness.corpora import LONGEST, SHORTEST, corpus

ROOT = Path(benchmarks.__file__).resolve().parents[1]


def test_the_list_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert "alignment" in names()
    assert all(name in listed and purpose(name) in listed for name in names())


@pytest.mark.parametrize("name", names())
def test_every_benchmark_is_a_command(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--quick" in done.stdout
    assert purpose(name)


@pytest.mark.parametrize("peer", ["datasketch", "zip_fit"])
def test_a_peer_can_be_imported_with_what_the_extra_declares(peer: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {peer}"], check=True)


def test_recorded_results_name_their_circumstances() -> None:
    for file in (ROOT / "benchmarks" / "results").glob("*.json"):
        record = json.loads(file.read_text())
        assert {"bars", "versions", "seeds", "machine", "commit", "date"} <= record.keys()
        assert "/" not in json.dumps(record["machine"])


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_commit_with_changed_files_is_dirty(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert commit(tmp_path) == "unknown"
    (tmp_path / "code.py").write_text("x = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    assert commit(tmp_path) == head
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "benchmarks" / "results" / "new.json").write_text("{}")
    assert commit(tmp_path) == head
    (tmp_path / "code.py").write_text("x = 2\n")
    assert commit(tmp_path) == f"{head}-dirty"


def test_the_corpus_is_real_mixed_and_repeatable() -> None:
    pool = corpus(40, 5)
    assert pool == corpus(40, 5)
    assert pool.texts != corpus(40, 5, seed=1).texts
    assert {kind: pool.kinds.count(kind) for kind in pool.kinds} == {"python": 10, "c": 10, "json": 10, "prose": 10}
    assert all(SHORTEST <= len(text) <= LONGEST for text in pool.texts)
    assert all("def " in target and '"""' in target for target in pool.targets)
    assert not set(pool.targets) & set(pool.texts)
