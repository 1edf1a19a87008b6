"""What the flywheel's gate reads of a store: the reserve and its audits, proposals, people's answers, verdicts.

The reserve is the share of all items that audits are drawn from: those whose lot, a hash of the id, is below a bound.
So an item belongs to it from its arrival, and whatever trains can leave it out before anybody has looked at it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.silence import SILENT

PEOPLE = ("human", "simulated")
"""The kinds of annotators whose answers audit and teach."""
_MATCHES = "protocol = $protocol AND protocol_version = $version AND attribute = $attribute"
_POOL = f"""
    WITH proposed AS (
        SELECT item_id, value, confidence FROM (
            SELECT item_id, value, confidence, commit_number FROM annotations
            WHERE {_MATCHES} AND annotator = $annotator
            UNION ALL SELECT item_id, NULL, NULL, commit_number FROM abstentions
            WHERE {_MATCHES} AND annotator = $annotator AND reason = '{SILENT}')
        QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY commit_number DESC, confidence DESC, value) = 1
    ), trained AS (
        SELECT DISTINCT item_id FROM snapshot_items
    )
    SELECT i.item_id, i.commit_number AS arrived, sha256('audit:' || i.item_id) < $lots AS reserved,
        t.item_id IS NOT NULL AS used, a.round IS NOT NULL AS drawn, p.value, p.confidence
    FROM items i ANTI JOIN dropped USING (item_id) LEFT JOIN proposed p USING (item_id)
    LEFT JOIN trained t USING (item_id)
    LEFT JOIN (SELECT item_id, round FROM audits WHERE {_MATCHES}) a USING (item_id)
    WHERE list_contains($modalities, i.modality)
    ORDER BY sha256($attribute || '/' || i.item_id)"""
# The newest word of each person counts; a person's turns are counted from 1, and what was taken back is no word.
_ANSWERS = f"""
    WITH said AS (
        SELECT item_id, annotator, value, '' AS reason, annotator_version, commit_number FROM annotations
        WHERE {_MATCHES} AND list_contains($people, annotator_kind)
        UNION ALL
        SELECT item_id, annotator, '', reason, annotator_version, commit_number FROM abstentions WHERE {_MATCHES}
    )
    SELECT item_id, annotator, value, reason, commit_number FROM said
    QUALIFY row_number() OVER (PARTITION BY item_id, annotator ORDER BY
        coalesce(TRY_CAST(annotator_version AS BIGINT), 1) DESC, commit_number DESC, reason = 'undone' DESC) = 1
    AND reason IN ('', 'cannot tell') ORDER BY item_id, annotator"""
_VERSIONS = f"""
    SELECT attribute, annotator, arg_max(annotator_version, (commit_number, annotator_version)) AS version
    FROM (
        SELECT attribute, annotator, annotator_version, protocol, protocol_version, commit_number FROM annotations
        UNION ALL SELECT attribute, annotator, annotator_version, protocol, protocol_version, commit_number
        FROM abstentions WHERE reason = '{SILENT}')
    WHERE protocol = $protocol AND protocol_version = $version AND list_contains($annotators, annotator)
    GROUP BY ALL"""
_CONFIDENT = """
    SELECT attribute, annotator, arg_max(annotator_version, (commit_number, annotator_version)) AS version
    FROM annotations
    WHERE protocol = $protocol AND protocol_version = $version
      AND annotator_kind NOT IN ('human', 'simulated', 'source', 'rule', 'caption')
    GROUP BY ALL ORDER BY ALL"""
_GOLD = f"""
    WITH proposed AS (
        SELECT item_id, value, confidence, annotator_version FROM annotations
        SEMI JOIN (
            SELECT item_id FROM annotations WHERE {_MATCHES} AND list_contains($people, annotator_kind)
        ) USING (item_id)
        WHERE {_MATCHES} AND annotator = $annotator
        QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY commit_number DESC, confidence DESC, value) = 1
    )
    SELECT item_id, value, confidence FROM proposed ANTI JOIN dropped USING (item_id)
    ANTI JOIN (SELECT item_id FROM snapshot_items WHERE split = 'train') USING (item_id)
    WHERE annotator_version = $annotator_version ORDER BY item_id"""
_GATES = """
    SELECT * EXCLUDE (run_id) FROM gates WHERE protocol = $protocol AND protocol_version = $version
    QUALIFY row_number() OVER (PARTITION BY attribute, annotator ORDER BY look DESC, commit_number DESC) = 1
    ORDER BY attribute, annotator"""
_ROUND = """
    SELECT q.item_id, q.attribute, q.kind, q.answers, q.round FROM queue q ANTI JOIN dropped USING (item_id)
    WHERE q.protocol = $protocol AND q.protocol_version = $version AND q.round > 0
      AND q.round = (SELECT max(round) FROM queue WHERE protocol = $protocol AND protocol_version = $version)
    ORDER BY q.attribute, q.item_id"""
_VERDICTS = """
    SELECT * EXCLUDE (run_id) FROM gates
    QUALIFY row_number() OVER (
        PARTITION BY protocol, protocol_version, attribute, annotator ORDER BY look DESC, commit_number DESC) = 1
    ORDER BY protocol, protocol_version, attribute, annotator"""
_FIGURES = """
    WITH asked AS (
        SELECT protocol, protocol_version AS version, count(DISTINCT round) AS rounds, count(*) AS questions,
            count(*) FILTER (kind = 'audit') AS audits
        FROM queue WHERE round > 0 GROUP BY ALL
    ), said AS (
        SELECT protocol, protocol_version AS version, count(*) FILTER (annotator_kind = 'human') AS by_people,
            count(*) FILTER (annotator_kind = 'simulated') AS simulated
        FROM annotations WHERE list_contains($people, annotator_kind) GROUP BY ALL
    )
    SELECT asked.*, coalesce(by_people, 0) AS by_people, coalesce(simulated, 0) AS simulated
    FROM asked LEFT JOIN said USING (protocol, version) ORDER BY protocol, version"""
_COLUMNS = """
    SELECT DISTINCT unnest(json_keys(metadata)) AS name FROM (
        SELECT metadata FROM origins UNION ALL SELECT metadata FROM restatements) WHERE metadata <> '' ORDER BY name"""
_TRUTH = """
    WITH newest AS (
        SELECT item_id, metadata FROM (SELECT *, 0 AS turn FROM asked_origins UNION ALL FROM asked_again)
        QUALIFY row_number() OVER (PARTITION BY item_id, source, locator ORDER BY turn DESC) = 1
    )
    SELECT item_id, min(json_extract_string(metadata, $path)) AS value FROM newest
    WHERE metadata <> '' AND json_extract_string(metadata, $path) IS NOT NULL
    GROUP BY item_id"""


def lots(reserve: float) -> str:
    """Return what the lot of a reserved item is below, where `reserve` is a share in [0, 1]; "" for none.

    >>> lots(0.0), lots(0.5), lots(1.0)
    ('', '80000000', 'g')
    """
    if reserve >= 1:
        return "g"
    return f"{round(reserve * 16**8):08x}" if reserve > 0 else ""


@dataclass(frozen=True, slots=True)
class GateScope:
    """What is asked about: one version of a protocol, the modalities of items, and the share that is reserved."""

    protocol: str
    version: str
    modalities: Sequence[str]
    reserve: float

    def named(self) -> dict[str, object]:
        """Return the parameters that name the protocol."""
        return {"protocol": self.protocol, "version": self.version}


def gate_pool(reader: Reader, scope: GateScope, attribute: str, annotator: str) -> pa.Table:
    """Return every item that no step dropped, in the attribute's own random order.

    Columns: item_id, arrived (the commit), reserved, used (in a snapshot), drawn (an audit of the attribute), and the
    annotator's newest value and confidence, null where it claims nothing: a newer version's silence outdoes an older
    one's claim, which holds where the newer one was not asked yet. Memory: the rows, some 100 bytes each.
    """
    parameters = {
        **scope.named(),
        "attribute": attribute,
        "annotator": annotator,
        "lots": lots(scope.reserve),
        "modalities": list(scope.modalities),
    }
    return reader.query(_POOL, parameters)


def people_answers(reader: Reader, scope: GateScope, attribute: str) -> pa.Table:
    """Return what people stand by: item_id, annotator, value ("" for cannot tell), reason, commit_number."""
    return reader.query(_ANSWERS, {**scope.named(), "attribute": attribute, "people": list(PEOPLE)})


def claimed_versions(reader: Reader, scope: GateScope, annotators: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return the newest version of each annotator that has spoken, be it to withdraw, by attribute and annotator."""
    found = reader.query(_VERSIONS, {**scope.named(), "annotators": list(annotators)})
    return {(row["attribute"], row["annotator"]): row["version"] for row in found.to_pylist()}


