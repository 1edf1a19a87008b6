"""Where the rows of an export come from: the source and licence of each, and the licences of all their origins.

Whole commits are told by what is counted of them, by the statistics of row groups where these say enough. The ids of
origins are read only where a commit has several sources or licences, or brought anything but one origin for each of its
new items.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from curate.store.address import LakeAddress
from curate.store.exports.matching import Positions, id_words
from curate.store.reader import Reader
from curate.store.schema import table
from curate.store.segments import read_columns, uniform_groups

_ROWS = 100_000
_BY_COMMIT = """
    WITH brought AS (SELECT commit_number, sum(count) AS items FROM counted_items GROUP BY commit_number)
    SELECT commit_number, sum(count)::BIGINT AS origins, coalesce(any_value(items), 0)::BIGINT AS items,
        min(source) AS source, min(licence) AS licence, min(source) = max(source) AND min(licence) = max(licence)
            AND count(source) = count(*) AND count(licence) = count(*) AS uniform
    FROM counted_origins LEFT JOIN brought USING (commit_number) GROUP BY commit_number ORDER BY commit_number"""
_COUNTED = {"items": ("commit_number",), "origins": ("commit_number", "source", "licence")}
"""What `_BY_COMMIT` asks of these tables; each row stands for as many as its `count` says."""
_MIXED = """
    SELECT item_id, commit_number, arg_min(source, (source, locator)) AS source,
        arg_min(licence, (source, locator)) AS licence
    FROM origins WHERE list_contains($commits, commit_number) GROUP BY item_id, commit_number"""
_LICENCES = "SELECT item_id, licence FROM origins WHERE list_contains($commits, commit_number)"
_RESTATED = """
    WITH restated AS (
        SELECT item_id, source, locator, licence, true AS told FROM restatements WHERE commit_number <= $as_of
        QUALIFY row_number() OVER (PARTITION BY item_id, source, locator ORDER BY commit_number DESC, turn DESC) = 1
    ), newest AS (
        SELECT o.item_id, o.commit_number, o.source, o.locator,
            CASE WHEN r.told THEN r.licence ELSE o.licence END AS licence
        FROM origins o SEMI JOIN restated ON restated.item_id = o.item_id
        LEFT JOIN restated r ON (r.item_id = o.item_id AND r.source = o.source AND r.locator = o.locator)
        WHERE o.commit_number <= $as_of
    )"""
"""Of items whose places have said another licence since, all origins with what they say at the commit `as_of`."""
_RESTATED_PAIRS = f"""{_RESTATED}
    SELECT item_id, commit_number, arg_min(source, (source, locator)) AS source,
        arg_min(licence, (source, locator)) AS licence
    FROM newest GROUP BY item_id, commit_number"""
_RESTATED_LICENCES = f"{_RESTATED} SELECT item_id, licence FROM newest"
_Integers = np.ndarray[Any, np.dtype[np.int64]]
_Flags = np.ndarray[Any, np.dtype[np.bool_]]
LicenceSets = list[tuple[tuple[str, ...], int]]


@dataclass(slots=True)
class Pairs:
    """Sources with licences, each pair with a code, in the order in which they were met."""

    codes: dict[tuple[str | None, str | None], int] = field(default_factory=dict)

    def encode(self, sources: pa.Array, licences: pa.Array) -> _Integers:
        """Return each row's code; -1 where it has neither."""
        source, licence = (_coded(column) for column in (sources, licences))
        names = len(licence.dictionary) + 1
        combined = _indices(source) * names + _indices(licence)
        present, row_of = np.unique(combined, return_inverse=True)
        codes = [self._code(source, licence, *divmod(int(both), names)) for both in present]
        return np.asarray(codes, np.int64)[row_of]

    def table(self) -> pa.Table:
        """Return the pairs by their codes, with the columns `source` and `licence`."""
        names = list(self.codes)
        columns = {"source": [source for source, _ in names], "licence": [licence for _, licence in names]}
        return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})

    def _code(self, sources: pa.Array, licences: pa.Array, source: int, licence: int) -> int:
        pair = (sources.dictionary[source - 1].as_py() if source else None,
                licences.dictionary[licence - 1].as_py() if licence else None)  # fmt: skip
        return -1 if pair == (None, None) else self.codes.setdefault(pair, len(self.codes))


