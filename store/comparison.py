"""Whether two stores hold the same rows: every table, without run ids, times, attempts and costs, in any order."""

import math
from collections.abc import Iterable
from typing import Any

from curate.store.reader import Reader
from curate.store.schema import TABLES, Table

TOLERANCE = 1e-9


def differences(first: Reader, second: Reader, *, most: int = 10) -> list[str]:
    """Return up to `most` sentences about rows that the two stores do not share; empty says that they are the same.

    Floats are compared to `TOLERANCE`, everything else exactly. Memory: both stores; meant for tests and small copies.
    """
    found: list[str] = []
    for table in TABLES:
        if not table.volatile_table:
            found += _compare(table, _rows(first, table), _rows(second, table))
    return found[:most]


def _rows(reader: Reader, table: Table) -> list[tuple[Any, ...]]:
    names = [name for name in table.schema.names if name not in {*table.volatile, "run_id"}]
    columns = ", ".join(f'"{name}"' for name in names)
    return sorted((tuple(row.values()) for row in reader.query(f'SELECT {columns} FROM "{table.name}"').to_pylist()), key=repr)


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
