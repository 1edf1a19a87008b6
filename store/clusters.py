"""Clusters: which items say or show the same, and which of them stands for each group.

The newest row of an item counts; an item without one stands alone, and so does one that represents itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.write import LedgerKey

_STANDING = """
    WITH held AS (
        SELECT DISTINCT item_id FROM their_snapshot_items ANTI JOIN tombstones USING (item_id)
        WHERE split IN ('validation', 'test')
    ), gone AS (
        SELECT item_id FROM their_decisions WHERE step = 'ingest' GROUP BY item_id
        HAVING arg_min(action, (-commit_number, action)) = 'drop' AND item_id NOT IN (FROM held)
    ), own AS (
        SELECT item_id, arg_max(representative, commit_number) FILTER (method = $method) AS representative,
            arg_max(representative, commit_number) AS shown
        FROM their_clusters GROUP BY item_id
    ), judged AS (
        SELECT item_id, arg_min(action, (-commit_number, action)) AS action
        FROM their_decisions WHERE step = 'dedup' GROUP BY item_id
    )
    SELECT w.item_id, coalesce(o.representative, w.item_id) AS representative, coalesce(o.shown, w.item_id) AS shown,
        coalesce(j.action = 'drop', false) AS dropped, h.item_id IS NOT NULL AS evaluates, g.item_id IS NOT NULL AS gone
    FROM wanted_items w LEFT JOIN own o USING (item_id) LEFT JOIN judged j USING (item_id)
    LEFT JOIN held h USING (item_id) LEFT JOIN gone g USING (item_id) ORDER BY w.item_id"""
"""Gone are items that no longer count: erased ones, and superseded ones that no snapshot evaluates with."""
_MEMBERS = """
    SELECT item_id FROM their_clusters WHERE method = $method GROUP BY item_id
    HAVING arg_max(representative, commit_number) IN (SELECT item_id FROM wanted_items)"""
_THEIR = {
    "clusters": ("item_id", "representative", "method", "commit_number"),
    "decisions": ("item_id", "step", "action", "commit_number"),
    "snapshot_items": ("item_id", "split"),
}
"""What is asked about single items."""
_MOVED = """
    SELECT DISTINCT item_id FROM decisions SEMI JOIN (
        SELECT item_id FROM ledger WHERE step = $step AND step_version = $version AND parameters = $parameters
    ) USING (item_id)
    WHERE step = 'ingest' AND commit_number > $after ORDER BY item_id"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an item stands when duplicates are sought by one method.

    `representative` is what that method says, `shown` what the newest row of any method says; `dropped` whether it is
    out as a duplicate, `evaluates` whether a snapshot holds it in validation or test, `gone` whether it was superseded.
    """

    item_id: str
    representative: str
    shown: str
    dropped: bool
    evaluates: bool
    gone: bool


def standings(reader: Reader, method: str, ids: Sequence[str]) -> dict[str, Standing]:
    """Return how each of these items stands. Cost: grows with what is known of them."""
    _want(reader, ids)
    for name in _THEIR:
        _tell(reader, name, ids)
    return {row["item_id"]: Standing(**row) for row in reader.query(_STANDING, {"method": method}).to_pylist()}


def cluster_members(reader: Reader, method: str, representatives: Sequence[str]) -> list[str]:
    """Return the items that these items represent, and these items themselves."""
    represented = reader.find("clusters", "representative", representatives, ("item_id",))["item_id"]
    _tell(reader, "clusters", represented.unique())
    _want(reader, representatives)
    found = reader.query(_MEMBERS, {"method": method})["item_id"].to_pylist()
    return sorted({*representatives, *found})


def moved_items(reader: Reader, ledger: LedgerKey, after: int) -> list[str]:
    """Return the compared items that were superseded, or came back, after the commit `after`."""
    key = {"step": ledger.step, "version": ledger.step_version, "parameters": ledger.parameters, "after": after}
    found: list[str] = reader.query(_MOVED, key)["item_id"].to_pylist()
    return found


def dropped_for(reader: Reader, ids: Sequence[str]) -> list[str]:
    """Return the items that were ever found to duplicate one of these: an erased item has no group that would tell."""
    _want(reader, ids)
    found = reader.query(
        "SELECT DISTINCT item_id FROM duplicates SEMI JOIN wanted_items w ON duplicate_of = w.item_id"
        " SEMI JOIN items USING (item_id) ORDER BY item_id"
    )
    ids_found: list[str] = found["item_id"].to_pylist()
    return ids_found


def cluster_representatives(reader: Reader, ids: Sequence[str]) -> dict[str, str]:
    """Return the smallest item of each item's group of duplicates, itself where it stands alone.

    Items with one representative belong together: near-duplicates must not be parted by a split. Cost: one scan of the
    clusters; memory proportional to `ids`.
    """
    _want(reader, ids)
    found = reader.query(
        "SELECT item_id, arg_max(representative, commit_number) AS representative"
        " FROM clusters SEMI JOIN wanted_items USING (item_id) GROUP BY item_id"
    )
    known = dict(zip(found["item_id"].to_pylist(), found["representative"].to_pylist(), strict=True))
    return {item_id: known.get(item_id, item_id) for item_id in ids}


def _tell(reader: Reader, name: str, ids: Sequence[str] | pa.Array) -> None:
    """Register the rows of a table about these items as `their_NAME`."""
    reader.register(f"their_{name}", reader.find(name, "item_id", ids, _THEIR[name]))


def _want(reader: Reader, ids: Sequence[str]) -> None:
    reader.register("wanted_items", pa.table({"item_id": pa.array(ids, pa.string())}))
