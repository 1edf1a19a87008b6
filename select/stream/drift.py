"""Drift detectors: each is told after every label how wrong the model was, and says when the stream has changed.

All decide as river's detectors of the same names do (tests/select/stream), and begin anew after a drift. They tell of
changes to the better too (`rose` is False then), as where a model learns: a model is only to forget where errors rose.
Where labels are asked for by their utility, the share of errors among them is that of hard items and not the stream's;
that it rises tells of a drift all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import inf, log, sqrt
from typing import Any, Literal, Protocol

from curate.errors import BadDataError, UnknownNameError

Verdict = Literal["", "warning", "drift"]


class DriftDetector(Protocol):
    """What is told of errors, 0 or 1 each (or a loss), and answers with a verdict.

    `rose` says of the last drift whether there were more errors than before.
    """

    rose: bool

    def update(self, error: float) -> Verdict:
        """Take in the next error and say whether the stream has changed."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the state, the parameters in it, as plain data that JSON keeps to the bit."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where another detector of the same kind and parameters stopped; refuse any other's state."""
        ...


class _Kept:
    """Keeps all fields of a detector as its state: those with an underscore change, the others are its parameters."""

    __slots__ = ()

    def state(self) -> dict[str, Any]:
        """Return the state, the parameters in it, as plain data that JSON keeps to the bit."""
        return {one.name: _plain(getattr(self, one.name)) for one in fields(self)}  # type: ignore[arg-type]

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where another detector of the same kind and parameters stopped.

        Raises:
            BadDataError: the state is another's.
        """
        mine = self.state()
        changing = [name for name in mine if name.startswith("_") or name == "rose"]
        if mine.keys() != state.keys() or any(mine[name] != state[name] for name in mine if name not in changing):
            raise BadDataError("the state is another drift detector's", unchanged="nothing was taken in")
        for name in changing:
            setattr(self, name, _read(state[name]))


def _plain(value: Any) -> Any:
    """Numbers with a point as hexadecimal text, whatever they lie in."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.hex() if isinstance(value, float) else value


def _read(value: Any) -> Any:
    """What `_plain` was given: pairs are tuples, and lists of anything else are lists."""
    if isinstance(value, list):
        return tuple(map(_read, value)) if _is_pair(value) else [_read(one) for one in value]
    return float.fromhex(value) if isinstance(value, str) else value


def _is_pair(value: list[Any]) -> bool:
    return len(value) == 2 and all(isinstance(one, str) for one in value)


@dataclass(slots=True)
class PageHinkley(_Kept):
    """The cumulated deviation from the mean leaves its extreme by more than `threshold` (Page 1954), up or down.

    Cost: constant.
    """

    fewest: int = 30
    delta: float = 0.005
    threshold: float = 50.0
    forgetting: float = 1 - 0.0001
    rose: bool = False
    _count: int = 0
    _mean: float = 0.0
    _sums: tuple[float, float] = (0.0, 0.0)
    _extremes: tuple[float, float] = (inf, -1.0)

    def update(self, error: float) -> Verdict:
        """Take in the next value; there are no warnings."""
        self._count += 1
        self._mean += (error - self._mean) / self._count
        off = error - self._mean
        rise = self.forgetting * self._sums[0] + off - self.delta
        fall = self.forgetting * self._sums[1] + off + self.delta
        self._sums = rise, fall
        lowest, highest = self._extremes = min(self._extremes[0], rise), max(self._extremes[1], fall)
        if self._count < self.fewest or max(rise - lowest, highest - fall) <= self.threshold:
            return ""
        self.rose = rise - lowest > self.threshold
        self._count, self._mean, self._sums, self._extremes = 0, 0.0, (0.0, 0.0), (inf, -1.0)
        return "drift"


