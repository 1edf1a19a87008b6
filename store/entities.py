"""Entities: what stays the same while its content changes; a newer item of an entity supersedes the older one."""

import pyarrow as pa
import pyarrow.compute as pc

from curate.store.reader import Reader
from curate.store.write import rows

STEP = "ingest"
_ARRIVALS = """
    WITH fresh AS (
        SELECT entity, item_id, position FROM arrivals WHERE whole OR changed
    ), arriving AS (
        FROM fresh WHERE entity <> ''
    ), newest AS (
        SELECT entity, arg_max(item_id, position) AS item_id FROM arriving GROUP BY entity
    ), members AS (
        SELECT entity, item_id FROM origins SEMI JOIN newest USING (entity)
        UNION SELECT entity, item_id FROM arriving
    ), out AS (
        SELECT item_id, reason FROM latest_decisions WHERE step = 'ingest' AND action = 'drop'
    ), alive_elsewhere AS (
        SELECT DISTINCT o.item_id FROM origins o SEMI JOIN members USING (item_id)
        WHERE o.entity NOT IN (SELECT entity FROM newest)
        UNION SELECT item_id FROM fresh WHERE entity = ''
    )"""
_ANY_OUT = "SELECT 1 FROM decisions WHERE step = 'ingest' AND action = 'drop' LIMIT 1"
_SUPERSEDED = (
    _ARRIVALS
    + """
    SELECT m.item_id, 'drop' AS action, 'superseded by ' || left(min(n.item_id), 16) AS reason
    FROM members m JOIN newest n ON n.entity = m.entity LEFT JOIN out ON out.item_id = m.item_id
    WHERE m.item_id <> n.item_id AND out.item_id IS NULL
      AND m.item_id NOT IN (FROM alive_elsewhere) AND m.item_id NOT IN (SELECT item_id FROM newest)
    GROUP BY m.item_id ORDER BY m.item_id"""
)
_REVIVED = (
    _ARRIVALS
    + """
    SELECT item_id, 'keep' AS action, 'arrived again' AS reason
    FROM (SELECT item_id FROM newest UNION SELECT item_id FROM fresh WHERE entity = '') n
    SEMI JOIN out ON out.item_id = n.item_id ORDER BY item_id"""
)


def entity_decisions(reader: Reader, arrivals: pa.Table) -> pa.Table:
    """Return the decisions that a batch of arrivals causes: older items of its entities drop, returned ones are kept.

    `arrivals` holds item_id, entity, `whole` (the item is a whole file, an arrival whenever it is read), `changed` (its
    place said something else before, or nothing) and `position` (order of arrival). An item that another entity or no
    entity still holds stays.

    Cost: one scan of the origins; next to nothing where no arrival has an entity and no item was ever superseded.
    """
    if not pc.any(pc.not_equal(arrivals["entity"], "")).as_py() and not len(reader.query(_ANY_OUT)):
        return rows("decisions", {"step": STEP, "item_id": [], "action": [], "reason": []}, 0)
    reader.register("arrivals", arrivals)
    superseded = reader.query(_SUPERSEDED)
    revived = reader.query(_REVIVED)
    decisions = pa.concat_tables([superseded, revived])
    columns = {name: decisions[name] for name in ("item_id", "action", "reason")}
    return rows("decisions", {"step": STEP, **columns}, len(decisions))
