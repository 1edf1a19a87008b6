"""Groups of near-duplicates as of a commit: what the clusters say last, or the duplicates where they say nothing."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from curate.store.reader import Reader

_TIES = """
    WITH stood AS (
        SELECT item_id, arg_max(representative, (commit_number, method)) AS other
        FROM clusters WHERE commit_number <= $as_of GROUP BY item_id
    ), duplicated AS (
        SELECT item_id, arg_max(duplicate_of, (commit_number, method, duplicate_of)) AS other
        FROM duplicates ANTI JOIN stood USING (item_id) WHERE commit_number <= $as_of GROUP BY item_id
    ), ties AS (
        SELECT item_id, other FROM (FROM stood UNION ALL FROM duplicated) WHERE item_id <> other
    )"""
_AROUND = """
    SELECT item_id, other FROM ties
    WHERE item_id IN (SELECT item_id FROM wanted_items) OR other IN (SELECT item_id FROM wanted_items)"""


def register_groups(reader: Reader, as_of: int, only: Sequence[str] | None = None) -> None:
    """Make the table `near_groups` visible: the items that do not stand alone, each with its group's smallest id.

    `root` is that id, `key` a number below zero that stands for it. With `only`, of the groups of these items. Memory:
    the ids of items that have duplicates.
    """
    ties = _pairs(reader, _TIES + "FROM ties", as_of) if only is None else _ties_around(reader, as_of, only)
    roots = components(ties)
    keys = {root: -1 - number for number, root in enumerate(sorted(set(roots.values())))}
    columns = {
        "item_id": pa.array(roots.keys(), pa.string()),
        "root": pa.array(roots.values(), pa.string()),
        "key": pa.array([keys[root] for root in roots.values()], pa.int64()),
    }
    reader.register("near_groups", pa.table(columns))


def components(ties: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the smallest item of each tied item's connected component.

    >>> components([("c", "b"), ("b", "a"), ("y", "x")])
    {'c': 'a', 'b': 'a', 'a': 'a', 'y': 'x', 'x': 'x'}
    """
    above: dict[str, str] = {}
    items: dict[str, None] = {}

    def root(item: str) -> str:
        top = item
        while top in above:
            top = above[top]
        while item != top:
            above[item], item = top, above[item]
        return top

    for pair in ties:
        items.update(dict.fromkeys(pair))
        low, high = sorted(map(root, pair))
        if low != high:
            above[high] = low
    return {item: root(item) for item in items}


def _ties_around(reader: Reader, as_of: int, only: Sequence[str]) -> list[tuple[str, str]]:
    known = set(only)
    while True:
        reader.register("wanted_items", pa.table({"item_id": pa.array(sorted(known), pa.string())}))
        ties = _pairs(reader, _TIES + _AROUND, as_of)
        met = known.union(*ties)
        if met == known:
            return ties
        known = met


def _pairs(reader: Reader, query: str, as_of: int) -> list[tuple[str, str]]:
    found = reader.query(query, {"as_of": as_of})
    return list(zip(found["item_id"].to_pylist(), found["other"].to_pylist(), strict=True))
