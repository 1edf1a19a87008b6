"""What an annotator that is paid by the question has left to be asked: pending items by what it has said of them."""

from dataclasses import dataclass

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.work import CANDIDATES, pending_parameters
from curate.store.write import LedgerKey

Answers = tuple[tuple[str, str], ...]
"""Attributes and values."""
_SAID = """
    , said AS (
        SELECT item_id, {'attribute': attribute, 'value': value} AS answer FROM annotations
        WHERE protocol = $protocol AND protocol_version = $protocol_version AND annotator = $annotator
          AND (annotator_version = $own OR starts_with(annotator_version, $basis) AND contains(annotator_version, '@'))
        UNION ALL
        SELECT item_id, {'attribute': attribute, 'value': value} FROM carried
        WHERE annotator = $annotator AND starts_with(annotator_version, $basis)
    ), answers AS (
        SELECT item_id, list_sort(list(DISTINCT answer)) AS answers FROM said GROUP BY item_id
    ), wanted AS (
        FROM pending ORDER BY sha256('sample:' || item_id) LIMIT $most
    )
    SELECT answers, count(*) AS items FROM wanted LEFT JOIN answers USING (item_id) GROUP BY answers ORDER BY ALL"""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whose claims need not be asked for again: those of its version, and carried ones that begin with its basis."""

    annotator: str
    version: str
    basis: str


def pending_by_answers(
    reader: Reader,
    ledger: LedgerKey,
    scope: tuple[tuple[str, str], tuple[str, ...]],
    speaker: Speaker,
    carried: pa.Table,
    most: int,
) -> list[tuple[Answers, int]]:
    """Count at most so many pending items by what the speaker has said about them, in the order of a hash.

    `scope` is the protocol (name, version) and the modalities; `carried` are claims that a run would carry over first:
    item_id, attribute, value, annotator, annotator_version. Cost: one pass over what is pending, and over the
    annotator's claims. Memory: DuckDB's, and the different sets of answers.
    """
    reader.register("carried", carried)
    (protocol, version), modalities = scope
    named = {"protocol": protocol, "protocol_version": version, "annotator": speaker.annotator}
    whose = {"own": speaker.version, "basis": speaker.basis, "most": most}
    found = reader.query(CANDIDATES + _SAID, pending_parameters(ledger, modalities, 0) | named | whose).to_pylist()
    return [(tuple((one["attribute"], one["value"]) for one in row["answers"] or ()), row["items"]) for row in found]
