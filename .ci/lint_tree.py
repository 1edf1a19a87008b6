"""Lay the rooms out as a wheel does, so that mypy and import-linter see them: `lint_tree.py TARGET [--root ROOT]`.

Neither tool follows the package mapping of a checkout, and import-linter cannot see a namespace folder. So TARGET gets
a package `curate/` with a copy of every room inside it, `benchmarks/` beside it, and an `__init__.py` in every folder.
"""

import argparse
import shutil
from pathlib import Path

ROOMS = ("annotate", "flows", "learners", "select", "store")
_SKIPPED = shutil.ignore_patterns("__pycache__")


def build(root: Path, target: Path) -> None:
    """Replace `target` by the tree of `root`; modification times are kept, which mypy's cache goes by."""
    shutil.rmtree(target, ignore_errors=True)
    package = target / "curate"
    shutil.copytree(root / "curate", package, ignore=_SKIPPED)
    for room in ROOMS:
        shutil.copytree(root / room, package / room, ignore=_SKIPPED)
    shutil.copytree(root / "benchmarks", target / "benchmarks", ignore=_SKIPPED)
    for folder in (path for path in target.rglob("*") if path.is_dir()):
        (folder / "__init__.py").touch()


def main() -> None:
    """Read the command line and build the tree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    arguments = parser.parse_args()
    build(arguments.root, arguments.target)


if __name__ == "__main__":
    main()
