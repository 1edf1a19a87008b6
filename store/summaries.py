"""Questions about a whole store, for the report: each returns plain rows in a fixed order."""

from typing import Any

from curate.store.reader import Reader
from curate.store.reasons import short_reason
from curate.store.silence import STANDING

Rows = list[dict[str, Any]]

_ARRIVALS = """
    SELECT o.source, i.modality, count(*) AS origins, count(DISTINCT o.item_id) AS items
    FROM origins o JOIN items i USING (item_id) GROUP BY ALL ORDER BY ALL"""
_REJECTS = """
    SELECT reason, count(*) AS rejects, list(source || ': ' || locator ORDER BY source, locator)[:3] AS locators,
        list(detail ORDER BY source, locator)[:3] AS details
    FROM rejects GROUP BY reason ORDER BY rejects DESC, reason"""
_REJECTS_BY_SOURCE = "SELECT source, count(*) AS rejects FROM rejects GROUP BY source ORDER BY source"
_DROPPED = f"""
    SELECT {short_reason("d.reason")} AS reason, count(*) AS items, list({{
        'item_id': i.item_id, 'locator': o.locator, 'excerpt': left(i.text, 240)}} ORDER BY i.item_id)[:3] AS samples
    FROM dropped d JOIN items i USING (item_id)
    LEFT JOIN (SELECT item_id, min(locator) AS locator FROM origins GROUP BY item_id) o USING (item_id)
    WHERE i.modality = ? GROUP BY 1 ORDER BY items DESC, 1"""
_OBJECTIONS = """
    WITH parts AS (
        SELECT item_id, action, unnest(string_split(reason, '; ')) AS part FROM latest_decisions
        WHERE step IN ('filter', 'filter-scores') AND contains(reason, ': ')
    ), named AS (
        SELECT item_id, action, split_part(part, ': ', 1) AS rule, substr(part, strpos(part, ': ') + 2) AS rest
        FROM parts
    ), kinds AS (
        SELECT item_id, action, rule, unnest(CASE rule WHEN 'contamination' THEN
            [regexp_extract(rest, '\\(\\d+%, ([a-z ]+)\\)$', 1)] ELSE string_split(rest, ', ') END) AS kind FROM named
    )
    SELECT rule, kind, action, count(DISTINCT item_id) AS items FROM kinds GROUP BY ALL
    ORDER BY items DESC, rule, kind, action LIMIT $most"""
_LABELS = """
    SELECT attribute, annotator, value, count(*) AS items, avg(confidence) AS confidence
    FROM annotations GROUP BY ALL ORDER BY ALL"""
_AGREEMENTS = f"""
    WITH one AS (
        SELECT a.item_id, a.attribute, a.annotator, a.value FROM {STANDING}
        QUALIFY row_number() OVER (
            PARTITION BY item_id, attribute, annotator ORDER BY commit_number DESC, confidence DESC, value) = 1)
    SELECT a.attribute, a.annotator AS first, b.annotator AS second,
        count(*) FILTER (a.value = b.value) AS agreed, count(*) AS both
    FROM one a JOIN one b ON a.item_id = b.item_id AND a.attribute = b.attribute AND a.annotator < b.annotator
    GROUP BY ALL ORDER BY ALL"""
_REQUESTS = """
    SELECT model, count(*) AS calls, sum(prompt_tokens)::BIGINT AS prompt_tokens,
        sum(completion_tokens)::BIGINT AS completion_tokens, sum(seconds) AS seconds
    FROM requests GROUP BY model ORDER BY model"""
_SNAPSHOTS = """
    SELECT s.snapshot, s.number, s.size, s.content_hash,
        (SELECT count(*) FROM snapshot_items n WHERE n.snapshot = s.snapshot AND n.number = s.number
            AND n.item_id NOT IN (SELECT item_id FROM snapshot_items p
                WHERE p.snapshot = s.snapshot AND p.number = s.number - 1)) AS added,
        (SELECT count(*) FROM snapshot_items p WHERE p.snapshot = s.snapshot AND p.number = s.number - 1
            AND p.item_id NOT IN (SELECT item_id FROM snapshot_items n
                WHERE n.snapshot = s.snapshot AND n.number = s.number)) AS removed
    FROM snapshots s ORDER BY s.snapshot, s.number"""
_SNAPSHOT_COUNTS = """
    SELECT snapshot, number, split, label, count(*) AS items FROM snapshot_items GROUP BY ALL ORDER BY ALL"""
_SCORES = """
    WITH newest AS (
        SELECT item_id, selector_version, target, score FROM scores WHERE selector = $selector
        QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY commit_number DESC, selector_version) = 1
    )
    SELECT n.item_id, n.selector_version, n.target, n.score, length(i.text) AS length, x.item_id IS NOT NULL AS selected
    FROM newest n JOIN items i USING (item_id) ANTI JOIN dropped d USING (item_id)
    LEFT JOIN (SELECT item_id FROM snapshot_items WHERE snapshot = $snapshot AND number = $number) x USING (item_id)
    WHERE NOT isnan(n.score) ORDER BY n.score DESC, n.item_id"""
_SOURCE_COUNTS = """
    WITH scored AS (
        SELECT item_id FROM scores ANTI JOIN dropped USING (item_id) WHERE selector = $selector
        GROUP BY item_id HAVING NOT isnan(arg_min(score, (-commit_number, selector_version, target)))
    ), met AS (
        SELECT item_id, arg_min(source, (commit_number, source)) AS source
        FROM origins SEMI JOIN scored USING (item_id) GROUP BY item_id
    )
    SELECT source, count(*) AS candidates, count(x.item_id) AS selected FROM met
    LEFT JOIN (SELECT item_id FROM snapshot_items WHERE snapshot = $snapshot AND number = $number) x USING (item_id)
    GROUP BY source ORDER BY selected DESC, source"""
