"""Items whose newest scores lie outside bounds, and how that differs from what was decided about them before.

Claims count as scores too: the selector `ANNOTATOR:ATTRIBUTE=VALUE` is the confidence with which the annotator claims
the value, 0 where it claims another one; where a newer version of it is silent, there is none any more. What people
claim is no measure and has no such score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.silence import SILENT, STANDING
from curate.types import Action

_STRICTNESS: tuple[Action, ...] = ("keep", "query", "drop")
_ALL = 2**62
_GIVEN = f"""
    silences AS (
        SELECT item_id, commit_number FROM abstentions JOIN (SELECT unnest($selectors::VARCHAR[]) AS selector) named
            ON starts_with(named.selector, annotator || ':' || attribute || '=')
        WHERE reason = '{SILENT}'
    ), claims AS (
        SELECT item_id, annotator || ':' || attribute || '=' AS asked, value, confidence, annotator_version AS version,
            protocol || ' ' || protocol_version AS protocol, commit_number FROM {STANDING}
        WHERE NOT list_contains(['human', 'simulated'], annotator_kind)
        UNION ALL
        SELECT item_id, 'consensus:' || attribute || '=', value, posterior, method,
            protocol || ' ' || protocol_version, commit_number FROM consensus
    ), given AS (
        SELECT item_id, selector, selector_version, target, score, commit_number FROM scores
        WHERE list_contains($selectors::VARCHAR[], selector)
        UNION ALL
        SELECT item_id, named.selector, version, protocol, max(if(named.selector = asked || value, confidence, 0)),
            commit_number
        FROM claims JOIN (SELECT unnest($selectors::VARCHAR[]) AS selector) named ON starts_with(named.selector, asked)
        WHERE NOT isnan(confidence) GROUP BY ALL
    )"""
_LAST = f"""
    WITH {_GIVEN} SELECT coalesce(max(commit_number), 0) AS last FROM (
        SELECT commit_number FROM given UNION ALL SELECT commit_number FROM silences)"""
_UNSCORED = f"""
    WITH {_GIVEN}
    SELECT selector FROM (SELECT unnest($selectors::VARCHAR[]) AS selector)
    ANTI JOIN (FROM given WHERE NOT isnan(score)) USING (selector)
    WHERE EXISTS (FROM items) ORDER BY selector"""
_UNSETTLED = f"""
    WITH {_GIVEN}, bounds AS (
        SELECT unnest($selectors::VARCHAR[]) AS selector, unnest($lows::DOUBLE[]) AS low,
            unnest($highs::DOUBLE[]) AS high, unnest($severities::BIGINT[]) AS severity,
            unnest($below::VARCHAR[]) AS below, unnest($above::VARCHAR[]) AS above,
            unnest(range(len($selectors::VARCHAR[]))) AS place
    ), decided AS (
        SELECT item_id, action, reason FROM latest_decisions WHERE step = $step
    ), candidates AS (
        SELECT item_id FROM given WHERE commit_number > $after
        UNION SELECT item_id FROM silences WHERE commit_number > $after
        UNION SELECT item_id FROM decided WHERE $after = 0
    ), newest AS (
        SELECT item_id, selector, arg_min(score, (-commit_number, selector_version, target)) AS score
        FROM given SEMI JOIN candidates USING (item_id) GROUP BY item_id, selector
        HAVING NOT isnan(arg_min(score, (-commit_number, selector_version, target)))
    ), wanted AS (
        SELECT item_id, ($actions::VARCHAR[])[max(severity) + 1] AS action,
            string_agg(CASE WHEN score < low THEN below ELSE above END, '; ' ORDER BY place) AS reason
        FROM newest JOIN bounds USING (selector) WHERE score < low OR score > high GROUP BY item_id
    )
    SELECT item_id, coalesce(w.action, 'keep') AS action, coalesce(w.reason, $nothing) AS reason
    FROM candidates LEFT JOIN wanted w USING (item_id) LEFT JOIN decided d USING (item_id)
    WHERE (w.action IS NOT NULL OR d.action IS NOT NULL)
        AND (coalesce(w.action, 'keep') IS DISTINCT FROM d.action OR coalesce(w.reason, $nothing) <> d.reason)
    ORDER BY item_id LIMIT $most"""


@dataclass(frozen=True, slots=True)
class ScoreBounds:
    """What follows where an item's newest score by a selector lies below `least` or above `most`.

    `below` and `above` are the reasons then.
    """

    selector: str
    least: float
    most: float
    action: Action
    below: str
    above: str


def last_scored(reader: Reader, selectors: Sequence[str]) -> int:
    """Return the last commit that holds a score by one of these selectors, or takes one back; 0 where none does."""
    return int(reader.query(_LAST, {"selectors": list(selectors)})["last"][0].as_py())


def unscored(reader: Reader, selectors: Sequence[str]) -> list[str]:
    """Return those of these selectors that have given no score, none where the store holds no item.

    Cost: one pass over the selectors' scores.
    """
    return [str(name) for name in reader.query(_UNSCORED, {"selectors": list(selectors)})["selector"].to_pylist()]


def unsettled(
    reader: Reader, step: str, bounds: Sequence[ScoreBounds], after: int, nothing: str, most: int
) -> pa.Table:
    """Return item_id, action and reason of the first items whose decision by `step` is not what the bounds say.

    Items with a score after the commit `after` are looked at, with 0 also those that the step has ever decided about.
    An item's newest score by a selector counts; an item without one, or with NaN, is not objected to. The strictest
    action counts. Where nothing is objected to any more, the action is `keep` and the reason `nothing`.

    Cost: one pass over the selectors' scores. Memory: DuckDB's.
    """
    return reader.query(_UNSETTLED, _parameters(step, bounds, after, nothing) | {"most": most})


def count_unsettled(reader: Reader, step: str, bounds: Sequence[ScoreBounds], after: int, nothing: str) -> int:
    """Return how many items `unsettled` has."""
    query = f"SELECT count(*) AS items FROM ({_UNSETTLED})"
    found = reader.query(query, _parameters(step, bounds, after, nothing) | {"most": _ALL})
    return int(found["items"][0].as_py())


def _parameters(step: str, bounds: Sequence[ScoreBounds], after: int, nothing: str) -> dict[str, object]:
    return {
        "selectors": [one.selector for one in bounds],
        "lows": [one.least for one in bounds],
        "highs": [one.most for one in bounds],
        "severities": [_STRICTNESS.index(one.action) for one in bounds],
        "below": [one.below for one in bounds],
        "above": [one.above for one in bounds],
        "actions": list(_STRICTNESS),
        "step": step,
        "after": after,
        "nothing": nothing,
    }