class Origins:
    """The origins of a snapshot's rows, whose `commits` brought them (-1: erased since), at the commit `as_of`.

    An item's source and licence are those of the commit that brought it; where that has several, the first by source
    and locator. A licence that its place has corrected since takes the first one's place. Memory: 8 bytes a row, and
    the origins of commits that have several.
    """

    def __init__(self, reader: Reader, positions: Positions, commits: _Integers, as_of: int) -> None:
        self._reader, self._positions, self._commits, self._as_of = reader, positions, commits, as_of
        for name, columns in _COUNTED.items():
            reader.register(f"counted_{name}", _counted(reader, name, columns))
        self._known = reader.query(_BY_COMMIT)
        self._numbers = self._known["commit_number"].to_numpy()
        self.pairs = Pairs()
        self.pair_of = self._encoded()

    def licence_sets(self) -> LicenceSets:
        """Return each set of licences that items came under ("": none declared), and how many items that are.

        Origins count that had come by the commit `as_of`.
        """
        as_of = self._as_of
        licences = self._known["licence"].to_pylist()
        names: dict[str, int] = {}
        codes = np.asarray([names.setdefault(name or "", len(names)) for name in licences] or [0], np.int64)
        plain = self._flags("uniform") & (self._column("origins") == self._column("items")) & (self._numbers <= as_of)
        at, known = self._place_of_commit
        rows = np.flatnonzero(known & self._hold(plain, at))
        several = [(rows, codes[at[rows]])]
        odd = self._numbers[~plain & (self._numbers <= as_of)].tolist()
        if odd:
            several += self._licences(_LICENCES, {"commits": odd}, names)
        if restated := self._licences(_RESTATED_LICENCES, {"as_of": as_of}, names):
            again = np.zeros(len(self._commits), np.bool_)
            for rows, _ in restated:
                again[rows] = True
            several = [(rows[~again[rows]], code[~again[rows]]) for rows, code in several] + restated
        return _sets(several, list(names))

    def _licences(
        self, query: str, parameters: dict[str, object], names: dict[str, int]
    ) -> list[tuple[_Integers, _Integers]]:
        """Return rows with the code of a licence each, batch by batch; `names` gains what is new."""
        told = []
        for batch in self._reader.stream(query, parameters, rows=_ROWS):
            found = self._positions.find(id_words(batch["item_id"]))
            licence = _coded(batch["licence"])
            mapped = [names.setdefault(name or "", len(names)) for name in licence.dictionary.to_pylist()]
            code = np.asarray([names.setdefault("", len(names)), *mapped], np.int64)[_indices(licence)]
            told.append((found[found >= 0], code[found >= 0]))
        return told

    def _encoded(self) -> _Integers:
        """The code of each row's pair: its commit's, or its own where that commit has several."""
        uniform = self._flags("uniform")
        codes = np.full(len(self._numbers) + 1, -1, np.int64)
        columns = [self._known.filter(pa.array(uniform))[name].combine_chunks() for name in ("source", "licence")]
        codes[:-1][uniform] = self.pairs.encode(*columns)
        at, known = self._place_of_commit
        pair_of = np.where(known & self._hold(uniform, at), codes[at], -1)
        mixed = np.unique(self._commits[known & ~self._hold(uniform, at)]).tolist()
        if mixed:
            self._take_in(pair_of, _MIXED, {"commits": mixed})
        self._take_in(pair_of, _RESTATED_PAIRS, {"as_of": self._as_of})
        return pair_of

    def _take_in(self, pair_of: _Integers, query: str, parameters: dict[str, object]) -> None:
        """Give the rows the pairs that a query has of them, each by the commit that brought it."""
        for batch in self._reader.stream(query, parameters, rows=_ROWS):
            found = self._positions.find(id_words(batch["item_id"]))
            own = (found >= 0) & (self._commits[found] == batch["commit_number"].to_numpy())
            pair_of[found[own]] = self.pairs.encode(batch["source"], batch["licence"])[own]

    @cached_property
    def _place_of_commit(self) -> tuple[_Integers, _Flags]:
        """Where each row's commit stands among those that have origins, and whether it does."""
        places = np.full(int(max(self._commits.max(initial=0), self._numbers.max(initial=0))) + 2, -1, np.int32)
        places[self._numbers] = np.arange(len(self._numbers))
        at = places[self._commits]  # the last one is that of rows without a commit
        return np.maximum(at, 0), at >= 0

    def _hold(self, flags: _Flags, at: _Integers) -> _Flags:
        return flags[at] if len(flags) else np.zeros(len(at), np.bool_)

    def _flags(self, name: str) -> _Flags:
        return np.asarray(self._known[name].fill_null(False).to_numpy(), np.bool_)

    def _column(self, name: str) -> _Integers:
        return np.asarray(self._known[name].to_numpy(), np.int64)


