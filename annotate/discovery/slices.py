"""Slice discovery: the subpopulations about which a model errs most, with bounds that hold over all of them.

The worst of many slices looks worse than it is. So each interval has the confidence that all of them together need
(Bonferroni), and what is found on one half of the items counts only if it shows on the other half, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from curate.annotate.discovery.structure import SEPARATOR
from curate.annotate.discovery.words import UNKNOWN
from curate.errors import BadDataError
from curate.statistics import Interval, wilson_interval

FEWEST = 10
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Slice:
    """A subpopulation with a model's error on it.

    `found` is its error on the half that it was found on, `held_out` that on the other half; `rest` is the error of all
    other items. It is `confirmed` where the lower bound of its held-out error lies above that.
    """

    name: str
    items: int
    found: Interval
    held_out: Interval
    rest: float
    confirmed: bool

    def sentence(self) -> str:
        """Say in a sentence what is the matter.

        >>> ids = [str(number) for number in range(160)]
        >>> find_slices([["a"]] * 80 + [["b"]] * 80, np.arange(160) >= 80, ids)[0].sentence()[:48]
        'On "a" the model errs about 100 % of the items ('
        """
        told = f'On "{self.name}" the model errs about {100 * self.held_out.value:.0f} % of the items'
        bounds = f"{100 * self.held_out.low:.0f} to {100 * self.held_out.high:.0f} %, all slices looked at considered"
        verdict = "confirmed on held-out items" if self.confirmed else "not confirmed on held-out items"
        return f"{told} ({bounds}), elsewhere about {100 * self.rest:.0f} %: {verdict}."


def find_slices(
    names: Sequence[Sequence[str]],
    right: Booleans,
    ids: Sequence[str],
    *,
    confidence: float = 0.95,
    fewest: int = FEWEST,
) -> list[Slice]:
    """Return the slices with at least `fewest` items in each half, the worst on the first half first.

    Args:
        names: the slices that each item belongs to, see `slices_of`.
        right: whether the model was right about each item.
        ids: the items' ids: a hash of them, and nothing else, decides which half an item belongs to.
        confidence: of all held-out intervals together.
        fewest: items that a slice needs in each half.

    Raises:
        BadDataError: the lengths differ.
    """
    if not len(names) == len(right) == len(ids):
        raise BadDataError(f"{len(names)} subpopulations, {len(right)} predictions and {len(ids)} ids do not fit")
    first = np.array([sha256(f"slices:{one}".encode()).digest()[0] < 128 for one in ids], np.bool_)
    wrong = ~np.asarray(right, np.bool_)
    inside: dict[str, list[int]] = {}
    for place, own in enumerate(names):
        for name in own:
            inside.setdefault(name, []).append(place)
    masks = {name: np.isin(np.arange(len(ids)), places) for name, places in sorted(inside.items())}
    looked_at = [name for name, mask in masks.items() if min((first & mask).sum(), (~first & mask).sum()) >= fewest]
    each = 1 - (1 - confidence) / max(1, len(looked_at))
    slices = [_slice(name, masks[name], wrong, first, each) for name in looked_at]
    return sorted(slices, key=lambda one: (-one.found.value, -one.items, one.name))


def slices_of(subpopulation: str, *, with_class: bool) -> list[str]:
    """Return the slices that a subpopulation belongs to: itself, and its class with each attribute alone.

    A subpopulation of many dimensions has few items; most of what goes wrong shows in one dimension.

    >>> slices_of("cat · beach · unknown", with_class=True)
    ['cat · beach · unknown', 'cat · beach']
    """
    parts = subpopulation.split(SEPARATOR)
    head, attributes = (parts[:1], parts[1:]) if with_class else ([], parts)
    single = [SEPARATOR.join([*head, one]) for one in attributes if one != UNKNOWN]
    return list(dict.fromkeys([subpopulation, *single]))


def _slice(name: str, inside: Booleans, wrong: Booleans, first: Booleans, confidence: float) -> Slice:
    found, held_out = (_error(wrong[inside & half], confidence) for half in (first, ~first))
    others = wrong[~inside & ~first]
    rest = float(others.mean()) if len(others) else 0.0
    return Slice(name, int(inside.sum()), found, held_out, rest, held_out.low > rest)


def _error(wrong: Booleans, confidence: float) -> Interval:
    return wilson_interval(int(wrong.sum()), len(wrong), confidence=confidence)


def gaps(counts: dict[str, int], wanted: int) -> dict[str, int]:
    """Return how many items each subpopulation lacks to have `wanted`, the largest gap first.

    >>> gaps({"a": 10, "b": 3, "c": 0}, 5)
    {'c': 5, 'b': 2}
    """
    lacking = {name: wanted - count for name, count in counts.items() if count < wanted}
    return dict(sorted(lacking.items(), key=lambda entry: (-entry[1], entry[0])))


def weights(names: Sequence[str]) -> NDArray[np.float64]:
    """Return a weight for each item by which all subpopulations weigh the same, and the mean weight is 1.

    >>> weights(["a", "a", "a", "b"]).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    _, place, counts = np.unique(np.array(names, np.str_), return_inverse=True, return_counts=True)
    result: NDArray[np.float64] = len(names) / (len(counts) * counts[place].astype(np.float64))
    return result
