"""How test items are cut into slices, and how a learner did on each of them so far."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from curate.store.promotions import Served
from curate.store.reader import Reader
from curate.store.silence import STANDING

_CAME = """
    SELECT item_id, CAST(min(number) AS VARCHAR) AS value FROM snapshot_items SEMI JOIN sliced_items USING (item_id)
    WHERE snapshot = ? AND number <= ? AND split = 'test' GROUP BY item_id"""
_VALUES = f"""
    SELECT item_id, value FROM {STANDING}
    SEMI JOIN sliced_items USING (item_id)
    WHERE attribute = ? AND (annotator_kind <> 'learner' OR annotator = 'discover')
    QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY
        CASE annotator_kind WHEN 'human' THEN 0 WHEN 'source' THEN 1 ELSE 2 END, confidence DESC, commit_number DESC,
        annotator, value) = 1"""
_SOURCES = "SELECT item_id, min(source) AS value FROM asked_origins GROUP BY item_id"
_SO_FAR = """
    SELECT m.number, m.name, m.slice, m.value FROM metrics m SEMI JOIN checkpoints c ON (
        c.checkpoint = m.checkpoint AND c.learner = m.subject AND c.number = m.number AND c.snapshot = m.snapshot
        AND c.learner_version = ? AND c.encoder_version = ? AND c.items > 0)
    WHERE m.subject = ? AND m.snapshot = ? AND m.number < ?
      AND (starts_with(m.slice, 'number:') OR (m.name = 'minimum accuracy' AND m.number = ?))
    ORDER BY m.number, m.slice, m.name"""


def numbers_of(reader: Reader, snapshot: str, number: int, ids: Sequence[str]) -> Mapping[str, str]:
    """Return the number of the snapshot with which each test item came."""
    return _asked(reader, _CAME, [snapshot, number], ids)


def values_of(reader: Reader, attribute: str, ids: Sequence[str]) -> Mapping[str, str]:
    """Return each item's value of an attribute, where it has one: people before sources before the most confident.

    What learners claim is left out, but for discovery's classifier: a slice must not depend on whom it judges.
    """
    return _asked(reader, _VALUES, [attribute], ids)


def sources_of(reader: Reader, ids: Sequence[str]) -> Mapping[str, str]:
    """Return the source of each item; of several, the first by name."""
    reader.register("asked_origins", reader.find("origins", "item_id", ids, ["item_id", "source"]))
    return {row["item_id"]: row["value"] for row in reader.query(_SOURCES).to_pylist()}


def accuracies_so_far(reader: Reader, learner: Served, number: int, previous: int) -> Sequence[Mapping[str, Any]]:
    """Return number, name, slice and value of what was measured of a learner before a number.

    Of all earlier numbers the slices of test items by the number that they came with, and of the previous one the
    minimum accuracies. What came by a forgetting is no increment, and left out.
    """
    asked = [learner.learner_version, learner.encoder_version, learner.learner, learner.snapshot, number, previous]
    rows: list[dict[str, Any]] = reader.query(_SO_FAR, asked).to_pylist()
    return rows


def _asked(reader: Reader, query: str, parameters: Sequence[Any], ids: Sequence[str]) -> Mapping[str, str]:
    reader.register("sliced_items", pa.table({"item_id": pa.array(ids, pa.string())}))
    return {row["item_id"]: row["value"] for row in reader.query(query, list(parameters)).to_pylist()}
