import numpy as np
import pytest

from curate.errors import BadDataError
from curate.select.fusion import apportioned, borda, places, reciprocal_rank, weighted_sum, with_quotas

FIRST, SECOND = np.array([3.0, 2.0, 1.0, np.nan]), np.array([1.0, 30.0, np.nan, np.nan])
FUSIONS = [borda, reciprocal_rank, weighted_sum]


@pytest.mark.parametrize("fuse", FUSIONS)
def test_no_opinion_comes_last_and_no_opinions_at_all_stay_none(fuse: object) -> None:
    fused = fuse([FIRST, SECOND])  # type: ignore[operator]
    assert np.isnan(fused).tolist() == [False, False, False, True]
    assert fused[1] > fused[2]
    assert fused[0] > fused[2]


@pytest.mark.parametrize("fuse", [borda, reciprocal_rank])
def test_ranks_ignore_the_scale(fuse: object) -> None:
    np.testing.assert_array_equal(fuse([FIRST, SECOND]), fuse([np.exp(FIRST), SECOND / 7]))  # type: ignore[operator]


@pytest.mark.parametrize("fuse", FUSIONS)
def test_a_weight_of_zero_takes_a_list_out(fuse: object) -> None:
    alone = fuse([FIRST[:3], SECOND[:3]], [1, 0])  # type: ignore[operator]
    assert np.argsort(-alone).tolist() == [0, 1, 2]


def test_reciprocal_rank_is_the_papers_formula() -> None:
    np.testing.assert_allclose(reciprocal_rank([np.array([2.0, 1.0]), np.array([1.0, 2.0])]), [1 / 61 + 1 / 62] * 2)


def test_equal_scores_share_a_place() -> None:
    assert places(np.array([1.0, 1.0, 0.0])).tolist() == [1.5, 1.5, 3.0]


def test_infinite_scores_do_not_swallow_a_weighted_sum() -> None:
    fused = weighted_sum([np.array([np.inf, 1.0, 0.0]), np.array([0.0, 1.0, 5.0])])
    assert np.isfinite(fused).all()


def test_quotas_hold_and_what_is_missing_is_told() -> None:
    scores, groups = np.array([9.0, 8.0, 7.0, 1.0, np.nan, 6.0]), ["a", "a", "a", "b", "b", None]
    chosen = with_quotas(scores, groups, 4, {"a": 1, "b": 1})
    assert chosen.positions.tolist() == [0, 1, 3]
    assert chosen.short_by == {"b": 1}


def test_rounding_gives_out_every_place() -> None:
    for count in range(30):
        assert sum(apportioned(count, [0.5, 0.3, 0.2])) == count


@pytest.mark.parametrize("call", [
    lambda: borda([FIRST, SECOND[:2]]),
    lambda: borda([]),
    lambda: borda([FIRST], [-1]),
    lambda: with_quotas(FIRST, ["a"], 1, {"a": 1}),
])  # fmt: skip
def test_what_does_not_fit_is_refused(call: object) -> None:
    with pytest.raises(BadDataError):
        call()  # type: ignore[operator]
