"""How far people agree, for the owner of the data: pairs of answers, and Krippendorff's alpha."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from curate.statistics import Interval, wilson_interval
from curate.types import PersonAnswer


@dataclass(frozen=True, slots=True)
class Agreement:
    """What people said about one attribute: `items` that two or more answered, and how alike they answered.

    `share` is that of agreeing pairs, with Wilson's interval over items; `alpha` is None where nothing can disagree.
    """

    attribute: str
    answers: int
    items: int
    share: Interval | None
    alpha: float | None


def agreements(answers: Iterable[PersonAnswer], attributes: Sequence[str]) -> list[Agreement]:
    """Return the agreement on each attribute, over values; who cannot tell or skips is left out."""
    units: dict[str, dict[str, list[str]]] = {name: defaultdict(list) for name in attributes}
    for answer in answers:
        if not answer.reason and answer.attribute in units:
            units[answer.attribute][answer.item_id].append(answer.value)
    return [_agreement(name, list(by_item.values())) for name, by_item in units.items()]


def _agreement(attribute: str, units: Sequence[Sequence[str]]) -> Agreement:
    several = [values for values in units if len(values) > 1]
    alike = sum(len(set(values)) == 1 for values in several)
    share = wilson_interval(alike, len(several)) if several else None
    return Agreement(attribute, sum(map(len, units)), len(several), share, krippendorff_alpha(several))


def krippendorff_alpha(units: Sequence[Sequence[str]]) -> float | None:
    """Return Krippendorff's alpha for nominal values: 1 - observed / expected disagreement.

    `units` are the values that each item got; those with one value say nothing (Krippendorff 2011, "Computing
    Krippendorff's alpha-reliability", section C). None where all values are the same.

    >>> round(krippendorff_alpha([["a", "a"], ["a", "b"], ["b", "b"], ["b", "b"]]), 4)
    0.5333
    >>> krippendorff_alpha([["a", "a"]]) is None
    True
    """
    units = [values for values in units if len(values) > 1]
    totals = Counter(value for values in units for value in values)
    count = sum(totals.values())
    expected = count * count - sum(n * n for n in totals.values())
    if not expected:
        return None
    observed = 0.0
    for values in units:
        tally = Counter(values)
        observed += (len(values) ** 2 - sum(n * n for n in tally.values())) / (len(values) - 1)
    return 1 - (count - 1) * observed / expected
