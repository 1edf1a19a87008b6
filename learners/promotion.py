"""The promotion gate: whether a new checkpoint may replace the one that is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from curate.errors import BadDataError, ConfigurationError
from curate.learners.numerics import Floats
from curate.statistics import Interval, paired_difference

Right: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
EVERYTHING = "all"


@dataclass(frozen=True, slots=True)
class PromotionRules:
    """What a candidate must show, in shares of items.

    margin: on no guarded slice may it be worse by more than this, at the given one-sided confidence.
    negative_flips: the most items, as a share, that the served checkpoint had right and the candidate has wrong.
    fewest: a slice of fewer items is judged by its counts, since a bootstrap of so few says nothing.

    Raises:
        ConfigurationError: a share outside [0, 1], or a confidence outside (0.5, 1).
    """

    margin: float = 0.02
    negative_flips: float = 0.05
    confidence: float = 0.95
    fewest: int = 20

    def __post_init__(self) -> None:
        if not (0.0 <= self.margin <= 1.0 and 0.0 <= self.negative_flips <= 1.0):
            raise ConfigurationError("the promotion gate's margin and negative_flips must be shares, from 0 to 1")
        if not 0.5 < self.confidence < 1.0:
            raise ConfigurationError("the promotion gate's confidence must lie between 0.5 and 1")


@dataclass(frozen=True, slots=True)
class SliceVerdict:
    """One guarded slice: candidate's accuracy minus the served one's, and whether that is no worse."""

    name: str
    items: int
    difference: Interval
    holds: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the candidate is promoted, what was measured, and every reason against it."""

    slices: tuple[SliceVerdict, ...]
    negative_flips: float
    reasons: tuple[str, ...]

    @property
    def promoted(self) -> bool:
        """Whether nothing speaks against the candidate."""
        return not self.reasons


def judge(
    served: Right,
    candidate: Right,
    slices: Mapping[str, Right] | None = None,
    rules: PromotionRules | None = None,
    *,
    seed: int = 0,
) -> Verdict:
    """Compare which test items two checkpoints answer rightly, over all items and over each guarded slice.

    `served` and `candidate` say for the same items, in the same order, whether each was right; `slices` marks the items
    of each slice, which may overlap; all items together are always guarded. Items are drawn in pairs (bootstrap), so
    what is hard for both cancels out. Every slice has to hold, so no correction for their number is needed: more slices
    make the gate stricter, never laxer. A slice without items is left out.

    Raises:
        BadDataError: no items, or arrays that do not belong to the same items.

    >>> before, after = np.array([True] * 90 + [False] * 10), np.array([True] * 95 + [False] * 5)
    >>> judge(before, after).promoted, judge(after, before).reasons[0]
    (True, 'worse on all: -0.05 [-0.09, -0.02] of 100 items, and no more than 0.02 is allowed')
    """
    rules = rules or PromotionRules()
    guarded = {EVERYTHING: np.ones(len(served), dtype=np.bool_), **(slices or {})}
    if not len(served) or any(len(mask) != len(served) for mask in (candidate, *guarded.values())):
        raise BadDataError("the gate needs test items, and the same for both checkpoints and every slice")
    found = tuple(
        _verdict(name, served[mask], candidate[mask], rules, seed) for name, mask in guarded.items() if mask.any()
    )
    flips = float((served & ~candidate).mean())
    return Verdict(found, flips, _reasons(found, flips, rules))


def judge_losses(served: Floats, candidate: Floats, rules: PromotionRules | None = None, *, seed: int = 0) -> Verdict:
    """Compare the losses of two checkpoints text by text: by what share of the served one's the candidate's is lower.

    The margin is a share of the served checkpoint's mean loss. No loss is right or wrong, so the share of flips is NaN.

    Raises:
        BadDataError: no texts, or not the same for both.

    >>> before = np.linspace(2.0, 3.0, 50)
    >>> judge_losses(before, 0.9 * before).promoted, judge_losses(before, 1.1 * before).reasons[0][:18]
    (True, 'worse on all: -0.1')
    """
    rules = rules or PromotionRules()
    if not len(served) or len(served) != len(candidate):
        raise BadDataError("the gate needs test items, and the same for both checkpoints")
    scale = float(served.mean()) or 1.0
    found = _judged(EVERYTHING, (candidate / -scale, served / -scale), rules, seed)
    return Verdict((found,), np.nan, _reasons((found,), np.nan, rules))


def _verdict(name: str, served: Right, candidate: Right, rules: PromotionRules, seed: int) -> SliceVerdict:
    return _judged(name, (candidate.astype(np.float64), served.astype(np.float64)), rules, seed)


def _judged(name: str, pairs: tuple[Floats, Floats], rules: PromotionRules, seed: int) -> SliceVerdict:
    """Judge candidate and served by a figure of each item, higher is better."""
    items = len(pairs[0])
    difference = paired_difference(*pairs, confidence=2.0 * rules.confidence - 1.0, seed=seed)
    holds = difference.value >= 0.0 if items < rules.fewest else difference.low >= -rules.margin
    return SliceVerdict(name, items, difference, holds)


def _reasons(slices: tuple[SliceVerdict, ...], flips: float, rules: PromotionRules) -> tuple[str, ...]:
    reasons = [_reason(one, rules) for one in slices if not one.holds]
    if flips > rules.negative_flips:
        reasons.append(
            f"{flips:.3g} of all items were right and would be wrong; no more than {rules.negative_flips:g} may flip"
        )
    return tuple(reasons)


def _reason(one: SliceVerdict, rules: PromotionRules) -> str:
    allowed = "nothing" if one.items < rules.fewest else f"no more than {rules.margin:g}"
    return f"worse on {one.name}: {one.difference} of {one.items} items, and {allowed} is allowed"
