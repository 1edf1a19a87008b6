"""Which items a question applies to: those whose claims about other attributes are what its conditions ask for."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.silence import WITHDRAWAL, WITHDRAWN
from curate.store.write import LedgerKey

# Of an answer of several values, a JSON list, one that is asked for is enough.
# What people say goes before what the annotator itself says, and that before others; of each the newest.
APPLICABLE = f"""
    withdrawn_answers AS (
        SELECT item_id, attribute, annotator, {WITHDRAWAL}
        FROM abstentions WHERE protocol = $protocol AND protocol_version = $version GROUP BY ALL
    ), deciding AS (
        SELECT a.item_id, a.attribute, a.value FROM annotations a ANTI JOIN withdrawn_answers w ON (
            w.item_id = a.item_id AND w.attribute = a.attribute AND w.annotator = a.annotator
            AND {WITHDRAWN})
        WHERE a.protocol = $protocol AND a.protocol_version = $version
            AND a.attribute IN (SELECT parent FROM conditions)
        QUALIFY row_number() OVER (PARTITION BY a.item_id, a.attribute ORDER BY a.annotator_kind = 'human' DESC,
            a.annotator = $annotator DESC, a.commit_number DESC, a.confidence DESC, a.value) = 1
    ), applicable AS (
        SELECT d.item_id, c.attribute
        FROM deciding d JOIN conditions c ON (c.parent = d.attribute AND (c.value = d.value OR CASE
            WHEN starts_with(d.value, '[') THEN list_contains(TRY_CAST(TRY_CAST(d.value AS JSON) AS VARCHAR[]), c.value)
            ELSE false END))
        JOIN (SELECT attribute, count(DISTINCT parent) AS parents FROM conditions GROUP BY attribute) n
            ON (n.attribute = c.attribute)
        GROUP BY d.item_id, c.attribute, n.parents HAVING count(DISTINCT c.parent) = n.parents
    )"""
_PENDING = f"""
    WITH {APPLICABLE}
    SELECT i.item_id, i.modality, i.text, i.image, i.events FROM items i
    SEMI JOIN (SELECT item_id FROM applicable WHERE attribute = $attribute) USING (item_id)
    ANTI JOIN (SELECT item_id FROM latest_decisions WHERE action = 'drop') USING (item_id)
    ANTI JOIN (
        SELECT item_id FROM ledger WHERE step = $step AND step_version = $step_version AND parameters = $parameters
    ) USING (item_id)
    WHERE list_contains($modalities, i.modality)
        AND ($among = '' OR i.item_id IN (
            SELECT item_id FROM ledger WHERE step = $step AND step_version = $step_version AND parameters = $among))
    ORDER BY i.item_id LIMIT $most"""

Conditions = Mapping[str, Mapping[str, Sequence[str]]]
"""By attribute, the values that each of its parents must have."""


def register_conditions(reader: Reader, conditions: Conditions) -> None:
    """Make conditions known to the questions that follow."""
    entries = [
        (attribute, parent, value)
        for attribute, parents in conditions.items()
        for parent, values in parents.items()
        for value in values
    ]
    columns = list(zip(*entries, strict=True)) if entries else [(), (), ()]
    names = ("attribute", "parent", "value")
    reader.register("conditions", pa.table({n: pa.array(c, pa.string()) for n, c in zip(names, columns, strict=True)}))


def applicable_items(
    reader: Reader,
    question: tuple[str, str, str],
    conditions: Conditions,
    annotator: str,
    ledger: LedgerKey,
    modalities: Sequence[str],
    *,
    among: str = "",
    most: int,
) -> pa.Table:
    """Return items that a question (protocol, version, attribute) applies to and that the ledger does not hold yet.

    `among` bounds them to those that the ledger holds under these parameters. Cost: a pass over the claims about the
    attribute's parents, and an anti-join with the ledger.
    """
    register_conditions(reader, conditions)
    protocol, version, attribute = question
    asked = {"protocol": protocol, "version": version, "attribute": attribute, "annotator": annotator}
    settled = {"step": ledger.step, "step_version": ledger.step_version, "parameters": ledger.parameters}
    bounds = {"modalities": list(modalities), "among": among, "most": most}
    return reader.query(_PENDING, asked | settled | bounds)
