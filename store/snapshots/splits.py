"""Who is trained on and who evaluates: groups of near-duplicates never straddle a split, and nobody changes sides.

A group's split is a function of the fractions and of its anchor: an id, the group's smallest when a snapshot first held
one of its members, kept in the table `anchors` and never changed by who joins later. Two rules come before it:

- A group that any snapshot of any name has held in validation or test is never trained on again, whatever becomes of
  the fractions or of the group: where it would be, it is left out.
- Within one name a group stays in the split in which an earlier number held it, so that a learner that consumes one
  number after the other never evaluates on what it was trained on. New fractions hold for what is new; a new name
  divides anew. Where two groups with different pasts turn out to be one, those that evaluated stay and the others are
  left out.
"""

import hashlib
from collections.abc import Mapping

from curate.types import SPLITS


def assign_split(anchor: str, splits: Mapping[str, float]) -> str:
    """Return the split of what has no past, a function of its anchor's id alone: it never moves when data arrive.

    The test split lies lowest in the hash's range, then validation: a snapshot with larger fractions of these evaluates
    with what one with smaller fractions does, and more.

    >>> assign_split("00", {"train": 0.0, "validation": 0.0, "test": 1.0})
    'test'
    """
    share = int.from_bytes(hashlib.sha256(f"split:{anchor}".encode()).digest()[:8], "big") / 2**64
    edge = 0.0
    for name in reversed(SPLITS):
        edge += splits.get(name, 0.0)
        if share < edge:
            return name
    return SPLITS[0]


def split_parameters(splits: Mapping[str, float]) -> dict[str, object]:
    """Return the parameters of `PLACED`, but for the snapshot's name and $before."""
    test = splits.get("test", 0.0)
    return {
        "test_edge": test,
        "validation_edge": test + splits.get("validation", 0.0),
        "present": [name for name in SPLITS if splits.get(name, 0.0) > 0],
    }


PLACED = """
    past AS (
        SELECT key,
            arg_min(anchor, (commit_number, item_id)) FILTER (anchor IS NOT NULL) AS kept_anchor,
            min(CASE WHEN split <> 'train' THEN snapshot || ' ' || number END) AS evaluator,
            coalesce(bool_or(split = 'test') FILTER (snapshot = $name), false) AS tests,
            coalesce(bool_or(split = 'validation') FILTER (snapshot = $name), false) AS validates,
            coalesce(bool_or(split = 'train') FILTER (snapshot = $name), false) AS trains,
            arg_max(split, number) FILTER (snapshot = $name AND single) AS own_split, bool_or(single) AS held
        FROM held GROUP BY key
    ), own AS (
        SELECT place, arg_max(split, number) FILTER (snapshot = $name) AS own_split FROM held
        WHERE place IS NOT NULL AND NOT single GROUP BY place
    ), known AS (
        SELECT s.place, s.item_id, s.size, p.evaluator, coalesce(p.tests, false) AS tests,
            coalesce(p.validates, false) AS validates, coalesce(p.trains, false) AS trains,
            coalesce(p.kept_anchor, s.root, s.item_id) AS anchor,
            CASE WHEN s.single THEN coalesce(p.held, false) ELSE o.place IS NOT NULL END AS held,
            CASE WHEN s.single THEN p.own_split ELSE o.own_split END AS own_split
        FROM scoped s LEFT JOIN past p USING (key) LEFT JOIN own o USING (place)
    ), hashed AS MATERIALIZED (
        SELECT *, ('0x' || left(sha256('split:' || anchor), 16))::UBIGINT / pow(2::DOUBLE, 64) AS share FROM known
    ), drawn AS (
        SELECT *, CASE WHEN share < $test_edge THEN 'test' WHEN share < $validation_edge THEN 'validation'
            ELSE 'train' END AS drawn_split
        FROM hashed
    ), settled AS (
        SELECT *,
            CASE
                WHEN tests AND list_contains($present, 'test') THEN 'test'
                WHEN validates AND list_contains($present, 'validation') THEN 'validation'
                WHEN evaluator IS NULL AND trains AND list_contains($present, 'train') THEN 'train'
                ELSE drawn_split
            END AS split
        FROM drawn
    ), placed AS (
        SELECT place, item_id, size, split, split <> drawn_split AS stays,
            CASE WHEN NOT held AND anchor <> item_id THEN anchor END AS anchor,
            CASE WHEN split = 'train' THEN evaluator END AS evaluated_by,
            CASE
                WHEN own_split <> split THEN own_split
                WHEN own_split IS NULL AND trains AND split <> 'train' THEN 'train'
            END AS held_in
        FROM settled
    )"""
"""Common table expressions over `scoped` and `held`: where each item would be, and what forbids it.

`evaluated_by` names a snapshot that its group evaluates in, where it would be trained on; `held_in` the split in which
an earlier number held it, where that is another one; `stays` says that its past and not the hash has placed it, and
`anchor` is to be kept for an item that was never held before, where it is not its own id.
"""
HELD = """
    held AS MATERIALIZED (
        SELECT s.place, coalesce(g.key, s.place) AS key, g.key IS NULL AS single, h.snapshot, h.number, h.split,
            h.commit_number, CASE WHEN g.key IS NOT NULL THEN h.item_id END AS item_id,
            CASE WHEN g.key IS NOT NULL THEN coalesce(a.anchor, h.item_id) ELSE a.anchor END AS anchor
        FROM snapshot_items h LEFT JOIN scoped s USING (item_id) LEFT JOIN near_groups g USING (item_id)
        LEFT JOIN anchors a USING (item_id)
        WHERE h.commit_number < $before AND (s.place IS NOT NULL OR g.key IN (SELECT key FROM scoped WHERE NOT single))
    )"""
"""The items of snapshots that were committed before the commit $before, as far as they matter to a scoped one.

Cost: one pass over the items of all snapshots.
"""
