"""What the tests of the command line share: calling it here or in a process of its own, and a small project."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from curate.cli import main
from curate.templates import template_files

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """How a call ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def call(capsys):
    """Call the command in this process."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        with signals_restored(), pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(int(ended.value.code or 0), captured.out, captured.err)

    return run


@contextmanager
def signals_restored() -> Iterator[None]:
    """Give the signals back to pytest after the command has listened to them."""
    from curate.cli import failure

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    failure._signals_met.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def call_once():
    """Call the command in this process for what several tests share; it must succeed."""

    def run(*arguments: object) -> None:
        with signals_restored(), pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--quiet"])
        assert not ended.value.code

    return run


@pytest.fixture
def command():
    """Return the arguments and environment that start the command in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CURATE_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])

    def options(*arguments: object) -> dict[str, Any]:
        return {"args": [sys.executable, "-m", "curate", *map(str, arguments)], "env": environment, "text": True}

    return options


@pytest.fixture
def spawn(command):
    """Call the command in a process of its own and wait for it."""

    def run(*arguments: object, **more: Any) -> Result:
        ended = subprocess.run(**command(*arguments), **more, capture_output=True, check=False, timeout=60)
        return Result(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """Let no setting of the caller's environment reach a test."""
    for name in [name for name in os.environ if name.startswith("CURATE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A new project as `curate init` writes it; it is the working folder."""
    for name, content in template_files().items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture(scope="session")
def walked_once(tmp_path_factory, call_once):
    """A new project that has been walked once, to be copied."""
    folder = tmp_path_factory.mktemp("walked")
    call_once("init", folder)
    call_once("run", "--project", folder)
    return folder


@pytest.fixture
def walked(walked_once, project):
    """A project of this test's own that has been walked once; it is the working folder."""
    shutil.copytree(walked_once, project, dirs_exist_ok=True)
    return project
