"""What came, what went and what changed between two numbers of a snapshot."""

from dataclasses import dataclass

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.snapshots.numbered import Numbered

_BOTH = """
    WITH one AS (SELECT item_id, label, split FROM snapshot_items WHERE snapshot = $first AND number = $first_number),
    other AS (SELECT item_id, label, split FROM snapshot_items WHERE snapshot = $second AND number = $second_number),
    paired AS (
        SELECT item_id, one.label AS label_before, one.split AS split_before, other.label AS label_after,
            other.split AS split_after, one.split IS NULL AS came, other.split IS NULL AS went,
            one.split IS NOT NULL AND other.split IS NOT NULL AS stayed,
            stayed AND one.label IS DISTINCT FROM other.label AS relabelled,
            stayed AND one.split <> other.split AS moved
        FROM one FULL JOIN other USING (item_id)
    )"""
_COUNTS = (
    _BOTH
    + """
    SELECT count(*) FILTER (came) AS came, count(*) FILTER (went) AS went, count(*) FILTER (relabelled) AS relabelled,
        count(*) FILTER (moved) AS moved, count(*) FILTER (stayed AND NOT relabelled AND NOT moved) AS unchanged
    FROM paired"""
)
_ITEMS = (
    _BOTH
    + """
    SELECT item_id, CASE WHEN came THEN 'came' WHEN went THEN 'went' ELSE 'changed' END AS change,
        label_before, label_after, split_before, split_after
    FROM paired WHERE came OR went OR relabelled OR moved ORDER BY item_id"""
)


@dataclass(frozen=True, slots=True)
class Difference:
    """How many items came, went, changed their label or their split (or both), and stayed as they were."""

    came: int
    went: int
    relabelled: int
    moved: int
    unchanged: int


def count_differences(reader: Reader, first: Numbered, second: Numbered) -> Difference:
    """Count what differs from the first snapshot to the second."""
    [counts] = reader.query(_COUNTS, _parameters(first, second)).to_pylist()
    return Difference(**counts)


def differing_items(reader: Reader, first: Numbered, second: Numbered) -> pa.RecordBatchReader:
    """Return what differs in the order of the ids: `change` is came, went or changed; label and split before and after.

    The other way round, what came went, and before is after. Memory: DuckDB's join of the two lists of ids.
    """
    return reader.stream(_ITEMS, _parameters(first, second))


def _parameters(first: Numbered, second: Numbered) -> dict[str, object]:
    return {
        "first": first.snapshot,
        "first_number": first.number,
        "second": second.snapshot,
        "second_number": second.number,
    }
