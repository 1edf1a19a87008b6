"""Bars: what a benchmark promises, in figures, and whether it keeps it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from curate.statistics import Interval

Comparison = Literal[">=", "<=", ">", "<"]
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A measured value beside the bar it has to reach; `interval` says how sure the value is, where that is known.

    A value that could not be measured is NaN and reaches no bar.

    >>> Bar("times zip-fit", 12.5, 10).holds
    True
    """

    name: str
    value: float
    bar: float
    comparison: Comparison = ">="
    interval: Interval | None = None

    @property
    def holds(self) -> bool:
        """Whether the value, not the end of its interval, reaches the bar."""
        return _COMPARE[self.comparison](self.value, self.bar)

    def as_record(self) -> dict[str, Any]:
        """Return the bar for JSON, which has no NaN: a value that could not be measured is null."""
        record: dict[str, Any] = {
            "name": self.name,
            "value": None if math.isnan(self.value) else self.value,
            "bar": self.bar,
            "comparison": self.comparison,
            "holds": self.holds,
        }
        if self.interval:
            record["interval"] = [self.interval.low, self.interval.high]
        return record