@dataclass(slots=True)
class Ddm(_Kept):
    """The error rate lies deviations above its lowest: two are a warning, three a drift (Gama et al. 2004).

    It hears of rises only.

    Cost: constant.
    """

    fewest: int = 30
    warning: float = 2.0
    drift: float = 3.0
    rose: bool = True
    _count: int = 0
    _rate: float = 0.0
    _lowest: tuple[float, float] = (inf, 0.0)

    def update(self, error: float) -> Verdict:
        """Take in the next error, 0 or 1."""
        self._count += 1
        self._rate += (error - self._rate) / self._count
        deviation = sqrt(self._rate * (1 - self._rate) / self._count)
        if self._count <= self.fewest:
            return ""
        if self._rate + deviation <= sum(self._lowest):
            self._lowest = self._rate, deviation
        above = self._rate + deviation
        if above > self._lowest[0] + self.drift * self._lowest[1]:
            self._count, self._rate, self._lowest = 0, 0.0, (inf, 0.0)
            return "drift"
        return "warning" if above > self._lowest[0] + self.warning * self._lowest[1] else ""


@dataclass(slots=True)
class Adwin(_Kept):
    """A window that is cut where the means of its two parts differ by more than chance (Bifet and Gavaldà 2007).

    The window is kept as buckets of 1, 2, 4, … values, at most `most` of each size: sums and inner variances.

    Args:
        delta: the chance of a false alarm that a cut may have.
        clock: cuts are looked for after every so many values.

    Memory and cost: the logarithm of the window.
    """

    delta: float = 0.002
    clock: int = 32
    most: int = 5
    shortest: int = 5
    grace: int = 10
    rose: bool = False
    _rows: list[list[tuple[float, float]]] = field(default_factory=lambda: [[]])
    _width: int = 0
    _total: float = 0.0
    _variance: float = 0.0
    _time: int = 0

    @property
    def width(self) -> int:
        """How many values the window holds."""
        return self._width

    @property
    def mean(self) -> float:
        """Their mean; 0 where there are none."""
        return self._total / self._width if self._width else 0.0

    def update(self, error: float) -> Verdict:
        """Take in the next value; there are no warnings."""
        self._time += 1
        self._add(error)
        if self._time % self.clock or self._width <= self.grace or not self._cut():
            return ""
        self._rows, self._width, self._total, self._variance, self._time = [[]], 0, 0.0, 0.0, 0
        return "drift"

    def _add(self, value: float) -> None:
        value = float(value)
        self._width += 1
        self._rows[0].append((value, 0.0))
        if self._width > 1:
            off = value - self._total / (self._width - 1)
            self._variance += (self._width - 1) * off * off / self._width
        self._total += value
        for size, row in enumerate(self._rows):
            if len(row) <= self.most:
                break
            if size + 1 == len(self._rows):
                self._rows.append([])
            self._rows[size + 1].append(_merged(row.pop(0), row.pop(0), 2**size))

    def _cut(self) -> bool:
        """Whether any split into older and newer values shows a change."""
        older, before = 0, 0.0
        for size in range(len(self._rows) - 1, -1, -1):
            for place, (total, _) in enumerate(self._rows[size]):
                if size == 0 and place == len(self._rows[0]) - 1:
                    return False
                older, before = older + 2**size, before + total
                newer = self._width - older
                if newer < self.shortest or older < self.shortest:
                    continue
                gap = before / older - (self._total - before) / newer
                if self._differ(older, newer, gap):
                    self.rose = gap < 0
                    return True
        return False

    def _differ(self, older: int, newer: int, gap: float) -> bool:
        doubt = log(2 * log(self._width) / self.delta)
        harmonic = 1 / (older - self.shortest + 1) + 1 / (newer - self.shortest + 1)
        reach = sqrt(2 * harmonic * self._variance / self._width * doubt) + 2 / 3 * harmonic * doubt
        return abs(gap) > reach


def _merged(first: tuple[float, float], second: tuple[float, float], size: int) -> tuple[float, float]:
    gap = (first[0] - second[0]) / size
    return first[0] + second[0], first[1] + second[1] + size * size * gap * gap / (2 * size)


DETECTORS: Mapping[str, Callable[[], DriftDetector]] = {"adwin": Adwin, "page-hinkley": PageHinkley, "ddm": Ddm}
"""All detectors by name, with river's parameters."""


def detector_named(name: str) -> DriftDetector:
    """Return a new detector by its name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in DETECTORS:
        raise UnknownNameError("drift detector", name, DETECTORS)
    return DETECTORS[name]()
