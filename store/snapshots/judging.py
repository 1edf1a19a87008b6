"""Which items may enter a snapshot, and what bars the others: one judgement an item, in the table `judged`."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from curate.store.reader import Reader
from curate.store.snapshots.groups import register_groups
from curate.store.snapshots.spec import SnapshotSpec
from curate.store.snapshots.splits import PLACED, split_parameters


@dataclass(frozen=True, slots=True)
class Moment:
    """What counts: the store's rows up to the commit `as_of`, of the snapshots those before the commit `before`."""

    as_of: int
    before: int


_SCOPED = """
    SELECT i.item_id, {size} AS size FROM items i
    WHERE i.modality = $modality AND i.commit_number <= $as_of AND {chosen}
      AND (len($sources) = 0 OR i.item_id IN (
        SELECT item_id FROM origins WHERE commit_number <= $as_of AND list_contains($sources, source)))"""
_KNOWN = """
    verdicts AS (
        SELECT item_id, step, action, reason, commit_number FROM decisions SEMI JOIN scoped USING (item_id)
        WHERE commit_number <= $as_of
        QUALIFY row_number() OVER (PARTITION BY item_id, step ORDER BY commit_number DESC) = 1
    ), decided AS (
        SELECT item_id, map_from_entries(list((step, action))) AS actions,
            arg_min({'step': step, 'reason': reason}, (commit_number, step))
                FILTER (action = 'drop' AND NOT list_contains($forgiven::VARCHAR[], step)) AS dropped
        FROM verdicts GROUP BY item_id
    ), trusted AS (
        SELECT item_id, attribute, value FROM annotations SEMI JOIN scoped USING (item_id)
        WHERE list_contains($attributes::VARCHAR[], attribute) AND commit_number <= $as_of
        QUALIFY row_number() OVER (PARTITION BY item_id, attribute ORDER BY
            coalesce(list_position($annotators, annotator), 1000000),
            CASE annotator_kind WHEN 'human' THEN 0 WHEN 'source' THEN 1 ELSE 2 END,
            confidence DESC, commit_number DESC, annotator, value) = 1
    ), claimed AS (
        SELECT item_id, map_from_entries(list((attribute, value))) AS claims FROM trusted GROUP BY item_id
    ), newest AS (
        SELECT item_id, selector, score FROM scores SEMI JOIN scoped USING (item_id)
        WHERE list_contains($selectors::VARCHAR[], selector) AND commit_number <= $as_of AND NOT isnan(score)
        QUALIFY row_number() OVER (
            PARTITION BY item_id, selector ORDER BY commit_number DESC, selector_version, target) = 1
    ), scored AS (
        SELECT item_id, map_from_entries(list((selector, score))) AS grades FROM newest GROUP BY item_id
    )"""
_FACTS = """
    SELECT item_id, s.size, d.dropped, d.actions, c.claims, g.grades, p.split, p.stays, p.anchor, p.evaluated_by,
        p.held_in, c.claims[$label] AS label, g.grades[$order_by] AS score,
        list_transform($quota_attributes::VARCHAR[], lambda name: c.claims[name]) AS cells,
        list_filter(range(1, len($steps::VARCHAR[]) + 1), lambda k: NOT list_contains(
            ($actions::VARCHAR[][])[k], coalesce(d.actions[($steps::VARCHAR[])[k]], 'none')))[1] AS wrong_step,
        list_filter(range(1, len($valued::VARCHAR[]) + 1), lambda k: NOT coalesce(list_contains(
            ($allowed::VARCHAR[][])[k], c.claims[($valued::VARCHAR[])[k]]), false))[1] AS wrong_value,
        list_filter(range(1, len($ranged::VARCHAR[]) + 1), lambda k: NOT coalesce(
            g.grades[($ranged::VARCHAR[])[k]] BETWEEN ($lows::DOUBLE[])[k] AND ($highs::DOUBLE[])[k], false))[1]
            AS wrong_score
    FROM scoped s JOIN placed p USING (item_id) LEFT JOIN decided d USING (item_id)
    LEFT JOIN claimed c USING (item_id) LEFT JOIN scored g USING (item_id)"""
