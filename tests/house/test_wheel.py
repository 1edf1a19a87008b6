"""An installed wheel holds everything that a checkout does, and stays out of the standard library's way."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
# Prints where each module that standard input names is found.
FIND = """
import sys
from importlib.util import find_spec
for name in sys.stdin.read().split():
    spec = find_spec(name)
    print(name, spec and (spec.origin or list(spec.submodule_search_locations)[0]))
"""


@pytest.fixture(scope="module")
def wheel(copy_tree: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that this environment's setuptools builds from a copy of the tree."""
    root = copy_tree(tmp_path_factory.mktemp("wheel") / "copy")
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", root / "dist", root]
    subprocess.run(build, check=True)
    (built,) = (root / "dist").glob("curate-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the wheel's content, to be put first on the path."""
    target = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", target, wheel], check=True)
    return target


def run(installed: Path, *arguments: str | Path, folder: Path, given: str = "") -> str:
    """Run Python over the installed wheel, in `folder`, and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def place_in_wheel(path: Path) -> Path:
    """Where a file of the checkout lies in a wheel."""
    return path if path.parts[0] == "curate" else Path("curate") / path


def test_the_wheel_holds_every_file_of_the_rooms_and_no_other(wheel: Path, shipped: tuple[Path, ...]) -> None:
    held = {Path(name) for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {place_in_wheel(path) for path in shipped}


def test_every_module_is_found_in_the_installed_wheel(
    installed: Path, shipped: tuple[Path, ...], rooms: tuple[str, ...], tmp_path: Path
) -> None:
    paths = [place_in_wheel(path).with_suffix("") for path in shipped if path.suffix == ".py"]
    modules = {".".join(path.parts).removesuffix(".__init__") for path in paths}
    wanted = sorted(modules | {f"curate.{room}" for room in rooms})

    found = run(installed, "-c", FIND, folder=tmp_path, given=" ".join(wanted)).splitlines()

    assert [line.split()[0] for line in found] == wanted
    assert not [line for line in found if str(installed) not in line]


def test_the_standard_library_works_beside_an_installed_wheel(installed: Path) -> None:
    code = "import asyncio, select, subprocess; print(hasattr(select, 'select'))"
    assert run(installed, "-c", code, folder=installed).strip() == "True"


def test_the_installed_command_answers(installed: Path, tmp_path: Path) -> None:
    assert "Usage: curate" in run(installed, installed / "bin" / "curate", "--help", folder=tmp_path)
