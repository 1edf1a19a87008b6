"""The table of rooms holds, and `make lint` notices when it does not: an import planted in any room is reported."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# For each room: where the violation is planted, and modules that nothing there may import.
PLANTED = {
    "annotate": ("annotate/planted.py", ["curate.select.alignment", "curate.settings", "duckdb", "prefect"]),
    "curate": ("curate/cli/planted.py", ["curate.learners", "curate.select.alignment", "duckdb", "prefect"]),
    "flows": ("flows/planted.py", ["curate.cli", "duckdb", "torch"]),
    "leaves": ("curate/statistics.py", ["curate.settings", "curate.store", "duckdb"]),
    "learners": ("learners/planted.py", ["curate.flows", "curate.store.store", "duckdb", "prefect"]),
    "report": ("curate/report/planted.py", ["curate.flows", "curate.store", "prefect"]),
    "select": ("select/planted.py", ["curate.learners", "curate.store.schema", "duckdb", "torch"]),
    "select, a folder deeper": ("select/deeper/planted.py", ["curate.annotate", "duckdb", "torch"]),
    "steps": ("flows/steps/planted.py", ["prefect", "torch"]),
    "store": ("store/planted.py", ["curate.report", "curate.select.alignment", "prefect", "torch"]),
}


def check_contracts(root: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Do what `make lint` does about the contracts of the tree in `root`."""
    subprocess.run([sys.executable, root / ".ci" / "lint_tree.py", target], check=True)
    command = [
        Path(sys.executable).with_name("lint-imports"),
        "--config",
        root / "pyproject.toml",
        "--no-cache",
        "--no-logo",
    ]
    return subprocess.run(command, cwd=target, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})


def test_the_tree_keeps_every_contract(repository: Path, tmp_path: Path) -> None:
    result = check_contracts(repository, tmp_path / "lint")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("room", PLANTED)
def test_a_planted_import_is_reported(room: str, copy_tree: Callable[[Path], Path], tmp_path: Path) -> None:
    root = copy_tree(tmp_path / "copy")
    place, forbidden = PLANTED[room]
    file = root / place
    file.parent.mkdir(exist_ok=True)
    with file.open("a", encoding="utf-8") as source:
        source.writelines(f"\nimport {module}" for module in forbidden)

    result = check_contracts(root, tmp_path / "lint")

    assert result.returncode == 1, result.stdout + result.stderr
    module = ".".join(file.relative_to(root).with_suffix("").parts)
    importer = module if module.startswith("curate.") else f"curate.{module}"
    reported = [name for name in forbidden if f"{importer} -> {name} (l." in result.stdout]
    assert reported == forbidden, result.stdout


def test_a_module_without_a_place_in_the_table_is_reported(copy_tree: Callable[[Path], Path], tmp_path: Path) -> None:
    root = copy_tree(tmp_path / "copy")
    (root / "curate" / "planted.py").touch()
    result = check_contracts(root, tmp_path / "lint")
    assert result.returncode == 1
    assert "planted" in result.stdout
