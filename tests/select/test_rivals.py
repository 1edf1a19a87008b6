from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from curate.errors import BadDataError
from curate.select import importance, minhash, racing
from curate.select.rivals import beaten_by, halves, judge_selectors

PROSE = [line for module in (importance, minhash, racing) for line in (module.__doc__ or "").split("\n\n") if line]
CODE = [
    f"def {name}(width, height):\n    return {name}_of(width) * height\n" for name in ("area", "half", "sum", "cut")
]
TARGETS = [f"def {name}(width, height):\n    return 2 * (width + height)\n" for name in ("one", "two", "three", "four")]


def test_alignment_beats_the_baselines_where_it_should() -> None:
    texts = [*PROSE, *CODE]
    judged = judge_selectors([str(i) for i in range(len(texts))], texts, [TARGETS], len(CODE))
    assert [one.selector for one in judged] == ["align", "fused", "importance", "tfidf", "random", "length"]
    own = judged[0]
    assert own.overlap.value == 1.0
    assert own.kl_reduction.value > 0
    assert own.bits is not None
    assert own.bits.low <= own.bits.value <= own.bits.high
    by_name = {one.selector: one for one in judged}
    assert own.bits.value < by_name["random"].bits.value  # type: ignore[union-attr]
    assert by_name["length"].length_bias.value == pytest.approx(-1)


def test_a_baseline_that_is_as_good_is_named() -> None:
    texts = ["same text here"] * 6
    judged = judge_selectors([str(i) for i in range(6)], texts, [TARGETS], 2)
    assert set(beaten_by(judged)) == {"random", "length"}


def test_a_single_target_is_cut_in_two_and_nothing_to_choose_is_refused() -> None:
    assert halves(["abcd", " "]) == (["ab"], ["cd"])
    assert len(judge_selectors(["a", "b"], CODE[:2], [TARGETS[:1]], 1)) == 6
    with pytest.raises(BadDataError):
        judge_selectors([], [], [TARGETS], 1)
    with pytest.raises(BadDataError):
        judge_selectors(["a"], CODE[:1], [[""]], 1)


def test_a_selector_of_ones_own_is_judged_beside_the_others_and_sees_half_of_the_targets() -> None:
    texts = [*PROSE, *CODE]
    seen: list[list[str]] = []

    def own(halves_seen: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        seen.extend([*half] for half in halves_seen)
        return np.array([float(text in CODE) for text in texts])

    judged = judge_selectors([str(i) for i in range(len(texts))], texts, [TARGETS], len(CODE), own={"mine": own})
    assert seen == [TARGETS[::2]]
    mine = judged[-1]
    assert mine.selector == "mine"
    assert mine.bits is not None
    assert mine.bits.value < next(one.bits.value for one in judged if one.selector == "random" and one.bits)
    assert "random" not in beaten_by(judged, "mine")
