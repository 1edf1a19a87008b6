"""The page that tells which method of fine-tuning to take knows every method, with the rate that it has."""

import re
from pathlib import Path

from curate.learners.adapters.methods import METHODS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adapter-methods.md"


def _rates() -> dict[str, float]:
    """Return the rate of each method in the table of all; a row names several, with one rate for all or one each."""
    table = PAGE.read_text(encoding="utf-8").partition("## All of them")[2].partition("\n## ")[0]
    found = {}
    for row in re.findall(r"^\|.+\|$", table, re.MULTILINE):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        names = re.findall(r"`([^`]+)`", cells[0])
        rates = [float(rate) for rate in cells[-1].split(", ")] if names else []
        found |= dict(zip(names, rates * len(names) if len(rates) == 1 else rates, strict=True))
    return found


def test_the_page_has_every_method_with_its_rate() -> None:
    assert _rates() == {name: method.learning_rate for name, method in METHODS.items()}
