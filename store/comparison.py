"""Whether two stores hold the same rows: every table, without run ids, times, attempts and costs, in any order."""

import math
from collections.abc import Iterable
from typing import Any

from curate.store.reader import Reader
from curate.store.schema import TABLES, Table

TOLERANCE = 1e-9


def differences(first: Reader, second: Reader, *, commits: bool = True, most: int = 10) -> list[str]:
    """Return up to `most` sentences about rows that the two stores do not share; empty says that they are the same.

    `commits` says whether rows must also have come with the same commit, which they do unless two processes took turns.
    Floats are compared to `TOLERANCE`, everything else exactly. Memory: both stores; meant for tests and small copies.
    """
    found: list[str] = []
    for table in TABLES:
        if not table.volatile_table:
            names = _compared_columns(table, commits)
            found += _compare(table, _rows(first, table, names), _rows(second, table, names))
    return found[:most]


def _compared_columns(table: Table, commits: bool) -> list[str]:
    left_out = {*table.volatile, "run_id"} | (set() if commits else {"commit_number"})
    return [name for name in table.schema.names if name not in left_out]


def _rows(reader: Reader, table: Table, names: list[str]) -> list[tuple[Any, ...]]:
    columns = ", ".join(f'"{name}"' for name in names)
    found = reader.query(f'SELECT {columns} FROM "{table.name}"').to_pylist()
    return sorted((tuple(row.values()) for row in found), key=repr)


def _compare(table: Table, first: list[tuple[Any, ...]], second: list[tuple[Any, ...]]) -> Iterable[str]:
    if len(first) != len(second):
        yield f"{table.name}: {len(first)} rows against {len(second)}"
    for one, other in zip(first, second, strict=False):
        if not all(map(_same, one, other)):
            yield f"{table.name}: {one!r:.300} against {other!r:.300}"
            return


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)
