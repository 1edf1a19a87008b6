"""Claims of several annotators about the same attribute, and the values that were drawn from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.silence import WITHDRAWAL, WITHDRAWN

_QUESTIONS = """
    WITH asked AS (
        SELECT protocol, protocol_version, attribute, annotator, commit_number FROM annotations
        WHERE NOT list_contains($without::VARCHAR[], annotator_kind)
        UNION ALL SELECT protocol, protocol_version, attribute, NULL, commit_number FROM abstentions
    )
    SELECT protocol, protocol_version, attribute, max(commit_number) AS newest FROM asked
    GROUP BY protocol, protocol_version, attribute HAVING count(DISTINCT annotator) > 1 ORDER BY ALL"""
_MATCHES = "protocol = $protocol AND protocol_version = $version AND attribute = $attribute"
# Who takes an answer back abstains from the question; versions of a person's claims are turns, counted from 1.
_CLAIMS = f"""
    WITH withdrawn AS (
        SELECT item_id, annotator, {WITHDRAWAL} FROM abstentions WHERE {_MATCHES} GROUP BY ALL
    )
    SELECT a.item_id, a.annotator, a.value, a.confidence FROM annotations a ANTI JOIN withdrawn w ON (
        w.item_id = a.item_id AND w.annotator = a.annotator AND {WITHDRAWN})
    WHERE {_MATCHES} AND NOT list_contains($without::VARCHAR[], a.annotator_kind)
        AND NOT (list_contains(['human', 'simulated'], a.annotator_kind) AND a.item_id IN (
        SELECT item_id FROM audits WHERE {_MATCHES}))
    QUALIFY row_number() OVER (
        PARTITION BY item_id, annotator ORDER BY commit_number DESC, confidence DESC, value) = 1
    ORDER BY item_id, annotator"""
_DRAWN = f"""
    SELECT item_id, value, posterior, method FROM consensus WHERE {_MATCHES}
    QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY commit_number DESC) = 1 ORDER BY item_id"""


@dataclass(frozen=True, slots=True)
class Question:
    """An attribute of one version of a protocol that several annotators spoke about, `newest` in which commit."""

    protocol: str
    version: str
    attribute: str
    newest: int

    @property
    def key(self) -> str:
        """A name that no other question has."""
        return "/".join((self.protocol, self.version, self.attribute))


def contested_questions(reader: Reader, without: Sequence[str] = ()) -> list[Question]:
    """Return every question that at least two annotators have answered, `without` those of these kinds."""
    return [
        Question(row["protocol"], row["protocol_version"], row["attribute"], row["newest"])
        for row in reader.query(_QUESTIONS, {"without": list(without)}).to_pylist()
    ]


def newest_claims(reader: Reader, question: Question, without: Sequence[str] = ()) -> pa.Table:
    """Return item, annotator, value and confidence of each annotator's newest claim on an item.

    Of equally new ones it is the surest; where a newer version is silent there is none. What people said of audits is
    left out: audits judge, and teach nothing, not even what annotators are worth. So is what annotators of the kinds
    `without` said.
    """
    return reader.query(_CLAIMS, {**_parameters(question), "without": list(without)})


def drawn_values(reader: Reader, question: Question) -> pa.Table:
    """Return item, value, posterior and method of the newest consensus on each item."""
    return reader.query(_DRAWN, _parameters(question))


def _parameters(question: Question) -> dict[str, object]:
    return {"protocol": question.protocol, "version": question.version, "attribute": question.attribute}
