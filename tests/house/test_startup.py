"""What the command loads before it has work to do; modules are counted, since a time would depend on the machine."""

import subprocess
import sys

import pytest

HEAVY = {
    "datasets", "duckdb", "httpx", "jinja2", "lz4", "numpy", "PIL", "prefect", "pyarrow", "pydantic", "rich",
    "safetensors", "sklearn", "torch", "xllamacpp",
}  # fmt: skip
# The most modules that `curate --help` may load beyond those of a bare interpreter.
BUDGET = 150
LOADED = """
import sys
bare = set(sys.modules)
from curate.cli import main
sys.argv = ["curate", *{arguments!r}]
try:
    main()
finally:
    print(*sorted(set(sys.modules) - bare), file=sys.stderr)
"""


def modules_loaded_by(*arguments: str) -> set[str]:
    """Run the command in a process of its own and name the modules that it loaded."""
    code = LOADED.format(arguments=list(arguments))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "--help"), ("demo", "--help")])
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    loaded = modules_loaded_by(*arguments)
    assert not HEAVY & loaded
    assert len(loaded) <= BUDGET
