"""A store passes between DuckDB 1.5 and 2.0, in either direction, after a clean end and after a kill."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.store.database import LEDGER_FILE
from curate.store.reader import Reader

Check = Callable[[Path], None]
ENVIRONMENTS = {"1.5": ".venv", "2.0": ".venv-duckdb2"}
TAKE_CARE = """
from pathlib import Path
from curate.store.care import backup, garbage
from curate.store.database import rewrite_ledger
from curate.store.store import Store
store = Store.open(Path(sys.argv[1]), create=True)
garbage.collect_garbage(store)
rewrite_ledger(store.folder, timeout=0.0)
backup.back_up(store, Path(sys.argv[1]).with_name("saved"))
"""


def python_with(repository: Path, version: str) -> Path:
    """The Python of the environment with this version of DuckDB; both are set up, or the test is skipped."""
    python = repository / ENVIRONMENTS[version] / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{ENVIRONMENTS[version]} is not set up here: make install, make test-duckdb2")
    command = [str(python), "-c", "import duckdb; print(duckdb.__version__)"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.startswith(version.partition(".")[0])
    return python


@pytest.fixture(params=[("1.5", "2.0"), ("2.0", "1.5")], ids=lambda pair: " then ".join(pair))
def pythons(request: pytest.FixtureRequest, repository: Path) -> tuple[Path, Path]:
    one, other = request.param
    return python_with(repository, one), python_with(repository, other)


def test_each_goes_on_where_the_other_stopped(
    folder: Path, pythons: tuple[Path, Path], work: Any, check: Check
) -> None:
    for count, python in zip((4, 8, 12), (pythons[0], pythons[1], pythons[0]), strict=True):
        assert work(folder, count=count, python=python)[-1] == "finished"
    check(folder)


@pytest.mark.parametrize(
    ("place", "told"),
    [("curate.store.publish:_last_commit", ["3"]), ("curate.store.write:_Transaction._add_commit", ["3", "4"])],
    ids=["after the commit", "before the commit"],
)
def test_one_is_killed_and_the_other_reads_its_write_ahead_log(
    folder: Path,
    pythons: tuple[Path, Path],
    work: Any,
    check: Check,
    dying: Callable[..., str],
    place: str,
    told: list[str],
) -> None:
    assert work(folder, count=2, python=pythons[0])[-1] == "finished"
    with work.start(folder, dying(place, 3), python=pythons[0]) as child:
        said = child.communicate()[0].split()
    assert (child.returncode, said) == (-signal.SIGKILL, told)
    assert (folder / f"{LEDGER_FILE}.wal").exists() == (place == "curate.store.publish:_last_commit")
    assert work(folder, python=pythons[1])[0] == "5"
    check(folder)


def test_what_one_rewrote_and_backed_up_serves_the_other(
    folder: Path, pythons: tuple[Path, Path], work: Any, check: Check
) -> None:
    assert work(folder, count=6, python=pythons[0])[-1] == "finished"
    assert work(folder, TAKE_CARE, count=8, python=pythons[0])[-1] == "finished"
    with Reader(folder.with_name("saved")) as reader:
        assert reader.commit_number == 6
    for place in (folder, folder.with_name("saved")):
        assert work(place, python=pythons[1])[-1] == "finished"
        check(place)
