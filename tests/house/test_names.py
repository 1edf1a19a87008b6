"""The rooms have one name each, and the folder `select/` never takes the standard library's place."""

import ast
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield module and name of every absolute import; the name is empty for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)


def takes_the_room_for_the_standard_library(module: str, name: str) -> bool:
    """Whether an import reaches into the folder `select/` by its bare name."""
    return module.startswith("select.") or (module == "select" and bool(name) and not hasattr(select, name))


def test_select_is_only_imported_as_part_of_curate(syntax: dict[Path, ast.Module]) -> None:
    wrong = [
        (str(path), module, name)
        for path, tree in syntax.items()
        for module, name in imported(tree)
        if takes_the_room_for_the_standard_library(module, name)
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("import select", False),
        ("from select import poll", False),
        ("from curate.select import alignment", False),
        ("import select.alignment", True),
        ("from select import alignment", True),
        ("from select.alignment import align", True),
    ],
)
def test_the_two_selects_are_told_apart(line: str, wrong: bool) -> None:
    ((module, name),) = imported(ast.parse(line))
    assert takes_the_room_for_the_standard_library(module, name) is wrong


@pytest.mark.parametrize("module", ["annotate", "flows.steps", "learners.base", "store", "curate.curate"])
@pytest.mark.parametrize("form", ["import {}", "from {} import anything"])
def test_ruff_refuses_a_second_name_for_a_room(form: str, module: str, repository: Path) -> None:
    command = [Path(sys.executable).with_name("ruff"), "check", "--select", "TID251", "--no-cache"]
    name = repository / "store" / "planted.py"
    result = subprocess.run(
        [*command, "--stdin-filename", name, "-"],
        input=form.format(module),
        cwd=repository,
        capture_output=True,
        text=True,
    )
    assert "TID251" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize("folder", ["select", "tests"])
def test_namespace_folders_stay_namespaces(folder: str, repository: Path) -> None:
    assert not list((repository / folder).rglob("__init__.py"))


def test_the_standard_library_works_from_the_root(repository: Path) -> None:
    code = "import asyncio, select, subprocess; print(select.__name__, hasattr(select, 'select'))"
    result = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True)
    assert result.stdout.split() == ["select", "True"], result.stderr
