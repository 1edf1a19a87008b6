"""Event sequences, padded into arrays, with the unit of their times and the window in which they were watched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from curate.errors import BadDataError
from curate.learners.numerics import Array, Floats, Integers

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class EventSequences:
    """Sequences of events in rows: event i of a row happened at `times[row, i]` and is of the type `types[row, i]`.

    times, types: float64 and int64 of shape (sequences, longest). From `lengths[row]` on a row is padding: the row's
    last time and type 0. Times never fall within a row; they are in the unit `unit`, whatever that is.
    origin, end: a row was watched from `origin` to `end`, and had no events there but these.
    given: the first so many events of a row are history that a likelihood is conditioned on, and so is all that went
    before the last of them. With 0 the likelihood begins at `origin`.
    type_count: types are 0 to `type_count` - 1.
    """

    times: Floats
    types: Integers
    lengths: Integers
    origin: Floats
    end: Floats
    given: Integers
    type_count: int
    unit: str

    @classmethod
    def of(
        cls, events: Sequence[tuple[Array, Array]], *, unit: str, type_count: int | None = None, given: int = 1
    ) -> Self:
        """Pad pairs of times and types; each is watched from its first event, which is given, to its last.

        Raises:
            BadDataError: an empty sequence, a time that falls or is not finite, a type outside `type_count`.
        """
        lengths = np.array([len(times) for times, _ in events], dtype=np.int64)
        flat_times = np.concatenate([np.zeros(0), *(times for times, _ in events)])
        flat_types = np.concatenate([np.zeros(0, dtype=np.int64), *(types for _, types in events)]).astype(np.int64)
        return cls._of_flat(flat_times, flat_types, lengths, unit=unit, type_count=type_count, given=given)

    @classmethod
    def from_arrow(
        cls, column: pa.ListArray | pa.ChunkedArray, *, unit: str, type_count: int | None = None, given: int = 1
    ) -> Self:
        """Pad a column of the store, a list of structs of `time` and `type`; see `of`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        lengths = pc.fill_null(pc.list_value_length(whole), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        flat = whole.flatten()
        times = flat.field("time").to_numpy(zero_copy_only=False).astype(np.float64)
        types = flat.field("type").to_numpy(zero_copy_only=False)
        return cls._of_flat(times, types.astype(np.int64), lengths, unit=unit, type_count=type_count, given=given)

    @classmethod
    def _of_flat(
        cls, times: Floats, types: Integers, lengths: Integers, *, unit: str, type_count: int | None, given: int
    ) -> Self:
        count = int(types.max(initial=-1)) + 1 if type_count is None else type_count
        _check(times, types, lengths, count)
        first = np.cumsum(lengths) - lengths
        last = first + lengths - 1
        places = np.minimum(first[:, None] + np.arange(lengths.max(initial=0)), last[:, None])
        padding = np.arange(lengths.max(initial=0)) >= lengths[:, None]
        return cls(
            times=times[places],
            types=np.where(padding, 0, types[places]),
            lengths=lengths,
            origin=times[first],
            end=times[last],
            given=np.minimum(given, lengths),
            type_count=count,
            unit=unit,
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def mask(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Where there is an event, and no padding: of shape (sequences, longest)."""
        found: np.ndarray[Any, np.dtype[np.bool_]] = np.arange(self.times.shape[1]) < self.lengths[:, None]
        return found

    @property
    def counted(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Where there is an event that is not given: what a likelihood, a prediction and a score are about."""
        return self.mask & (np.arange(self.times.shape[1]) >= self.given[:, None])

    @property
    def gaps(self) -> Floats:
        """The time since the event before, or since the origin: of shape (sequences, longest), 0 in the padding."""
        return np.diff(self.times, axis=1, prepend=self.origin[:, None])

    @property
    def durations(self) -> Floats:
        """How long each interval lasted: `gaps`, and behind the last event the time to the end; (…, longest + 1)."""
        found = np.pad(self.gaps, ((0, 0), (0, 1)))
        rows = np.arange(len(self))
        found[rows, self.lengths] = self.end - np.where(self.lengths, self._last(), self.origin)
        return found

    def _last(self) -> Floats:
        if not self.times.shape[1]:
            return self.origin
        found: Floats = self.times[np.arange(len(self)), self.lengths - 1]
        return found

    def select(self, rows: Array) -> EventSequences:
        """Return some of the sequences, padded no further than they need."""
        lengths = self.lengths[rows]
        longest = int(lengths.max(initial=0))
        return replace(
            self,
            times=self.times[rows, :longest],
            types=self.types[rows, :longest],
            lengths=lengths,
            origin=self.origin[rows],
            end=self.end[rows],
            given=self.given[rows],
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return all sequences of all parts, in order.

        Raises:
            BadDataError: there is no part, or their units or numbers of types differ.
        """
        if len({(part.unit, part.type_count) for part in parts}) != 1:
            raise BadDataError("only event sequences of one unit and one number of types can be joined")
        longest = max(part.times.shape[1] for part in parts)
        room = [((0, 0), (0, longest - part.times.shape[1])) for part in parts]
        return replace(
            parts[0],
            times=np.concatenate([_widened(part.times, more) for part, more in zip(parts, room, strict=True)]),
            types=np.concatenate([np.pad(part.types, more) for part, more in zip(parts, room, strict=True)]),
            lengths=np.concatenate([part.lengths for part in parts]),
            origin=np.concatenate([part.origin for part in parts]),
            end=np.concatenate([part.end for part in parts]),
            given=np.concatenate([part.given for part in parts]),
        )

    def with_given(self, events: int) -> EventSequences:
        """Return the same sequences with their first so many events as history."""
        return replace(self, given=np.minimum(events, self.lengths))


def _widened(times: Floats, room: Sequence[tuple[int, int]]) -> Floats:
    return np.pad(times, room, mode="edge") if times.shape[1] else np.pad(times, room)


def _check(times: Floats, types: Integers, lengths: Integers, type_count: int) -> None:
    if not lengths.all():
        raise BadDataError(f"sequence {int(np.argmin(lengths))} has no event")
    if not np.isfinite(times).all():
        raise BadDataError("a time is not finite")
    row = np.repeat(np.arange(len(lengths)), lengths)
    falls = (np.diff(times) < 0) & (np.diff(row) == 0)
    if falls.any():
        raise BadDataError(f"the times of sequence {int(row[:-1][falls][0])} fall", hint="sort its events by time")
    outside = (types < 0) | (types >= type_count)
    if outside.any():
        raise BadDataError(f"the type {int(types[outside][0])} is not one of {type_count}")