_EXCERPTS = """
    SELECT i.item_id, min(o.locator) AS locator, any_value(left(i.text, 240)) AS excerpt
    FROM items i LEFT JOIN origins o USING (item_id) WHERE list_contains($items, i.item_id) GROUP BY i.item_id"""
_LABELS_OF = f"""
    SELECT item_id, value FROM {STANDING}
    WHERE attribute = ?
    QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY
        CASE annotator_kind WHEN 'human' THEN 0 WHEN 'source' THEN 1 ELSE 2 END, confidence DESC, commit_number DESC,
        annotator, value) = 1"""
_CHECKPOINTS = """
    SELECT learner, snapshot, number, checkpoint, encoder_version, classes, items, size,
        (SELECT max(seconds) FROM commits c WHERE c.commit_number = k.commit_number) AS seconds
    FROM checkpoints k
    QUALIFY row_number() OVER (PARTITION BY learner, snapshot, number ORDER BY commit_number DESC) = 1
    ORDER BY learner, number"""
_METRICS = """
    SELECT subject, checkpoint, number, name, slice, value, formula FROM metrics
    ORDER BY subject, number, name, slice"""
_PROMOTIONS = """
    SELECT learner, checkpoint, number, action, reason FROM promotions
    QUALIFY turn = max(turn) OVER (PARTITION BY learner)
        OR (action <> 'kept' AND turn = max(turn) FILTER (action <> 'kept') OVER (PARTITION BY learner))
    ORDER BY learner, turn"""
_COMMITS = 'SELECT commit_number, step, "rows", seconds FROM commits ORDER BY commit_number'


def arrivals(reader: Reader) -> Rows:
    """Return source, modality, origins and items of everything that arrived."""
    return _ask(reader, _ARRIVALS)


def source_addresses(reader: Reader, source: str) -> list[str]:
    """Return where a source was read from, the newest address last."""
    query = "SELECT address FROM sources WHERE source = ? GROUP BY address ORDER BY max(commit_number)"
    return [str(address) for address in reader.query(query, [source])["address"].to_pylist()]


def rejects(reader: Reader) -> Rows:
    """Return reason, rejects, locators and details, the most frequent reason first."""
    return _ask(reader, _REJECTS)


def rejects_by_source(reader: Reader) -> Rows:
    """Return source and rejects."""
    return _ask(reader, _REJECTS_BY_SOURCE)


def dropped(reader: Reader, modality: str) -> Rows:
    """Return reason, items and up to three samples of what decisions dropped."""
    return _ask(reader, _DROPPED, [modality])


def objections(reader: Reader, most: int) -> Rows:
    """Return rule, kind, action and items of what the filter's rules object to, the most frequent first.

    An item counts for every rule that objects to it, under the action of its decision.
    """
    return _ask(reader, _OBJECTIONS, {"most": most})


def labels(reader: Reader) -> Rows:
    """Return attribute, annotator, value, items and mean confidence."""
    return _ask(reader, _LABELS)


def agreements(reader: Reader) -> Rows:
    """Return how often two annotators agreed where both spoke."""
    return _ask(reader, _AGREEMENTS)


def requests(reader: Reader) -> Rows:
    """Return calls, tokens and seconds by model."""
    return _ask(reader, _REQUESTS)


def snapshots(reader: Reader) -> Rows:
    """Return every snapshot with what it added to and removed from the number before it."""
    return _ask(reader, _SNAPSHOTS)


def snapshot_counts(reader: Reader) -> Rows:
    """Return items by snapshot, number, split and label."""
    return _ask(reader, _SNAPSHOT_COUNTS)


def scores(reader: Reader, selector: str, snapshot: str, number: int) -> Rows:
    """Return item, version, target, score, length, whether the snapshot holds it, a row an item, the best first."""
    return _ask(reader, _SCORES, {"selector": selector, "snapshot": snapshot, "number": number})


def source_counts(reader: Reader, selector: str, snapshot: str, number: int) -> Rows:
    """Return source, candidates (items with a score that no step dropped) and how many of them the snapshot holds.

    An item counts for the source from which it came first.
    """
    return _ask(reader, _SOURCE_COUNTS, {"selector": selector, "snapshot": snapshot, "number": number})


def excerpts(reader: Reader, items: list[str]) -> dict[str, dict[str, Any]]:
    """Return locator and excerpt of these items by id."""
    return {row["item_id"]: row for row in _ask(reader, _EXCERPTS, {"items": items})}


def labels_of(reader: Reader, attribute: str) -> dict[str, str]:
    """Return one value per item: people before sources before the most confident."""
    return {row["item_id"]: row["value"] for row in _ask(reader, _LABELS_OF, [attribute])}


def checkpoints(reader: Reader) -> Rows:
    """Return the checkpoints of every learner in the order of their increments."""
    return _ask(reader, _CHECKPOINTS)


def metrics(reader: Reader) -> Rows:
    """Return every metric of every checkpoint."""
    return _ask(reader, _METRICS)


def promotions(reader: Reader) -> Rows:
    """Return the turn that made each learner's checkpoint the served one, and behind it the last, if it kept one."""
    return _ask(reader, _PROMOTIONS)


def commits(reader: Reader) -> Rows:
    """Return number, step, rows (JSON: table to count) and seconds of every commit."""
    return _ask(reader, _COMMITS)


def _ask(reader: Reader, query: str, parameters: Any = ()) -> Rows:
    rows: Rows = reader.query(query, parameters).to_pylist()
    return rows
