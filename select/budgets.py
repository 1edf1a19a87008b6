"""Budgets: how much of a ranking is taken, in items, characters or tokens, for one target or shared among several.

One rule holds throughout, the one of snapshots: candidates are taken in the order of their scores until one does not
fit, and no later one takes its place, so that what is taken is always the best. A candidate that exceeds a budget all
by itself is none, for it would end the taking before anything is taken.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from curate.errors import BadDataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from curate.types import Tokenizer

Unit = Literal["items", "characters", "tokens"]
UNITS: tuple[Unit, ...] = get_args(Unit)


def sizes(texts: Sequence[str | None], unit: Unit, tokenizer: Tokenizer | None = None) -> NDArray[np.int64]:
    """Return what each text takes of a budget: int64 of shape (texts,); a null text is empty.

    Items count 1 each, characters are Unicode code points, tokens those of the tokenizer (`curate.select.tokens`).

    Raises:
        UnknownNameError: there is no such unit.
        UsageError: tokens without a tokenizer.

    >>> sizes(["to be", "or not", None], "characters").tolist()
    [5, 6, 0]
    """
    import numpy as np

    if unit not in UNITS:
        raise UnknownNameError("unit of a budget", unit, UNITS)
    if unit == "items":
        return np.ones(len(texts), np.int64)
    if unit == "characters":
        return np.fromiter((len(text or "") for text in texts), np.int64, len(texts))
    if tokenizer is None:
        raise UsageError("a budget of tokens needs a tokenizer", hint='curate.select.tokens.find_tokenizer("words")')
    return np.asarray(tokenizer.count([text or "" for text in texts]), np.int64)


def best_within(scores: ArrayLike, sizes: ArrayLike, amount: int) -> NDArray[np.int64]:
    """Return the places of the best candidates whose sizes together stay within the amount, best first: int64.

    Args:
        scores: float of shape (candidates,), higher is better; NaN is no score and is never taken. Equal scores go by
            place.
        sizes: integers of shape (candidates,), none negative.
        amount: the budget in the unit of the sizes. An amount of more than there is takes everything with a score.

    Cost: one sort.

    Raises:
        BadDataError: a size that is negative or no whole number, or scores and sizes of different shapes.
        UsageError: a negative amount.

    >>> best_within([0.2, 0.9, 0.4, float("nan")], [10, 10, 10, 10], 25).tolist()
    [1, 2]
    >>> best_within([0.2, 0.9, 0.4], [10, 100, 10], 25).tolist()
    [2, 0]
    """
    import numpy as np

    given = np.asarray(scores, np.float64)
    if given.ndim != 1:
        raise BadDataError(f"scores of shape {given.shape} are not one for each candidate")
    values, weights = _checked(given[None, :], sizes)
    if amount < 0:
        raise UsageError(f"a budget of {amount} is less than nothing", hint="give 0 or more")
    ranked = _ranked(values[0], weights, amount)
    return ranked[np.cumsum(weights[ranked]) <= amount]


@dataclass(frozen=True, slots=True)
class Shares:
    """What several targets took: `places` of candidates in the order of taking, the target of each, and the accounts.

    `amounts` is each target's part of the budget and `spent` what it took of it, in the unit of the sizes; what a
    target leaves because no candidate that fits is left, no other target gets.
    """

    places: NDArray[np.int64]
    targets: NDArray[np.int64]
    amounts: NDArray[np.int64]
    spent: NDArray[np.int64]


def shared_among(scores: ArrayLike, sizes: ArrayLike, amount: int, proportions: Sequence[float]) -> Shares:
    """Share a budget among targets by proportions, each candidate at most once.

    The turn is always with the target that has spent the smallest part of what is its own (the first of equals), and it
    takes its best candidate that nobody has taken: so no target is served before another, as it is when they choose one
    after the other (DSIR's library, `separate_targets`).

    Args:
        scores: float of shape (targets, candidates), higher is better; NaN is no score for that target.
        sizes: integers of shape (candidates,), none negative.
        amount: the whole budget.
        proportions: one for each target, none negative, not all 0; they need not sum to 1. Parts are whole numbers that
            sum to the amount (largest remainders, Hamilton's method).

    Cost: a sort for each target, and O(log targets) for each candidate taken.

    Raises:
        BadDataError: a size that is negative or no whole number, or shapes that do not fit together.
        UsageError: a negative amount, or proportions that are no such.

    >>> shares = shared_among([[9, 8, 7, 6], [9, 1, 8, 2]], [1, 1, 1, 1], 3, [2, 1])
    >>> shares.places.tolist(), shares.targets.tolist()
    ([0, 2, 1], [0, 1, 0])
    """
    import numpy as np

    values, weights = _checked(np.atleast_2d(np.asarray(scores, np.float64)), sizes)
    _check_proportions(proportions, len(values))
    amounts = _parts(amount, proportions)
    rankings = [
        _ranked(row, weights, int(part)).tolist() if share else []
        for row, part, share in zip(values, amounts, proportions, strict=True)
    ]
    taken, spent = _take_turns(rankings, weights.tolist(), amounts.tolist(), proportions)
    places, targets = np.array(taken, np.int64).reshape(-1, 2).T
    return Shares(places, targets, amounts, np.array(spent, np.int64))


def in_turns(scores: ArrayLike, sizes: ArrayLike, proportions: Sequence[float]) -> NDArray[np.int64]:
    """Return the places of all candidates with a score in the order in which targets take them by turns: int64.

    As in `shared_among`, the turn is with the target that has spent least for its proportion. So whatever budget ends
    the order, each target has about its proportion of what stands before, up to one candidate, as long as none runs
    out: an order serves budgets that are not known yet.

    Raises:
        BadDataError: a size that is negative or no whole number, or shapes that do not fit together.
        UsageError: proportions that are no such.

    >>> in_turns([[9, 8, 7, float("nan")], [9, 1, 2, 8]], [1, 1, 1, 1], [2, 1]).tolist()
    [0, 3, 1, 2]
    """
    import numpy as np

    values, weights = _checked(np.atleast_2d(np.asarray(scores, np.float64)), sizes)
    _check_proportions(proportions, len(values))
    most = int(weights.sum())
    rankings = [
        _ranked(row, weights, most).tolist() if share else [] for row, share in zip(values, proportions, strict=True)
    ]
    taken, _ = _take_turns(rankings, weights.tolist(), [most] * len(rankings), proportions)
    return np.array([place for place, _ in taken], np.int64)


def _take_turns(
    rankings: Sequence[Sequence[int]], weights: Sequence[int], amounts: Sequence[int], proportions: Sequence[float]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Return (place, target) of what is taken in the order of taking, and what each target spent."""
    taken: list[tuple[int, int]] = []
    gone: set[int] = set()
    spent = [0] * len(rankings)
    left = [iter(ranking) for ranking in rankings]
    turns = [(0.0, target) for target, ranking in enumerate(rankings) if ranking]
    while turns:
        _, target = heapq.heappop(turns)
        place = next((place for place in left[target] if place not in gone), None)
        if place is None or spent[target] + weights[place] > amounts[target]:
            continue
        gone.add(place)
        taken.append((place, target))
        spent[target] += weights[place]
        heapq.heappush(turns, (spent[target] / proportions[target], target))
    return taken, spent


def _ranked(scores: NDArray[np.float64], weights: NDArray[np.int64], amount: int) -> NDArray[np.int64]:
    """Return the places of what may be taken at all, best first, equal ones by place."""
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    ranked: NDArray[np.int64] = order[~np.isnan(scores[order]) & (weights[order] <= amount)]
    return ranked


def _parts(amount: int, proportions: Sequence[float]) -> NDArray[np.int64]:
    import numpy as np

    if amount < 0:
        raise UsageError(f"a budget of {amount} is less than nothing", hint="give 0 or more")
    exact = amount * (np.asarray(proportions, np.float64) / math.fsum(proportions))
    parts = np.floor(exact).astype(np.int64)
    first = np.argsort(parts - exact, kind="stable")
    parts[first[: amount - int(parts.sum())]] += 1
    return parts


def _check_proportions(proportions: Sequence[float], targets: int) -> None:
    if len(proportions) != targets:
        raise UsageError(f"{len(proportions)} proportions for {targets} targets", hint="give one for each")
    if not all(math.isfinite(share) and share >= 0 for share in proportions) or not any(proportions):
        raise UsageError(
            f"the proportions {', '.join(map(str, proportions))} share out nothing",
            hint="give numbers of which none is negative and one positive",
        )


def _checked(scores: NDArray[np.float64], sizes: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    import numpy as np

    given = np.asarray(sizes)
    with np.errstate(invalid="ignore"):
        weights = given.astype(np.int64)
    if (weights != given).any():
        raise BadDataError(f"candidate {int((weights != given).argmax())} has a size that is no whole number")
    if scores.ndim != 2 or weights.shape != scores.shape[1:]:
        raise BadDataError(f"scores of shape {scores.shape} and sizes of shape {weights.shape} do not fit together")
    if (weights < 0).any():
        raise BadDataError(f"candidate {int((weights < 0).argmax())} has a negative size")
    return scores, weights
