"""What a source's settings ask of its records and no record says: the column is probably called otherwise."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from curate.settings import SourceSettings


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whether some of these records have a column that the settings name, and what is told where none has."""

    said: Callable[[pa.Table], bool]
    told: str


class Unsaid:
    """The columns of one source that no record has had yet.

    Files with a header, and Parquet, are refused without a column; of JSON each document may lack it, but hardly all.
    Cost: one pass over a column of each batch for every name that is still unsaid, none once all were met.
    """

    def __init__(self, source: SourceSettings) -> None:
        self._source = source.name
        self._read = 0
        self._left = [
            _Asked(_with_key(name), f"no record has a {name!r}, so no item has it beside it") for name in source.meta
        ]
        if source.label:
            self._left.append(_Asked(_labelled, f"no record has a {source.label!r}, so nothing was labelled"))
        if source.id:
            self._left.append(
                _Asked(_identified, f"no record has a {source.id!r}, so none is known again once it changes")
            )
        if column := source.licence_column:
            told = f"no record's {column!r} says another licence than the source's own"
            self._left.append(_Asked(_licensed(source.licence), told))

    def look(self, records: pa.Table, labelled: int = 0) -> None:
        """Cross out what these records say; `labelled` more had a label, and it was refused."""
        self._read += len(records)
        self._left = [
            asked for asked in self._left if not (asked.said(records) or (labelled and asked.said is _labelled))
        ]

    def notes(self) -> list[str]:
        """Say which columns no record had, where there was a record."""
        return [f"source {self._source!r}: {asked.told}" for asked in self._left] if self._read else []


def _labelled(records: pa.Table) -> bool:
    return bool(records["label"].null_count < len(records))


def _identified(records: pa.Table) -> bool:
    return _any(pc.not_equal(records["entity"], ""))


def _licensed(licence: str) -> Callable[[pa.Table], bool]:
    return lambda records: _any(pc.not_equal(records["licence"], licence))


def _with_key(name: str) -> Callable[[pa.Table], bool]:
    key = f"{json.dumps(name, ensure_ascii=False)}:"
    return lambda records: _any(pc.match_substring(records["metadata"], key))


def _any(mask: pa.ChunkedArray) -> bool:
    return pc.any(mask).as_py() or False
