"""What the tests of the command line share: calling it in a process of its own, and a small project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curate.templates import template_files

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def command():
    """Return the arguments and environment that start the command in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CURATE_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])

    def options(*arguments: object) -> dict[str, Any]:
        return {"args": [sys.executable, "-m", "curate", *map(str, arguments)], "env": environment, "text": True}

    return options


@pytest.fixture
def spawn(command, result):
    """Call the command in a process of its own and wait for it."""

    def run(*arguments: object, **more: Any) -> Any:
        ended = subprocess.run(**command(*arguments), **more, capture_output=True, check=False, timeout=60)
        return result(ended.returncode, ended.stdout, ended.stderr)

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
