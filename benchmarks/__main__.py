"""List the benchmarks, then run them one after the other, each in a process of its own; `--list` only lists."""

import argparse
import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """Return the names of the benchmarks: every module of this folder that is no part of the machinery."""
    return sorted(file.stem for file in FOLDER.glob("*.py") if not file.stem.startswith("_"))


def purpose(name: str) -> str:
    """Return the first line of a benchmark's docstring, read without importing it."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all benchmarks, passing on every other option; return the highest of their exit codes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--list", action="store_true", help="list the benchmarks and run none")
    given, rest = parser.parse_known_args(arguments)
    for name in names():
        print(f"{name:16}{purpose(name)}")
    if given.list:
        return 0
    codes = []
    for name in names():
        print(f"\n== {name}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *rest], check=False).returncode)
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