_JUDGED = """
    SELECT item_id, label, score, split, stays, anchor, size, cells,
        CASE
            WHEN dropped IS NOT NULL THEN {'bar': 'dropped', 'by': dropped.step, 'detail': dropped.reason}
            WHEN wrong_step IS NOT NULL THEN {'bar': 'undecided', 'by': ($steps::VARCHAR[])[wrong_step],
                'detail': coalesce(actions[($steps::VARCHAR[])[wrong_step]], 'none')}
            WHEN $label <> '' AND label IS NULL THEN {'bar': 'no label', 'by': $label, 'detail': ''}
            WHEN wrong_value IS NOT NULL THEN
                CASE WHEN claims[($valued::VARCHAR[])[wrong_value]] IS NULL
                THEN {'bar': 'no value', 'by': ($valued::VARCHAR[])[wrong_value], 'detail': ''}
                ELSE {'bar': 'another value', 'by': ($valued::VARCHAR[])[wrong_value],
                    'detail': claims[($valued::VARCHAR[])[wrong_value]]} END
            WHEN $order_by <> '' AND score IS NULL THEN {'bar': 'unranked', 'by': $order_by, 'detail': ''}
            WHEN wrong_score IS NOT NULL THEN
                CASE WHEN grades[($ranged::VARCHAR[])[wrong_score]] IS NULL
                THEN {'bar': 'no score', 'by': ($ranged::VARCHAR[])[wrong_score], 'detail': ''}
                ELSE {'bar': 'out of range', 'by': ($ranged::VARCHAR[])[wrong_score],
                    'detail': grades[($ranged::VARCHAR[])[wrong_score]]::VARCHAR} END
            WHEN $characters > 0 AND size > $characters THEN {'bar': 'too long', 'by': '', 'detail': size::VARCHAR}
            WHEN evaluated_by IS NOT NULL THEN {'bar': 'held out', 'by': split, 'detail': evaluated_by}
            WHEN held_in IS NOT NULL THEN {'bar': 'moved', 'by': split, 'detail': held_in}
        END AS barrier
    FROM facts"""


def judge(reader: Reader, spec: SnapshotSpec, moment: Moment, only: Sequence[str] | None = None) -> None:
    """Make the temporary table `judged`, one row for each item of the spec's modality and sources, or of `only` these.

    Its columns: item_id, label, score, split, `stays` and `anchor` (see `PLACED`), size (Unicode characters, null
    without a budget of them), `cells` (the value for each quota), and `barrier`: null for a candidate, or what
    bars it (`bar`, `by` whom or what, and `detail`).

    Cost: one pass over the scoped items' rows in each table, and over the items of all snapshots; contents are read for
    a budget of characters only. Memory: DuckDB's, about two kilobytes an item and no content.
    """
    register_groups(reader, moment.as_of, only)
    if only is not None:
        reader.register("asked_items", pa.table({"item_id": pa.array(only, pa.string())}))
    scoped = _SCOPED.format(
        size="length(i.text)" if spec.characters else "NULL::BIGINT",
        chosen="true" if only is None else "i.item_id IN (SELECT item_id FROM asked_items)",
    )
    parts = f"scoped AS ({scoped}), {_KNOWN}, {PLACED}, facts AS ({_FACTS})"
    reader.query(f"CREATE OR REPLACE TEMP TABLE judged AS WITH {parts} {_JUDGED}", _parameters(spec, moment))


def _parameters(spec: SnapshotSpec, moment: Moment) -> dict[str, object]:
    quotas = [quota.attribute for quota in spec.quotas]
    ranges = spec.scores
    return {
        "name": spec.name,
        "modality": spec.modality,
        "sources": list(spec.sources),
        "as_of": moment.as_of,
        "before": moment.before,
        "label": spec.label,
        "attributes": sorted({spec.label, *spec.values, *quotas}),
        "annotators": list(spec.annotators),
        "order_by": spec.order_by,
        "selectors": sorted({spec.order_by, *(entry.selector for entry in ranges)}),
        "quota_attributes": quotas,
        "valued": list(spec.values),
        "allowed": [list(allowed) for allowed in spec.values.values()],
        "ranged": [entry.selector for entry in ranges],
        "lows": [float("-inf") if entry.low is None else entry.low for entry in ranges],
        "highs": [float("inf") if entry.high is None else entry.high for entry in ranges],
        "steps": list(spec.decisions),
        "actions": [list(allowed) for allowed in spec.decisions.values()],
        "forgiven": [step for step, allowed in spec.decisions.items() if "drop" in allowed],
        "characters": spec.characters,
        **split_parameters(spec.splits),
    }
