"""Rules over event sequences: length, gaps, disorder, times that cannot be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from curate.errors import UsageError
from curate.select.quality.bounds import Rule, described, objecting, with_bounds

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

METHOD = "1"
"""The number grows whenever a sequence would get other measures."""
EMPTY = "empty"
"""What is said of a sequence without events."""
RULES: tuple[Rule, ...] = (
    Rule("too_few_events", "at least", 2, "events"),
    Rule("too_many_events", "at most", 100_000, "events"),
    Rule("long_gap", "at most", 0.9, "largest gap over the whole span, of three events or more"),
    Rule("disorder", "at most", 0, "share of events before whose time the one before it lies"),
    Rule("impossible_times", "at most", 0, "share of events whose time is no number or lies outside what can be"),
    Rule("repeated_events", "at most", 0.5, "share of events of the time and type of the one before"),
)


class EventQuality:
    """Rules over event sequences with their bounds.

    Args:
        bounds: other bounds by the names of `RULES`.
        without: names of rules that are not asked.
        earliest: the first time that can be, in the sequences' own unit.
        latest: the last.

    Gaps are those between times in their order, and times that are no number have none. Cost: a few sorts of all
    times. Memory: about 60 bytes an event.

    Raises:
        UnknownNameError: there is no such rule.
        UsageError: no rule left, a bound that is no number, or no time between the earliest and the latest.
    """

    name = "event quality"

    def __init__(
        self,
        *,
        bounds: Mapping[str, float] = MappingProxyType({}),
        without: Sequence[str] = (),
        earliest: float = -math.inf,
        latest: float = math.inf,
    ) -> None:
        if not earliest <= latest:
            raise UsageError(f"no time lies between {earliest} and {latest}", hint="give earliest <= latest")
        self.rules = with_bounds(RULES, bounds, without)
        self._earliest, self._latest = earliest, latest
        self.version = f"event-quality:{METHOD} {described(self.rules)} from={earliest:.15g} to={latest:.15g}"

    def reasons(self, sequences: pa.ChunkedArray | pa.Array) -> list[tuple[str, ...]]:
        """Return the names of the rules that object to each sequence: a list of structs of `time` and `type`."""
        columns = self.measures(sequences)
        counts = columns["too_few_events"].tolist()
        rows = zip(*(columns[rule.name].tolist() for rule in RULES), strict=True)
        names = [rule.name for rule in RULES]
        return [
            objecting(self.rules, dict(zip(names, row, strict=True))) if count else (EMPTY,)
            for count, row in zip(counts, rows, strict=True)
        ]

    def measures(self, sequences: pa.ChunkedArray | pa.Array) -> dict[str, NDArray[np.float64]]:
        """Return the measure of each rule by its name, float64 of shape (sequences,); a null sequence is empty."""
        import numpy as np

        times, types, owners, count = _events(sequences)
        counts = np.bincount(owners, minlength=count).astype(np.float64)
        possible = np.isfinite(times) & (times >= self._earliest) & (times <= self._latest)
        follows = owners[1:] == owners[:-1]
        with np.errstate(invalid="ignore"):
            back = follows & (times[1:] < times[:-1])
        again = follows & (times[1:] == times[:-1]) & (types[1:] == types[:-1])
        return {
            "too_few_events": counts,
            "too_many_events": counts,
            "long_gap": _largest_gap(times, owners, count),
            "disorder": _share(owners[1:][back], counts),
            "impossible_times": _share(owners[~possible], counts),
            "repeated_events": _share(owners[1:][again], counts),
        }


def _events(
    sequences: pa.ChunkedArray | pa.Array,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], int]:
    """Return times, types and the sequence of every event, and how many sequences there are."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = sequences.combine_chunks() if isinstance(sequences, pa.ChunkedArray) else sequences
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    events = pc.list_flatten(column)
    times = pc.fill_null(pc.struct_field(events, "time"), math.nan).to_numpy(zero_copy_only=False)
    types = pc.fill_null(pc.struct_field(events, "type"), -1).to_numpy(zero_copy_only=False)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    return times.astype(np.float64), types.astype(np.int64), owners, len(lengths)


def _share(owners: NDArray[np.int64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(np.bincount(owners, minlength=len(counts)) / np.maximum(counts, 1), np.float64)


def _largest_gap(times: NDArray[np.float64], owners: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return the largest gap over the span; NaN where fewer than three times are numbers, or they are all equal."""
    import numpy as np

    finite = np.isfinite(times)
    order = np.lexsort((times[finite], owners[finite]))
    times, owners = times[finite][order], owners[finite][order]
    gaps = np.where(owners[1:] == owners[:-1], np.diff(times), 0.0)
    largest, span = np.zeros(count), np.zeros(count)
    np.maximum.at(largest, owners[1:], gaps)
    np.add.at(span, owners[1:], gaps)
    enough = (np.bincount(owners, minlength=count) >= 3) & (span > 0)
    return np.asarray(np.divide(largest, span, out=np.full(count, np.nan), where=enough), np.float64)
