"""Rules with a bound each: a measure beyond it is what the rule objects to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from curate.errors import UnknownNameError, UsageError

Measures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule objects to an item whose measure is less than the bound (`at least`) or greater (`at most`)."""

    name: str
    comparison: Literal["at least", "at most"]
    bound: float
    measures: str

    def objects(self, value: float) -> bool:
        """Whether the rule objects to an item with this measure; NaN, which is no measure, it lets pass."""
        return value < self.bound if self.comparison == "at least" else value > self.bound


def with_bounds(rules: Sequence[Rule], bounds: Mapping[str, float], without: Sequence[str]) -> tuple[Rule, ...]:
    """Return the rules under other bounds by their names, and without those that are not asked.

    Raises:
        UnknownNameError: a name that no rule has.
        UsageError: a bound that is no number, or no rule is left.
    """
    known = [rule.name for rule in rules]
    for name in (*bounds, *without):
        if name not in known:
            raise UnknownNameError("quality rule", name, known)
    for name, bound in bounds.items():
        if math.isnan(bound):
            raise UsageError(f"the bound of the quality rule {name!r} is no number")
    chosen = [rule for rule in rules if rule.name not in without]
    if not chosen:
        raise UsageError("no quality rule is left", hint="leave fewer of them out")
    return tuple(
        Rule(rule.name, rule.comparison, float(bounds.get(rule.name, rule.bound)), rule.measures) for rule in chosen
    )


def objecting(rules: Sequence[Rule], measures: Measures) -> tuple[str, ...]:
    """Return the names of the rules that object to an item with these measures, in the order of the rules."""
    return tuple(rule.name for rule in rules if rule.objects(measures[rule.name]))


def described(rules: Sequence[Rule]) -> str:
    """Return names and bounds in a line, for the version of what applies them."""
    return " ".join(f"{rule.name}={rule.bound:.15g}" for rule in rules)
