"""Places: where a source said something last, and what follows when it says something else there.

A place is a source's row or file: its source and locator. What it says first of an item is a row of `origins`. A row of
`restatements` follows when it says an item again after another one, or the same item with another licence or other
metadata. Of both, the newest row is what the place says.
"""

from dataclasses import dataclass

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.write import rows

_SAID = """
    SELECT item_id, source, locator, licence, metadata, 0 AS turn, commit_number FROM origins
    SEMI JOIN arriving USING (source, locator)
    UNION ALL SELECT item_id, source, locator, licence, metadata, turn, commit_number FROM restatements
    SEMI JOIN arriving USING (source, locator)"""
_NEWEST = "ORDER BY commit_number DESC, turn DESC) = 1"
_LOOKED = f"""
    WITH said AS ({_SAID}), newest AS (
        FROM said QUALIFY row_number() OVER (PARTITION BY source, locator {_NEWEST}
    ), known AS (
        FROM said QUALIFY row_number() OVER (PARTITION BY item_id, source, locator {_NEWEST}
    ), here AS (
        SELECT source, locator, count(DISTINCT item_id) FILTER (k.turn IS NULL) AS new, max(position) AS final
        FROM arriving LEFT JOIN known k USING (item_id, source, locator) GROUP BY ALL
    ), final AS (
        SELECT h.source, h.locator, h.new, h.final, n.item_id IS NOT DISTINCT FROM a.item_id AS same,
            coalesce(k.turn, 0) + 1 AS turn, k.item_id IS NOT NULL AS told,
            k.licence IS DISTINCT FROM a.licence OR k.metadata IS DISTINCT FROM a.metadata AS corrected
        FROM here h JOIN arriving a ON a.position = h.final
        LEFT JOIN newest n ON (n.source = h.source AND n.locator = h.locator)
        LEFT JOIN known k ON (k.source = h.source AND k.locator = h.locator AND k.item_id = a.item_id)
    )
    SELECT a.position, NOT f.same OR f.new > 0 AS changed, f.turn,
        a.position = f.final AND (CASE WHEN f.told THEN NOT f.same OR f.corrected OR f.new > 0 ELSE f.new > 1 END)
            AS restated
    FROM arriving a JOIN final f USING (source, locator) ORDER BY a.position"""
_LABELS = """
    WITH claimed AS (
        SELECT item_id, protocol, protocol_version, attribute, annotator, value, commit_number,
            coalesce(TRY_CAST(annotator_version AS BIGINT), 1) AS turn
        FROM annotations SEMI JOIN labels USING (item_id, protocol, protocol_version, attribute, annotator)
        WHERE annotator_kind = 'source'
    ), newest AS (
        SELECT item_id, arg_max(value, (commit_number, turn)) AS value, max(turn) AS turn FROM claimed GROUP BY item_id
    ), said AS (
        SELECT item_id, any_value(value) AS value FROM labels GROUP BY item_id HAVING count(DISTINCT value) = 1
    ), returned AS (
        SELECT n.item_id, n.turn + 1 AS turn FROM newest n JOIN said s USING (item_id)
        WHERE s.value <> n.value AND EXISTS (FROM claimed c WHERE c.item_id = n.item_id AND c.value = s.value)
    ), elsewhere AS (
        SELECT DISTINCT source, locator FROM origins SEMI JOIN returned USING (item_id)
        SEMI JOIN arriving USING (source)
        WHERE regexp_replace(locator, '#[^#]*$', '') NOT IN (
            SELECT regexp_replace(locator, '#[^#]*$', '') FROM arriving)
    ), others AS (
        SELECT item_id FROM (
            SELECT item_id, source, locator, 0 AS turn, commit_number FROM origins
            SEMI JOIN elsewhere USING (source, locator)
            UNION ALL SELECT item_id, source, locator, turn, commit_number FROM restatements
            SEMI JOIN elsewhere USING (source, locator))
        QUALIFY row_number() OVER (PARTITION BY source, locator ORDER BY commit_number DESC, turn DESC) = 1
    )
    SELECT item_id, turn FROM returned ANTI JOIN others USING (item_id)"""


@dataclass(frozen=True, slots=True)
class Look:
    """What a batch means for its places: bool of each arrival whether its place changed, and rows to add."""

    changed: pa.ChunkedArray
    restatements: pa.Table


def look_at_places(reader: Reader, arriving: pa.Table) -> Look:
    """Compare arrivals with what their places said last.

    `arriving` holds item_id, source, locator, licence, metadata and `position` (0, 1, …). Of several arrivals at one
    place the last one is what it says. Cost: one scan of `origins` and `restatements`.
    """
    reader.register("arriving", arriving)
    found = reader.query(_LOOKED)
    restated = arriving.filter(found["restated"]).select(["item_id", "source", "locator", "licence", "metadata"])
    turns = found["turn"].filter(found["restated"])
    columns = {name: restated[name] for name in restated.column_names}
    return Look(found["changed"], rows("restatements", {**columns, "turn": turns}, len(restated)))


def label_turns(reader: Reader, arriving: pa.Table, labels: pa.Table) -> dict[str, int]:
    """Return the items whose source says a label again after another one, with the turn of this claim, counted from 1.

    `labels` are rows of `annotations` of one source, `arriving` the arrivals. An item is left out that has several
    labels here, or stands in other files of the source too: which of them it is that changed, nobody can tell.
    Cost: one scan of `annotations` and `origins`.
    """
    reader.register("arriving", arriving)
    reader.register("labels", labels)
    found = reader.query(_LABELS)
    return dict(zip(found["item_id"].to_pylist(), found["turn"].to_pylist(), strict=True))
