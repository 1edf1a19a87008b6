"""What the tests of the house itself look at: the files of the tree and what `pyproject.toml` says."""

import ast
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOMS = ("annotate", "flows", "learners", "select", "store")


@pytest.fixture(scope="session")
def rooms() -> tuple[str, ...]:
    """The folders beside curate/ that are imported from inside it."""
    return ROOMS


@pytest.fixture(scope="session")
def project(repository: Path) -> dict[str, Any]:
    """The content of `pyproject.toml`."""
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def files(repository: Path) -> tuple[Path, ...]:
    """Every file that is tracked or would be, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    return tuple(sorted(Path(name) for name in listing.split("\0") if name and (repository / name).is_file()))


@pytest.fixture(scope="session")
def shipped(files: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files of curate/ and of the rooms: what a wheel holds."""
    return tuple(path for path in files if path.parts[0] in {"curate", *ROOMS})


@pytest.fixture(scope="session")
def syntax(repository: Path, files: tuple[Path, ...]) -> dict[Path, ast.Module]:
    """The parsed source of every Python file."""
    return {path: ast.parse((repository / path).read_text(encoding="utf-8")) for path in files if path.suffix == ".py"}


@pytest.fixture(scope="session")
def copy_tree(repository: Path, files: tuple[Path, ...]) -> Callable[[Path], Path]:
    """Copies the tree into a new folder, for a test to spoil or to build in."""

    def copy(root: Path) -> Path:
        for path in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / path, root / path)
        return root

    return copy
