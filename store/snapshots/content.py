"""What learners and exports read of a snapshot: its items with their content, and what was there beside them."""

from collections.abc import Sequence

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.snapshots.judging import Moment, judge
from curate.store.snapshots.numbered import find_snapshot, snapshot_row
from curate.store.snapshots.spec import SnapshotSpec


def snapshot_items(reader: Reader, name: str, number: int, splits: Sequence[str], after: int | None = None) -> pa.Table:
    """Return the content, label and split of a snapshot's items in the order of their ids.

    With `after`, only those items that no snapshot of this name from 1 to `after` held in the same split.
    """
    query = """
        SELECT s.item_id, s.label, s.split, s.score, i.modality, i.text, i.image, i.events
        FROM snapshot_items s JOIN items i USING (item_id)
        WHERE s.snapshot = $name AND s.number = $number AND list_contains($splits, s.split)
          AND NOT EXISTS (
            SELECT 1 FROM snapshot_items e
            WHERE e.snapshot = $name AND e.number <= $after AND e.item_id = s.item_id AND e.split = s.split)
        ORDER BY s.item_id"""
    return reader.query(query, {"name": name, "number": number, "splits": list(splits), "after": after or 0})


def snapshot_labels(reader: Reader, name: str, number: int, split: str) -> list[str]:
    """Return the labels that a split of a snapshot has, sorted."""
    found = reader.query(
        "SELECT DISTINCT label FROM snapshot_items WHERE snapshot = ? AND number = ? AND split = ?"
        " AND label IS NOT NULL ORDER BY label",
        [name, number, split],
    )
    return [str(label) for label in found["label"].to_pylist()]


def stream_snapshot(
    reader: Reader, name: str, number: int, split: str, *, labelled: bool, rows: int = 512
) -> pa.RecordBatchReader:
    """Return id, label, text and image of a split's items in the order of their ids, a few at a time.

    Valid until the next question to this reader. Memory: so many `rows`.
    """
    query = """
        SELECT s.item_id, s.label, i.text, i.image FROM snapshot_items s JOIN items i USING (item_id)
        WHERE s.snapshot = $name AND s.number = $number AND s.split = $split AND (s.label IS NOT NULL OR NOT $labelled)
        ORDER BY s.item_id"""
    asked = {"name": name, "number": number, "split": split, "labelled": labelled}
    return reader.stream(query, asked, rows)


def items_before_snapshot(reader: Reader, name: str, number: int, most: int) -> pa.Table:
    """Return up to `most` items that could be trained on when a snapshot was taken, in the order of their ids.

    Items of its modality, labelled or not, chosen or not; left out is what was dropped then, and what belongs to
    validation or test. The answer is the same whatever came later.

    Raises:
        UsageError: there is no such snapshot.
    """
    row = snapshot_row(reader, find_snapshot(reader, name, number))
    asked = row.request
    spec = SnapshotSpec(name, asked.modality, splits=asked.splits, decisions=asked.decisions)
    judge(reader, spec, Moment(row.as_of, row.commit_number + 1))
    query = """
        SELECT item_id, modality, text, image, events FROM items SEMI JOIN (
            SELECT item_id FROM judged WHERE barrier IS NULL AND split = 'train' ORDER BY item_id LIMIT $most
        ) USING (item_id) ORDER BY item_id"""
    return reader.query(query, {"most": most})


def taught_items(reader: Reader, name: str, number: int, ids: Sequence[str]) -> set[str]:
    """Return those of the items that learners met with a label in a snapshot's numbers up to this one."""
    reader.register("wanted_items", pa.table({"item_id": pa.array(ids, pa.string())}))
    found = reader.query(
        "SELECT DISTINCT item_id FROM snapshot_items SEMI JOIN wanted_items USING (item_id)"
        " WHERE snapshot = ? AND number <= ? AND split = 'train' AND label IS NOT NULL",
        [name, number],
    )
    return set(found["item_id"].to_pylist())


def taught_where(reader: Reader, name: str, number: int, condition: str) -> pa.Table:
    """Return id and label of the items that a learner was taught up to a number and that an SQL condition fits.

    The condition is over the columns of `items` and `origins`, and `label`, with which the item was learned.

    Raises:
        UsageError: it is not one condition, or DuckDB refuses it.
    """
    found = reader.ask(
        f"""
        WITH taught AS (
            SELECT item_id, arg_min(label, number) AS label FROM snapshot_items
            WHERE snapshot = $name AND number <= $number AND split = 'train' AND label IS NOT NULL GROUP BY item_id
        )
        SELECT item_id, label FROM taught WHERE item_id IN (
            SELECT item_id FROM taught JOIN (SELECT * EXCLUDE (run_id, commit_number) FROM items) USING (item_id)
            LEFT JOIN (SELECT * EXCLUDE (commit_number) FROM latest_origins) USING (item_id) WHERE (
        {condition}
        )) ORDER BY item_id""",
        {"name": name, "number": number},
    )
    return found.read_all()


def labelled_content(reader: Reader, labelled: pa.Table) -> pa.Table:
    """Return the content of items beside their labels, in the order of their ids, without those that were erased."""
    reader.register("wanted_items", labelled.select(["item_id", "label"]))
    return reader.query(
        "SELECT w.item_id, w.label, i.modality, i.text, i.image, i.events"
        " FROM wanted_items w JOIN items i USING (item_id) ORDER BY w.item_id"
    )
