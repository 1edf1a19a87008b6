"""How a round of questions is shared between teaching and audits."""

import numpy as np
import pytest

from curate.annotate.audits import Standing
from curate.annotate.gate import accuracy
from curate.flows.steps.gate_rounds import _audit_share
from curate.settings import GateSettings


def standing(trained: int, left: int = 50, *, passed: bool = False) -> Standing:
    return Standing(accuracy(np.ones(10, bool)), trained, left, 500, passed)


@pytest.mark.parametrize(
    ("budget", "standings", "expected"),
    [
        (0, [standing(900)], 0.6),
        (1_000, [standing(0), standing(399)], 0.0),
        (1_000, [standing(200), standing(200)], 1.0),
        (1_000, [standing(400, left=0), standing(400, passed=True)], 0.0),
    ],
)
def test_within_a_budget_people_teach_first_and_then_audit(
    budget: int, standings: list[Standing], expected: float
) -> None:
    """An early audit can only guess where audits will be worth most; where none is left, people go on teaching."""
    assert _audit_share(GateSettings(budget=budget, audit_share=0.6), standings) == expected
