"""Under which licences the items of a snapshot came, every origin counted: one item may have come under several."""

from collections.abc import Sequence

from curate.store.reader import Reader
from curate.store.snapshots import Numbered

_ALL = "SELECT DISTINCT licence FROM origins WHERE commit_number <= $as_of ORDER BY licence"
_HELD = """
    SELECT o.item_id, list_sort(list(DISTINCT o.licence)) AS licences
    FROM origins o SEMI JOIN (
        SELECT item_id FROM snapshot_items WHERE snapshot = $snapshot AND number = $number
    ) USING (item_id)
    WHERE o.commit_number <= $as_of GROUP BY o.item_id"""
_COUNTED = f"SELECT licences, count(*) AS items FROM ({_HELD}) GROUP BY licences ORDER BY licences"


def licences_of(reader: Reader, snapshot: Numbered, as_of: int) -> list[tuple[tuple[str, ...], int]]:
    """Return each set of licences that items of a snapshot came under ("": none declared), and how many items that are.

    Origins count that had come by the commit `as_of`. Cost: where the store knows one licence only, one scan of that
    column; else a grouping of the items' origins.
    """
    known: Sequence[str] = reader.query(_ALL, {"as_of": as_of})["licence"].to_pylist()
    if len(known) <= 1:
        return [(tuple(known), snapshot.size)] if known else []
    asked = {"as_of": as_of, "snapshot": snapshot.snapshot, "number": snapshot.number}
    found = reader.query(_COUNTED, asked).to_pylist()
    return [(tuple(row["licences"]), row["items"]) for row in found]
