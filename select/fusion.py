"""Fusion: several scores of the same candidates made one, and choices with quotas for each subpopulation.

A score of NaN says that a selector has no opinion on a candidate: in that selector's list it comes last, together with
all others like it. Where no selector has an opinion, neither has the fusion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, inf
from typing import TYPE_CHECKING, NamedTuple

from curate.errors import BadDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECIPROCAL_CONSTANT = 60.0


def places(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the place of each score in its list: 1 for the best, equal scores share their mean place, NaN comes last.

    >>> import numpy as np
    >>> places(np.array([0.2, np.nan, 0.9, 0.2])).tolist()
    [2.5, 4.0, 1.0, 2.5]
    """
    import numpy as np

    values = np.where(np.isnan(scores), -np.inf, scores)
    _, inverse, counts = np.unique(-values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    result: NDArray[np.float64] = (ends - (counts - 1) / 2)[inverse.ravel()]
    return result


def borda(scores: Sequence[NDArray[np.float64]], weights: Sequence[float] | None = None) -> NDArray[np.float64]:
    """Return the weighted mean of the share of candidates that each list puts behind: in [0, 1], higher is better.

    >>> import numpy as np
    >>> borda([np.array([3.0, 2.0, 1.0]), np.array([10.0, 30.0, 20.0])]).tolist()
    [0.5, 0.75, 0.25]
    """
    import numpy as np

    lists, weights = _checked(scores, weights)
    behind = [1 - (places(one) - 1) / max(len(one) - 1, 1) for one in lists]
    return _known(lists, np.average(behind, axis=0, weights=weights))


def reciprocal_rank(
    scores: Sequence[NDArray[np.float64]],
    weights: Sequence[float] | None = None,
    constant: float = RECIPROCAL_CONSTANT,
) -> NDArray[np.float64]:
    """Return the weighted sum of 1 / (constant + place) over the lists, which favours what one list puts on top.

    Source: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
    Methods", 2009.
    """
    import numpy as np

    lists, weights = _checked(scores, weights)
    total = [weight / (constant + places(one)) for one, weight in zip(lists, weights, strict=True)]
    return _known(lists, np.sum(total, axis=0))


def weighted_sum(scores: Sequence[NDArray[np.float64]], weights: Sequence[float] | None = None) -> NDArray[np.float64]:
    """Return the weighted sum of the scores, each brought to mean 0 and deviation 1 first; NaN counts as the lowest.

    A constant score says nothing and adds nothing.
    """
    import numpy as np

    lists, weights = _checked(scores, weights)
    total = np.zeros(len(lists[0]))
    for one, weight in zip(lists, weights, strict=True):
        known = one[np.isfinite(one)]
        if len(known) and known.std() > 0:
            filled = np.where(np.isnan(one), known.min(), np.clip(one, known.min(), known.max()))
            total += weight * (filled - known.mean()) / known.std()
    return _known(lists, total)


class Chosen(NamedTuple):
    """Positions, the best first, and by how many each quota was missed since its group has too few candidates."""

    positions: NDArray[np.int64]
    short_by: Mapping[str, int]


def with_quotas(
    scores: NDArray[np.float64], groups: Sequence[str | None], count: int, shares: Mapping[str, float]
) -> Chosen:
    """Choose the best so that each named group gets its share of the count; groups without a share get nothing.

    Shares are relative to their sum, and rounded by the method of largest remainders. What a group is short of stays
    empty and is told: filling it from others would undo the quota. Candidates whose score is NaN are not chosen.

    Raises:
        BadDataError: the lengths differ, the count is negative, or the shares are not positive and finite.

    >>> import numpy as np
    >>> with_quotas(np.array([0.9, 0.8, 0.7, 0.1]), ["a", "a", "a", "b"], 2, {"a": 1, "b": 1}).positions.tolist()
    [0, 3]
    """
    import numpy as np

    if len(groups) != len(scores) or count < 0 or not shares or not all(0 < share < inf for share in shares.values()):
        raise BadDataError(f"{count} of {len(scores)} candidates in {len(groups)} groups by {dict(shares)}")
    names = np.array([group or "" for group in groups], dtype=object)
    chosen, short_by = [], {}
    for name, amount in zip(shares, apportioned(count, list(shares.values())), strict=True):
        members = np.flatnonzero((names == name) & ~np.isnan(scores))
        best = members[np.argsort(-scores[members], kind="stable")[:amount]]
        chosen.append(best)
        if len(best) < amount:
            short_by[name] = amount - len(best)
    positions = np.concatenate(chosen)
    return Chosen(positions[np.argsort(-scores[positions], kind="stable")], short_by)


def apportioned(count: int, shares: Sequence[float]) -> list[int]:
    """Share a count out by the method of largest remainders (Hamilton), the first of equals first.

    >>> apportioned(10, [1, 1, 1])
    [4, 3, 3]
    """
    exact = [count * share / sum(shares) for share in shares]
    counts = [floor(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda place: counts[place] - exact[place])
    for place in by_remainder[: count - sum(counts)]:
        counts[place] += 1
    return counts


def _checked(
    scores: Sequence[NDArray[np.float64]], weights: Sequence[float] | None
) -> tuple[Sequence[NDArray[np.float64]], Sequence[float]]:
    weights = [1.0] * len(scores) if weights is None else weights
    if not scores or len({len(one) for one in scores}) != 1:
        raise BadDataError(
            f"scores of {[len(one) for one in scores]} candidates cannot be fused: they must be the same"
        )
    if len(weights) != len(scores) or not min(weights) >= 0 or not 0 < sum(weights) < inf:
        raise BadDataError(
            f"{list(weights)} are no weights for {len(scores)} scores: one for each, finite, none negative"
        )
    return scores, weights


def _known(lists: Sequence[NDArray[np.float64]], fused: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.where(np.all(np.isnan(lists), axis=0), np.nan, fused)
