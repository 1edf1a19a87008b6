"""Slices: the planted one is found and confirmed, and chance alone confirms almost none."""

import numpy as np
import pytest

from curate.annotate.discovery.slices import find_slices, gaps, weights
from curate.errors import BadDataError

NAMES = [[f"class {n % 2} · place {n % 5}"] for n in range(2_000)]
IDS = [f"item {n}" for n in range(2_000)]


def test_the_planted_slice_is_the_worst_and_is_confirmed() -> None:
    generator = np.random.default_rng(0)
    bad = np.array([name == ["class 1 · place 3"] for name in NAMES])
    right = generator.random(2_000) >= np.where(bad, 0.4, 0.1)
    worst, *others = find_slices(NAMES, right, IDS)
    assert worst.name == "class 1 · place 3"
    assert worst.confirmed
    assert worst.held_out.low > 0.1
    assert "class 1 · place 3" in worst.sentence()
    assert not any(one.confirmed for one in others)


def test_chance_confirms_almost_nothing() -> None:
    generator = np.random.default_rng(1)
    confirmed = [
        any(one.confirmed for one in find_slices(NAMES, generator.random(2_000) >= 0.1, IDS)) for _ in range(100)
    ]
    assert sum(confirmed) <= 8, "at 95 % over all slices, five of a hundred are expected at most"


def test_without_the_correction_chance_would_confirm_more() -> None:
    generator = np.random.default_rng(1)
    alone = [
        any(
            one.held_out.low > one.rest
            for one in find_slices(NAMES, generator.random(2_000) >= 0.1, IDS, confidence=0.5)
        )
        for _ in range(100)
    ]
    assert sum(alone) > 20


def test_small_subpopulations_are_not_looked_at() -> None:
    names = [["rare"]] * 15 + [["common"]] * 200
    ids = [f"item {n}" for n in range(215)]
    assert [one.name for one in find_slices(names, np.ones(215, np.bool_), ids)] == ["common"]
    with pytest.raises(BadDataError, match="do not fit"):
        find_slices(names, np.ones(3, np.bool_), ids)


def test_gaps_and_weights_even_out() -> None:
    assert gaps({"a": 7}, 5) == {}
    found = weights(["a", "b", "b", "c", "c", "c"])
    assert found.mean() == pytest.approx(1.0)
    assert found[0] == pytest.approx(3 * found[5])