def confident_annotators(reader: Reader, scope: GateScope) -> list[tuple[str, str, str]]:
    """Return attribute, name and newest version of each annotator whose confidence is a probability."""
    return [tuple(row.values()) for row in reader.query(_CONFIDENT, scope.named()).to_pylist()]


def gold_claims(reader: Reader, scope: GateScope, attribute: str, annotator: str, version: str) -> pa.Table:
    """Return item_id, value and confidence of an annotator's newest claims where people answered and nothing trained.

    Claims of other versions are left out. Memory: the rows, some 100 bytes each.
    """
    named = {"attribute": attribute, "annotator": annotator, "annotator_version": version, "people": list(PEOPLE)}
    return reader.query(_GOLD, {**scope.named(), **named})


def newest_gates(reader: Reader, scope: GateScope) -> list[dict[str, object]]:
    """Return the newest verdict on each attribute and annotator."""
    found: list[dict[str, object]] = reader.query(_GATES, scope.named()).to_pylist()
    return found


def gate_verdicts(reader: Reader) -> list[dict[str, Any]]:
    """Return the newest verdict on each attribute and annotator of every protocol."""
    found: list[dict[str, Any]] = reader.query(_VERDICTS).to_pylist()
    return found


def gate_figures(reader: Reader) -> list[dict[str, Any]]:
    """Return for each version of a protocol rounds, questions and audits asked, and answers, simulated ones apart."""
    found: list[dict[str, Any]] = reader.query(_FIGURES, {"people": list(PEOPLE)}).to_pylist()
    return found


def newest_round(reader: Reader, scope: GateScope) -> list[dict[str, object]]:
    """Return the questions of the queue's newest round about items that no step dropped; none before the first."""
    found: list[dict[str, object]] = reader.query(_ROUND, scope.named()).to_pylist()
    return found


def metadata_values(reader: Reader, items: Sequence[str], column: str) -> dict[str, str]:
    """Return what a column kept beside the items says, for those that have it."""
    names = ["item_id", "source", "locator", "metadata"]
    reader.register("asked_origins", reader.find("origins", "item_id", items, names))
    reader.register("asked_again", reader.find("restatements", "item_id", items, [*names, "turn"]))
    found = reader.query(_TRUTH, {"path": f'$."{column}"'})
    return dict(zip(found["item_id"].to_pylist(), found["value"].to_pylist(), strict=True))


def metadata_columns(reader: Reader) -> list[str]:
    """Return the names of all columns that are kept beside items. Cost: one pass over what is kept."""
    return [str(name) for name in reader.query(_COLUMNS)["name"].to_pylist()]
