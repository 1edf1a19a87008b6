"""What people have confirmed about texts, for whoever may learn from it: audits and their reserve are left out."""

from collections.abc import Sequence
from dataclasses import dataclass

from curate.store.gating import PEOPLE, GateScope, lots
from curate.store.reader import Reader

# The newest word of each person counts; where two people differ, nothing is confirmed.
_CONFIRMED = """
    WITH said AS (
        SELECT item_id, attribute, annotator, value, '' AS reason, annotator_version, commit_number FROM annotations
        WHERE protocol = $protocol AND protocol_version = $version AND list_contains($attributes, attribute)
          AND list_contains($people, annotator_kind)
        UNION ALL
        SELECT item_id, attribute, annotator, '', reason, annotator_version, commit_number FROM abstentions
        WHERE protocol = $protocol AND protocol_version = $version AND list_contains($attributes, attribute)
    ), newest AS (
        SELECT * FROM said QUALIFY row_number() OVER (PARTITION BY item_id, attribute, annotator ORDER BY
            coalesce(TRY_CAST(annotator_version AS BIGINT), 1) DESC, commit_number DESC, reason = 'undone' DESC) = 1
    ), agreed AS (
        SELECT item_id, attribute, min(value) AS value, min(commit_number) AS told FROM newest WHERE reason = ''
        GROUP BY item_id, attribute HAVING count(DISTINCT value) = 1
    ), confirmed AS (
        SELECT item_id, map_from_entries(list((attribute, value) ORDER BY attribute)) AS answers, max(told) AS told
        FROM agreed WHERE item_id NOT IN (SELECT item_id FROM audits WHERE protocol = $protocol)
          AND NOT (sha256('audit:' || item_id) < $lots)
        GROUP BY item_id HAVING count(*) FILTER (list_contains($needed, attribute)) = len($needed::VARCHAR[])
    )
    SELECT c.item_id, i.text, c.answers FROM confirmed c JOIN items i USING (item_id) ANTI JOIN dropped USING (item_id)
    WHERE i.modality = 'text' AND trim(i.text) <> '' ORDER BY c.told, c.item_id LIMIT $most"""


@dataclass(frozen=True, slots=True)
class ConfirmedText:
    """A text with the answers that people agree on, by attribute."""

    item_id: str
    text: str
    answers: dict[str, str]


def confirmed_texts(
    reader: Reader, scope: GateScope, attributes: Sequence[str], needed: Sequence[str], most: int
) -> list[ConfirmedText]:
    """Return texts that people have answered for all of the attributes `needed`, in the order of their answers.

    Items of the reserve, from which audits come, and audited ones are left out, whatever was answered about them. Cost:
    a pass over people's answers; memory: `most` texts.
    """
    asked = {
        **scope.named(),
        "attributes": list(attributes),
        "needed": list(needed),
        "people": list(PEOPLE),
        "lots": lots(scope.reserve),
        "most": most,
    }
    found = reader.query(_CONFIRMED, asked).to_pylist()
    return [ConfirmedText(row["item_id"], row["text"], dict(row["answers"])) for row in found]
