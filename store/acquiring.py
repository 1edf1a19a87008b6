"""What online active learning reads of a store: the stream of items in their order, answers, and what it decided.

The questions that it asks stand in the table `queue` as round 0, which the gate leaves alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.store.gating import PEOPLE, lots
from curate.store.reader import Reader
from curate.store.silence import SILENT

ROUND = 0
DRIFT = "drift"
"""The name under which the table `metrics` keeps alarms of drift."""
# Rows come in the order in which they were inserted, which DuckDB preserves where nothing is joined or sorted.
_ARRIVED = """
    SELECT item_id, commit_number, modality, text, image, events FROM items
    WHERE commit_number >= $commit AND list_contains($modalities, modality)
      AND ($lots = '' OR sha256('audit:' || item_id) >= $lots)"""
_PASSED = """
    SELECT item_id FROM acquisitions SEMI JOIN (SELECT item_id FROM items WHERE commit_number >= $commit) i
        USING (item_id) WHERE policy = $policy
    UNION ALL SELECT item_id FROM failures WHERE step = 'acquire' AND actor = $policy"""
_PENDING = f"""
    SELECT count(*) AS n FROM ({_ARRIVED}) ANTI JOIN dropped USING (item_id) ANTI JOIN ({_PASSED}) USING (item_id)"""
_STATE = "SELECT * FROM policies WHERE policy = ? ORDER BY commit_number DESC, seen DESC, learned DESC LIMIT 1"
_ASKED = """
    SELECT item_id, attribute, place FROM acquisitions WHERE policy = $policy AND attribute = $attribute
      AND protocol = $protocol AND protocol_version = $version AND reason <> ''"""
_MATCHES = "protocol = $protocol AND protocol_version = $version AND attribute = $attribute"
_ANSWERS = f"""
    WITH asked AS ({_ASKED}), said AS (
        SELECT item_id, annotator, annotator_version, value, commit_number FROM annotations
        WHERE {_MATCHES} AND list_contains($people, annotator_kind) AND commit_number > $after
        UNION ALL
        SELECT item_id, annotator, annotator_version, '', commit_number FROM abstentions
        WHERE {_MATCHES} AND reason NOT IN ('undone', '{SILENT}') AND commit_number > $after
    ), undone AS (
        SELECT item_id, annotator, annotator_version FROM abstentions WHERE {_MATCHES} AND reason = 'undone'
    )
    SELECT s.item_id, s.value, s.commit_number, a.place
    FROM said s ANTI JOIN undone USING (item_id, annotator, annotator_version) JOIN asked a USING (item_id)
    ORDER BY s.commit_number, a.place, s.annotator, s.annotator_version"""
_OPEN = f"""
    WITH asked AS ({_ASKED})
    SELECT item_id, attribute, 1 AS answers, place FROM asked ANTI JOIN dropped USING (item_id)
    ANTI JOIN (
        SELECT item_id FROM annotations WHERE {_MATCHES} AND list_contains($people, annotator_kind)) USING (item_id)
    ANTI JOIN (SELECT item_id FROM abstentions WHERE {_MATCHES} AND reason <> '{SILENT}') USING (item_id)
    WHERE place <= $until ORDER BY place"""
_JUDGED = f"""
    WITH asked AS (
        SELECT * FROM acquisitions WHERE policy = $policy AND {_MATCHES} AND reason <> ''
    ), said AS (
        SELECT item_id, arg_min(value, (commit_number, annotator, annotator_version)) AS value FROM annotations
        WHERE {_MATCHES} AND list_contains($people, annotator_kind) GROUP BY item_id
    )
    SELECT reason, propensity, predicted = value AS right FROM asked JOIN said USING (item_id) WHERE predicted <> ''
    ORDER BY place"""
_DRAWS = """
    WITH decided AS (
        SELECT seen, json_extract(state, '$.draws')::VARCHAR AS draws FROM policies
        WHERE policy = $policy AND version = $version AND json_exists(state, '$.draws')
    )
    SELECT draws FROM decided
    WHERE seen BETWEEN $first AND (SELECT coalesce(min(seen), $last) FROM decided WHERE seen >= $last) ORDER BY seen"""
_DRIFTS = """
    SELECT slice AS detector, number AS learned, value::BIGINT AS seen FROM metrics
    WHERE subject = 'acquire/' || ? AND name = ? ORDER BY seen, learned"""
_POLICIES = """
    SELECT policy, protocol, protocol_version AS version, attribute, count(*) AS seen,
        count(*) FILTER (reason <> '') AS spent, count(*) FILTER (propensity > 0) AS reachable
    FROM acquisitions GROUP BY ALL ORDER BY ALL"""


@dataclass(frozen=True, slots=True)
class AcquireScope:
    """Whose stream it is: a policy, the question that it asks, and the items that it sees.

    `reserve` is the share of items that the gate keeps for audits; the stream passes them over.
    """

    policy: str
    protocol: str
    version: str
    attribute: str
    modalities: Sequence[str]
    reserve: float = 0.0

    def named(self) -> dict[str, object]:
        """Return the parameters that name policy and question."""
        names = ("policy", "protocol", "version", "attribute")
        return {name: getattr(self, name) for name in names}

    def items(self, commit: int) -> dict[str, object]:
        """Return the parameters that say which items it sees from a commit on."""
        return {"commit": commit, "modalities": list(self.modalities), "lots": lots(self.reserve)}


def newest_state(reader: Reader, policy: str) -> dict[str, Any] | None:
    """Return what a policy committed last: version, counts, state and checkpoint; None before the first."""
    found: list[dict[str, Any]] = reader.query(_STATE, [policy]).to_pylist()
    return found[0] if found else None


def count_pending(reader: Reader, scope: AcquireScope, commit: int) -> int:
    """Return how many items the policy has not decided on; those before the commit it has."""
    return int(reader.query(_PENDING, scope.items(commit) | {"policy": scope.policy})["n"][0].as_py())


def arrived_items(reader: Reader, scope: AcquireScope, commit: int, rows: int) -> Iterator[pa.Table]:
    """Yield the items that the policy has not decided on in the order in which they came, `rows` at a time.

    Those that a step dropped are passed over. The reader answers nothing else meanwhile. Memory: the ids of what was
    dropped, and of what this policy decided on in the last commits, beside the rows.
    """
    dropped = reader.query("SELECT item_id FROM dropped")["item_id"]
    passed = reader.query(_PASSED, {"commit": commit, "policy": scope.policy})["item_id"]
    without = pa.chunked_array([*dropped.chunks, *passed.chunks], pa.string()).combine_chunks()
    held: list[pa.Table] = []
    count = 0
    for batch in reader.stream(_ARRIVED, scope.items(commit), rows):
        fresh = pa.Table.from_batches([batch])
        held.append(fresh.filter(pc.invert(pc.is_in(fresh["item_id"], value_set=without))) if len(without) else fresh)
        count += len(held[-1])
        while count >= rows:
            whole = pa.concat_tables(held)
            yield whole.slice(0, rows)
            held, count = [whole.slice(rows)], count - rows
    if count:
        yield pa.concat_tables(held)


def new_answers(reader: Reader, scope: AcquireScope, after: int) -> pa.Table:
    """Return what people said to the policy's questions in commits behind `after`, in the order in which it came.

    Columns: item_id, value ("" for none: skipped, or cannot tell), commit_number, and the place in the stream. What was
    taken back is no answer.
    """
    return reader.query(_ANSWERS, scope.named() | {"after": after, "people": list(PEOPLE)})


def newest_answers(reader: Reader, scope: AcquireScope, until: int, count: int) -> pa.Table:
    """Return the last `count` answers with a value of commits up to `until`, the newest last; as `new_answers`."""
    found = new_answers(reader, scope, 0)
    found = found.filter(pc.and_(pc.less_equal(found["commit_number"], until), pc.not_equal(found["value"], "")))
    return found.slice(max(0, len(found) - count))


def kept_draws(reader: Reader, policy: str, version: str, first: int, last: int) -> list[str]:
    """Return what a policy kept in its states beside what it decided from one place to another, as JSON, in order."""
    places = {"policy": policy, "version": version, "first": first, "last": last}
    return [row["draws"] for row in reader.query(_DRAWS, places).to_pylist()]


def policy_drifts(reader: Reader, policy: str) -> list[dict[str, Any]]:
    """Return a policy's alarms of drift: detector, the items seen by then, and the answers learned."""
    found: list[dict[str, Any]] = reader.query(_DRIFTS, [policy, DRIFT]).to_pylist()
    return found


def unanswered(reader: Reader, scope: AcquireScope, until: int) -> list[dict[str, object]]:
    """Return the policy's questions about the first `until` items of its stream to which nobody has said anything.

    In the stream's order: item_id, attribute, answers (1) and place.
    """
    found: list[dict[str, object]] = reader.query(
        _OPEN, scope.named() | {"people": list(PEOPLE), "until": until}
    ).to_pylist()
    return found


def policy_figures(reader: Reader) -> list[dict[str, Any]]:
    """Return for each policy and question the items seen, the questions asked, and the items that had a chance."""
    found: list[dict[str, Any]] = reader.query(_POLICIES).to_pylist()
    return found


def judged_guesses(reader: Reader, question: dict[str, Any]) -> pa.Table:
    """Return the answered questions in the stream's order: reason, propensity, and whether the guess was right.

    `question` is a row of `policy_figures`. The first answer to each counts; where the learner knew nothing, none does.
    """
    named = {name: question[name] for name in ("policy", "protocol", "version", "attribute")}
    return reader.query(_JUDGED, named | {"people": list(PEOPLE)})
