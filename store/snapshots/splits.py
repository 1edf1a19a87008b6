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
    members AS (
        SELECT s.item_id, coalesce(g.root, s.item_id) AS root FROM scoped s LEFT JOIN near_groups g USING (item_id)
    ), past AS (
        SELECT coalesce(g.root, h.item_id) AS root,
            arg_min(coalesce(a.anchor, h.item_id), (h.commit_number, h.item_id)) AS kept_anchor,
            min(h.snapshot || ' ' || h.number) FILTER (h.split <> 'train') AS evaluator,
            coalesce(bool_or(h.split = 'test') FILTER (h.snapshot = $name), false) AS tests,
            coalesce(bool_or(h.split = 'validation') FILTER (h.snapshot = $name), false) AS validates,
            coalesce(bool_or(h.split = 'train') FILTER (h.snapshot = $name), false) AS trains
        FROM snapshot_items h LEFT JOIN near_groups g USING (item_id) LEFT JOIN anchors a USING (item_id)
        WHERE h.commit_number < $before AND coalesce(g.root, h.item_id) IN (SELECT root FROM members)
        GROUP BY ALL
    ), own AS (
        SELECT item_id, arg_max(split, number) FILTER (snapshot = $name) AS split
        FROM snapshot_items SEMI JOIN scoped USING (item_id) WHERE commit_number < $before GROUP BY item_id
    ), drawn AS (
        SELECT item_id, evaluator, tests, validates, trains, coalesce(kept_anchor, root) AS anchor,
            ('0x' || left(sha256('split:' || anchor), 16))::UBIGINT / pow(2::DOUBLE, 64) AS share,
            CASE WHEN share < $test_edge THEN 'test' WHEN share < $validation_edge THEN 'validation' ELSE 'train' END
                AS drawn_split
        FROM members LEFT JOIN past USING (root)
    ), settled AS (
        SELECT item_id, evaluator, trains, anchor, drawn_split,
            CASE
                WHEN tests AND list_contains($present, 'test') THEN 'test'
                WHEN validates AND list_contains($present, 'validation') THEN 'validation'
                WHEN evaluator IS NULL AND trains AND list_contains($present, 'train') THEN 'train'
                ELSE drawn_split
            END AS split
        FROM drawn
    ), placed AS (
        SELECT item_id, s.split, s.split <> s.drawn_split AS stays,
            CASE WHEN o.item_id IS NULL AND s.anchor <> item_id THEN s.anchor END AS anchor,
            CASE WHEN s.split = 'train' THEN s.evaluator END AS evaluated_by,
            CASE
                WHEN o.split <> s.split THEN o.split
                WHEN o.split IS NULL AND s.trains AND s.split <> 'train' THEN 'train'
            END AS held_in
        FROM settled s LEFT JOIN own o USING (item_id)
    )"""
"""Common table expressions after `scoped`, over the table `near_groups`: where each item would be, and what forbids it.

`evaluated_by` names a snapshot that its group evaluates in, where it would be trained on; `held_in` the split in which
an earlier number held it, where that is another one; `stays` says that its past and not the hash has placed it, and
`anchor` is to be kept for an item that was never held before, where it is not its own id.
Snapshots count that were committed before the commit $before. Cost: one pass over the items of all snapshots.
"""
