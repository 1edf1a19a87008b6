"""Stores to take care of: one as an older version left it, and one with something in every table."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from textwrap import dedent
from typing import Any

import duckdb
import pytest

from curate.store.care.integrity import check_integrity
from curate.store.comparison import differences
from curate.store.database import LEDGER_FILE
from curate.store.manifest import MANIFEST_FILE, PUBLISHED_FOLDER
from curate.store.reader import Reader
from curate.store.store import Store

REPOSITORY = Path(__file__).parents[3]
WORKER = REPOSITORY / "tests" / "support" / "worker.py"
BATCHES = 12
Process = subprocess.Popen[str]
FIXTURES = Path(__file__).parents[1] / "fixtures"
ALWAYS = {"first_tables", "first_version", "codes", "restatements"}
LEARNER_STATE = b"the state of a learner"
LEARNER_STATE_NAME = "b8ee6fba5e963c7fda2d36ad4ec20796cad91143630bd92fd05ecdbd50ad0c79"


def write_old_store(script: Path, folder: Path) -> None:
    """Build what an older version left: the ledger from its frozen SQL, one segment a table, and the manifest."""
    published = folder / PUBLISHED_FOLDER
    published.mkdir(parents=True)
    with duckdb.connect(str(folder / LEDGER_FILE), config={"storage_compatibility_version": "v1.2.0"}) as connection:
        connection.execute(script.read_text(encoding="utf-8"))
        tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        segments = {}
        for name in sorted({*tables} - {"migrations"}):
            file = f"{name}-000000001-000000003.parquet"
            connection.execute(f"COPY \"{name}\" TO '{published / file}'")
            [(rows,)] = connection.execute(f'SELECT count(*) FROM "{name}"').fetchall()
            segments[name] = [[file, rows, 0]]
    head = {"format": 1, "commit_number": 3, "committed_at": "2026-11-23T01:02:03+00:00", "step": "learn"}
    figures = {"items:text": 2, "items:image": 1, "items:events": 1}
    manifest = {**head, "figures": figures, "tables": segments, "retired": []}
    (published / MANIFEST_FILE).write_text(json.dumps(manifest), encoding="utf-8")
    checkpoint = folder / "checkpoints" / f"{LEARNER_STATE_NAME}.safetensors"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(LEARNER_STATE)


def _old_stores() -> Iterator[Any]:
    """The frozen stores; those between the first and the two newest are slow, and their migrations part of others'."""
    for path in sorted(FIXTURES.glob("*.sql")):
        yield pytest.param(path, id=path.stem, marks=() if path.stem in ALWAYS else pytest.mark.slow)


@pytest.fixture(params=_old_stores())
def old_store(request: pytest.FixtureRequest, folder: Path) -> Path:
    """The folder of a store that some older version left, each of them in turn."""
    write_old_store(request.param, folder)
    return folder


@pytest.fixture(scope="session")
def full_store_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full") / "store"
    write_old_store(FIXTURES / "first_version.sql", folder)
    Store.open(folder, create=True)
    return folder


@pytest.fixture
def full_store(folder: Path, full_store_once: Path) -> Path:
    """The folder of a small store with rows in every table of the first version, brought up to date."""
    shutil.copytree(full_store_once, folder)
    return folder


@pytest.fixture
def damage() -> Callable[[Path], None]:
    """Return a function that overwrites what follows a file's head, as a failing disk may."""

    def overwrite(path: Path) -> None:
        content = path.read_bytes()
        head = min(3 * 4_096, len(content) // 2)
        path.write_bytes(content[:head] + b"\xff" * (len(content) - head))

    return overwrite


class Worker:
    """Commits the batches that a store lacks; `before` is code that does harm, in a process of its own."""

    def __init__(self) -> None:
        specification = spec_from_file_location("worker", WORKER)
        assert specification is not None
        assert specification.loader is not None
        self._module = module_from_spec(specification)
        specification.loader.exec_module(self._module)

    @staticmethod
    def start(folder: Path, before: str = "", count: int = BATCHES, python: Path | str = sys.executable) -> Process:
        """Start a process; it says what it commits."""
        command = [str(python), str(WORKER), str(folder), str(count), dedent(before)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    def __call__(self, folder: Path, before: str = "", count: int = BATCHES, python: Path | str = "") -> list[str]:
        """Work to the end, and return what was said; what does no harm and needs no other Python is done here."""
        if not before and not python:
            return list(self._module.work(folder, count))
        output, _ = self.start(folder, before, count, python or sys.executable).communicate(timeout=100)
        return output.splitlines()


@pytest.fixture(scope="session")
def work() -> Worker:
    return Worker()


@pytest.fixture(scope="session")
def half_once(tmp_path_factory: pytest.TempPathFactory, work: Worker) -> Path:
    folder = tmp_path_factory.mktemp("half") / "store"
    assert work(folder, count=BATCHES // 2)[-1] == "finished"
    return folder


@pytest.fixture
def half(folder: Path, half_once: Path) -> Path:
    """The folder of a store with half of the batches."""
    return Path(shutil.copytree(half_once, folder))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, work: Worker) -> Path:
    """The store that an undisturbed process leaves."""
    folder = tmp_path_factory.mktemp("undisturbed") / "store"
    assert work.start(folder).communicate()[0].split()[-1] == "finished"
    return folder


@pytest.fixture
def check(undisturbed: Path) -> Callable[[Path], None]:
    """A store's rows are those of an undisturbed run, in the ledger as well as in what is published."""

    def compare(folder: Path) -> None:
        with Reader(folder) as one, Reader(undisturbed) as other:
            assert differences(one, other) == []
        # The items of these tests are named by hand and not by their content.
        broken = [found for found in check_integrity(folder, sample=None) if not found.sound and found.what != "items"]
        assert broken == []

    return compare


@pytest.fixture(scope="session")
def dying() -> Callable[..., str]:
    """Code with which a process kills (or stops) itself at a call of a function, the first or a later one."""

    def code(place: str, calls: int = 1, name: str = "SIGKILL") -> str:
        return dedent(f"""
            import importlib
            module, _, path = {place!r}.partition(":")
            owner = importlib.import_module(module)
            *owners, attribute = path.split(".")
            for step in owners:
                owner = getattr(owner, step)
            real, left = getattr(owner, attribute), [{calls}]

            def fatal(*arguments, **options):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.{name})
                return real(*arguments, **options)

            setattr(owner, attribute, fatal)
        """)

    return code
