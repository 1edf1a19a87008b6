"""The funnel: what bars items from a snapshot, in words that its counts are kept under."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Stage = Literal["decided", "claimed", "placed", "cut"]

BELOW_THE_CUT = "below the cut"
OVER_BUDGET = "over the budget"
_LINES = {
    "dropped": "dropped: {detail}",
    "undecided": "decision of {by}: {detail}",
    "no label": "no label",
    "no value": "no {by}",
    "another value": "another {by}",
    "unranked": "no score",
    "no score": "no score by {by}",
    "out of range": "score by {by} out of range",
    "too long": "longer than the budget",
    "reserved": "reserved for audits",
    "held out": "held out to evaluate",
    "moved": "would change its split",
}
_PLACED = (_LINES["reserved"], _LINES["held out"], _LINES["moved"])
_CUT = (BELOW_THE_CUT, OVER_BUDGET, _LINES["too long"])


def over_quota(attribute: str) -> str:
    """Return the funnel's words for items that came after a quota was full."""
    return f"over the quota of {attribute}"


def barrier_line(barrier: Mapping[str, Any]) -> str:
    """Return the funnel's words for a barrier of the table `judged`.

    >>> barrier_line({"bar": "dropped", "by": "dedup", "detail": "duplicate"})
    'dropped: duplicate'
    """
    return _LINES[barrier["bar"]].format(**barrier)


def stage_of(line: str) -> Stage:
    """Say at which stage a line of the funnel lies: decisions, claims and scores, splits, or the cut.

    >>> stage_of("dropped: duplicate"), stage_of("no label"), stage_of("over the quota of topic")
    ('decided', 'claimed', 'cut')
    """
    if line.startswith(("dropped: ", "decision of ")):
        return "decided"
    if line in _CUT or line.startswith(over_quota("")):
        return "cut"
    return "placed" if line in _PLACED else "claimed"


def funnel(barred: Iterable[tuple[Mapping[str, Any], int]], cut: Mapping[str, int], selected: int) -> dict[str, int]:
    """Return the counts from `arrived` to `selected`; those between say why items are out, and add up."""
    counts: Counter[str] = Counter()
    for barrier, items in barred:
        counts[barrier_line(barrier)] += items
    counts.update(cut)
    ordered = sorted(counts, key=lambda line: (_STAGES.index(stage_of(line)), line))
    return {"arrived": counts.total() + selected, **{line: counts[line] for line in ordered}, "selected": selected}


_STAGES: tuple[Stage, ...] = ("decided", "claimed", "placed", "cut")
