"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("annotate", "benchmarks", "curate", "flows", "learners", "select", "store")


def modules_with_examples() -> list[str]:
    """Name the modules whose source holds an example; the others need not be imported."""
    paths = [path.relative_to(ROOT) for place in PLACES for path in sorted((ROOT / place).rglob("*.py"))]
    named = [path for path in paths if ">>>" in (ROOT / path).read_text(encoding="utf-8")]
    return [module_name(path) for path in named]


def module_name(path: Path) -> str:
    """Turn a file of the checkout into the name it is imported by."""
    parts = path.with_suffix("").parts
    if parts[0] not in {"benchmarks", "curate"}:
        parts = ("curate", *parts)
    return ".".join(parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert not result.failed