def _counted(reader: Reader, name: str, columns: Sequence[str]) -> pa.Table:
    """Rows of a table, or one for a row group of which statistics say that all its rows are alike, each with a count.

    Memory: the rows of the other row groups, without what repeats.
    """
    layout = pa.schema([*(table(name).schema.field(column) for column in columns), ("count", pa.int64())])
    if isinstance(reader.address, LakeAddress):
        return reader.query(f"SELECT {', '.join(columns)}, count(*) AS count FROM {name} GROUP BY ALL").cast(layout)
    alike, others = list[dict[str, Any]](), [layout.empty_table()]
    for path in reader.segments(name):
        groups = uniform_groups(path, columns)
        alike += [{**values, "count": rows} for rows, values in groups if values is not None]
        odd = np.repeat([values is None for _, values in groups], [rows for rows, _ in groups])
        for _, batch in read_columns(path, columns, rows=odd) if odd.any() else ():
            counted = pa.Table.from_batches([batch]).group_by(list(columns)).aggregate([([], "count_all")])
            others.append(counted.rename_columns([*columns, "count"]).select(layout.names).cast(layout))
    return pa.concat_tables([pa.Table.from_pylist(alike, layout), *others])


def _sets(found: list[tuple[_Integers, _Integers]], names: list[str]) -> LicenceSets:
    """Count rows by the set of their licences, from pairs of a row and a licence's code."""
    if len(found) == 1:  # one licence a row
        counts = np.bincount(found[0][1], minlength=len(names))
        return sorted(((name,), int(count)) for name, count in zip(names, counts, strict=True) if count)
    rows, codes = (np.concatenate(part) for part in zip(*found, strict=True))
    pairs = np.unique(rows * len(names) + codes)
    rows, codes = pairs // max(1, len(names)), pairs % max(1, len(names))
    alone = np.ones(len(rows), np.bool_)
    alone[1:] &= rows[1:] != rows[:-1]
    alone[:-1] &= rows[1:] != rows[:-1]
    counted = Counter[tuple[str, ...]](
        {(names[code],): int(count) for code, count in enumerate(np.bincount(codes[alone])) if count}
    )
    held = defaultdict[int, list[str]](list)
    for row, code in zip(rows[~alone].tolist(), codes[~alone].tolist(), strict=True):
        held[row].append(names[code])
    counted.update(tuple(sorted(licences)) for licences in held.values())
    return sorted(counted.items())


def _coded(column: pa.Array) -> pa.DictionaryArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _indices(column: pa.DictionaryArray) -> _Integers:
    """The place of each value in the dictionary plus one; 0 for null."""
    return np.asarray(column.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)) + 1
