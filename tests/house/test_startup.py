"""What the walk loads: `curate run`, the demo and the steps never meet Prefect; only the flow does."""

import subprocess
import sys

import pytest

HEAVY = {"datasets", "prefect", "sklearn", "torch", "transformers", "xllamacpp"}


def modules_after_importing(*names: str) -> set[str]:
    """The modules that a fresh process has loaded once it has imported `names`."""
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_walk_loads_nothing_heavy() -> None:
    loaded = modules_after_importing(
        "curate.cli.walk", "curate.demo.main", "curate.flows.sequence", "curate.flows.steps"
    )
    assert not HEAVY & loaded


@pytest.mark.parametrize("room", ["annotate", "flows", "learners", "select", "store"])
def test_importing_a_room_loads_nothing_heavy(room: str) -> None:
    assert not (HEAVY | {"duckdb", "httpx", "PIL", "pyarrow", "rich"}) & modules_after_importing(f"curate.{room}")
