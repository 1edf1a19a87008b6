"""Whether a snapshot's next number is due: how much has changed since its newest one, and what does not wait."""

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.snapshots.draft import Draft
from curate.store.snapshots.numbered import Numbered, snapshot_row

_CHANGES = """
    WITH held AS (SELECT item_id, label FROM snapshot_items WHERE snapshot = $snapshot AND number = $number)
    SELECT count(*) FILTER (d.item_id IS NULL OR h.item_id IS NULL OR d.label IS DISTINCT FROM h.label) AS changes
    FROM drafted d FULL JOIN held h ON d.item_id = h.item_id"""
_RESTATED = "SELECT 1 FROM restatements WHERE commit_number > $first AND commit_number <= $last LIMIT 1"
_RELICENSED = """
    WITH held AS (
        SELECT item_id FROM snapshot_items WHERE snapshot = $snapshot AND number = $number
    ), restated AS (
        SELECT DISTINCT item_id, source, locator FROM restatements SEMI JOIN held USING (item_id)
        WHERE commit_number > $first AND commit_number <= $last
    ), told AS (
        SELECT item_id, source, locator, licence, 0 AS turn, commit_number FROM origins
        SEMI JOIN restated USING (item_id, source, locator)
        UNION ALL SELECT item_id, source, locator, licence, turn, commit_number FROM restatements
        SEMI JOIN restated USING (item_id, source, locator) WHERE commit_number <= $last
    ), places AS (
        SELECT item_id, arg_max(licence, (commit_number, turn)) AS latter,
            arg_max(licence, (commit_number, turn)) FILTER (commit_number <= $first) AS former
        FROM told GROUP BY item_id, source, locator
    )
    SELECT count(DISTINCT item_id) AS items FROM places WHERE former IS NOT NULL AND latter <> former"""
_FROZEN = "(SELECT commit_number FROM snapshots WHERE snapshot = $snapshot AND number = $number)"
_FALLEN = f"""
    SELECT DISTINCT annotator FROM (
        SELECT annotator, verdict, commit_number,
            lag(verdict) OVER (PARTITION BY annotator ORDER BY look, commit_number) AS before
        FROM gates WHERE protocol = $protocol AND protocol_version = $version AND attribute = $attribute)
    WHERE verdict = 'fell back' AND before = 'passed' AND commit_number > {_FROZEN} ORDER BY annotator"""
_RENEWED = f"""
    SELECT version FROM protocols WHERE protocol = $protocol AND version = $version AND commit_number > {_FROZEN}"""


def count_changes(reader: Reader, draft: Draft, latest: Numbered) -> int:
    """Count the items that came, went or bear another label in the draft than in the newest number."""
    reader.register("drafted", pa.table({name: draft.items[name] for name in ("item_id", "label")}))
    [row] = reader.query(_CHANGES, {"snapshot": latest.snapshot, "number": latest.number}).to_pylist()
    return int(row["changes"])


def count_relicensed(reader: Reader, draft: Draft, latest: Numbered) -> int:
    """Count the newest number's items of which a place has put the licence right between its commit and the draft's.

    Cost: next to nothing where no place has restated anything meanwhile; else one scan of the number and the origins.
    """
    first, last = sorted((snapshot_row(reader, latest).as_of, draft.as_of))
    between: dict[str, object] = {"first": first, "last": last}
    if not len(reader.query(_RESTATED, between)):
        return 0
    [row] = reader.query(_RELICENSED, between | {"snapshot": latest.snapshot, "number": latest.number}).to_pylist()
    return int(row["items"])


def what_hurries(reader: Reader, latest: Numbered, protocol: str, version: str, attribute: str) -> str:
    """Return what has happened since the newest number that waits for no further labels; "" for nothing.

    That is an annotator that fell back at the gate of the attribute, or a new version of the protocol that asks it.
    """
    frozen: dict[str, object] = {"snapshot": latest.snapshot, "number": latest.number}
    asked = frozen | {"protocol": protocol, "version": version}
    if reader.query(_RENEWED, asked).num_rows:
        return f"version {version} of the protocol {protocol!r} is new"
    fallen = reader.query(_FALLEN, asked | {"attribute": attribute})["annotator"].to_pylist()
    return f"{', '.join(fallen)} fell back on {attribute!r}" if fallen else ""
