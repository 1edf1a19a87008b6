"""Rules that filter texts: each finds spans of certain kinds, and never says what stands there."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Where a text holds something of a kind: the characters from `start` up to `end`, and not their content."""

    start: int
    end: int
    kind: str


class FilterRule(Protocol):
    """Looks through texts for what its kinds name.

    `name` stands in the reasons of decisions. `version` changes whenever the findings might: it names the algorithm,
    the parameters and the versions of libraries.
    """

    name: str
    version: str

    def findings(self, texts: Sequence[str]) -> list[list[Finding]]:
        """Return the findings of each text, in the order of their places, none overlapping another."""
        ...


def reason(rule: FilterRule, found: Sequence[Finding]) -> str:
    """Say what a rule found, kind by kind in the alphabet's order, and nothing of what stands there.

    >>> class Rule:
    ...     name = "personal data"
    >>> reason(Rule(), [Finding(9, 20, "email address"), Finding(30, 52, "IBAN"), Finding(60, 71, "email address")])
    'personal data: email address, IBAN'
    """
    return f"{rule.name}: {', '.join(sorted({finding.kind for finding in found}, key=str.casefold))}"


class Claimed:
    """Collects findings of one text so that none overlaps another: who comes first has the place.

    >>> claimed = Claimed()
    >>> claimed.take(4, 9, "IBAN"), claimed.take(8, 12, "telephone number"), claimed.take(0, 4, "IP address")
    (True, False, True)
    """

    def __init__(self) -> None:
        self._findings: list[Finding] = []

    def take(self, start: int, end: int, kind: str) -> bool:
        """Add a finding, unless one that was taken before overlaps it; say whether it was added."""
        place = bisect_left(self._findings, Finding(start, start, ""))
        before, after = self._findings[max(0, place - 1) : place], self._findings[place : place + 1]
        if any(other.end > start for other in before) or any(other.start < end for other in after):
            return False
        self._findings.insert(place, Finding(start, end, kind))
        return True

    def in_order(self) -> list[Finding]:
        """Return the findings by their places."""
        return list(self._findings)
