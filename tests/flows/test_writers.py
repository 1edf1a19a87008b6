"""Two writers at once: the second waits, or stops and says who holds the store; readers answer meanwhile."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.store.comparison import differences
from curate.store.reader import Reader

HOLD = """
import sys, time
from pathlib import Path
from curate.store.lease import hold_lease
with hold_lease(Path(sys.argv[1]), timeout=1, command="the holder of this test"):
    print("held", flush=True)
    sys.stdin.read()
"""


def curate(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "curate", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **variables},
        check=False,
    )


@contextmanager
def held(store: Path) -> Iterator["subprocess.Popen[str]"]:
    """Let another process hold the store's lease for the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "held"
    yield process
    process.communicate("")


def test_a_writer_stops_with_exit_code_5_and_names_the_holder(walked: Path) -> None:
    folder = walked
    (folder / "inbox" / "notes" / "new.txt").write_text("a new note", encoding="utf-8")
    with held(folder / "curate-store") as holder:
        stopped = curate(folder, "run", CURATE_LEASE_TIMEOUT="0.5")
        status = curate(folder, "status", "--json")
    assert stopped.returncode == 5
    assert str(holder.pid) in stopped.stderr
    assert "the holder of this test" in stopped.stderr
    assert status.returncode == 0
    assert json.loads(status.stdout)
    assert curate(folder, "ingest").returncode == 0


def test_two_runs_at_once_do_everything_once(walked: Path) -> None:
    written = shutil.ignore_patterns("curate-store", "exports", "report.html")
    shared = Path(shutil.copytree(walked, walked.parent / "shared", ignore=written))
    command = [sys.executable, "-m", "curate", "--quiet", "run"]
    runs = [subprocess.Popen(command, cwd=shared, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in runs]
    assert all(process.returncode in (0, 7) for process in runs), errors
    with Reader(walked / "curate-store") as one, Reader(shared / "curate-store") as other:
        found = differences(one, other, commits=False)
    # Who took which turn shows in the commits and in what a cursor or a snapshot says of them, and nowhere else.
    assert not [line for line in found if not line.startswith(("commits", "cursors", "snapshots"))]
