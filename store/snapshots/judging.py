"""Which items may enter a snapshot, and what bars the others: one judgement an item, in the table `judged`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from curate.store.gating import lots
from curate.store.reader import Reader
from curate.store.silence import SILENT, WITHDRAWAL, WITHDRAWN
from curate.store.snapshots.groups import register_groups
from curate.store.snapshots.spec import SnapshotSpec
from curate.store.snapshots.splits import HELD, PLACED, split_parameters
from curate.store.spill import bound_memory

_MEGABYTES = 512


@dataclass(frozen=True, slots=True)
class Moment:
    """What counts: the store's rows up to the commit `as_of`, of the snapshots those before the commit `before`."""

    as_of: int
    before: int


_SCOPED = """
    CREATE OR REPLACE TEMP TABLE scoped AS
    WITH chosen AS (
        SELECT i.item_id, {size} AS size FROM items i
        WHERE i.modality = $modality AND i.commit_number <= $as_of AND {chosen}
          AND (len($sources) = 0 OR i.item_id IN (
            SELECT item_id FROM origins WHERE commit_number <= $as_of AND list_contains($sources, source)))
    ), numbered AS (
        SELECT row_number() OVER () AS place, item_id, size FROM chosen
    )
    SELECT n.place, n.item_id, n.size, g.root, coalesce(g.key, n.place) AS key, g.key IS NULL AS single
    FROM numbered n LEFT JOIN near_groups g USING (item_id)"""
# What is known of an item hangs on its place, a number: ids of 64 characters are compared once for each table.
# Each of these statements groups or joins once: several at a time would need all their memory at once, and DuckDB gives
# up where it cannot move the one for the other.
_DECIDED = """
    CREATE OR REPLACE TEMP TABLE decided AS
    WITH verdicts AS (
        SELECT place, step, arg_min({{'action': action, 'reason': reason, 'commit_number': commit_number}},
            (-commit_number, action, reason)) AS newest
        FROM (SELECT place, step, action, reason, d.commit_number FROM decisions d JOIN scoped USING (item_id)
            WHERE d.commit_number <= $as_of)
        GROUP BY place, step
    )
    SELECT place, {actions}::VARCHAR[] AS actions,
        arg_min({{'step': step, 'reason': newest.reason}}, (newest.commit_number, step))
            FILTER (newest.action = 'drop' AND NOT list_contains($forgiven::VARCHAR[], step)) AS dropped
    FROM verdicts GROUP BY place"""
# The newest version of a protocol goes before older ones: an answer that was asked anew, before the old one.
# Who takes an answer back abstains from the question; versions of a person's claims are turns, counted from 1. Of an
# annotator that claimed in several versions only the newest word counts, however sure an older one was. A consensus
# without a value takes back those before it.
_SEVERAL = """
    CREATE OR REPLACE TEMP TABLE several AS
    SELECT annotator FROM annotations
    WHERE commit_number <= $as_of AND annotator_kind NOT IN ('human', 'simulated', 'source')
        AND list_contains($attributes::VARCHAR[], attribute)
    GROUP BY annotator HAVING min(annotator_version) <> max(annotator_version)"""
_WITHDRAWN = f"""
    CREATE OR REPLACE TEMP TABLE withdrawn AS
    SELECT item_id, protocol, protocol_version, attribute, annotator, {WITHDRAWAL} FROM (
        SELECT item_id, protocol, protocol_version, attribute, annotator, reason, annotator_version, commit_number
        FROM abstentions
        UNION ALL
        SELECT item_id, protocol, protocol_version, attribute, annotator, '{SILENT}', annotator_version, commit_number
        FROM annotations SEMI JOIN several USING (annotator)
        UNION ALL
        SELECT item_id, protocol, protocol_version, attribute, 'consensus', '{SILENT}', '', commit_number
        FROM consensus WHERE value = ''
    )
    WHERE commit_number <= $as_of AND list_contains($attributes::VARCHAR[], attribute) GROUP BY ALL"""
# `people` stands for every person, real or simulated.
_TRUST = """coalesce(list_position($annotators, annotator),
            CASE WHEN annotator_kind IN ('human', 'simulated') THEN list_position($annotators, 'people') END)"""
_CLAIMED = f"""
    CREATE OR REPLACE TEMP TABLE claimed AS
    SELECT place, {{claims}}::VARCHAR[] AS claims FROM (
        SELECT place, attribute, value, (coalesce({_TRUST}, 1000000),
            CASE annotator_kind WHEN 'human' THEN 0 WHEN 'source' THEN 1 ELSE 2 END, -coalesce(introduced, 0),
            if(annotator_kind = 'consensus', 0, -confidence), -a.commit_number, annotator, value) AS trust
        FROM (
            SELECT a.* FROM (
                SELECT item_id, protocol, protocol_version, attribute, value, confidence, annotator, annotator_kind,
                    annotator_version, commit_number
                FROM annotations
                UNION ALL
                SELECT item_id, protocol, protocol_version, attribute, value, posterior, 'consensus', 'consensus', '',
                    commit_number
                FROM consensus WHERE list_contains($annotators, 'consensus') AND value <> ''
            ) a ANTI JOIN withdrawn w ON (
                w.item_id = a.item_id AND w.attribute = a.attribute AND w.annotator = a.annotator
                AND w.protocol = a.protocol AND w.protocol_version = a.protocol_version
                AND {WITHDRAWN})
        ) a JOIN scoped USING (item_id) LEFT JOIN (
            SELECT protocol, version, min(commit_number) AS introduced FROM protocols
            WHERE commit_number <= $as_of GROUP BY ALL
        ) v ON (v.protocol = a.protocol AND v.version = a.protocol_version)
        WHERE list_contains($attributes::VARCHAR[], attribute) AND a.commit_number <= $as_of
          AND (NOT $strict OR {_TRUST} IS NOT NULL))
    GROUP BY place"""
_SCORED = """
    CREATE OR REPLACE TEMP TABLE scored AS
    SELECT place, list_transform({grades}::DOUBLE[], lambda grade: nullif(grade, 'NaN'::DOUBLE)) AS grades FROM (
        SELECT place, selector, score, (-g.commit_number, selector_version, target) AS age
        FROM scores g JOIN scoped USING (item_id)
        WHERE list_contains($selectors::VARCHAR[], selector) AND g.commit_number <= $as_of)
    GROUP BY place"""
_PLACED = f"CREATE OR REPLACE TEMP TABLE placed AS WITH {HELD}, {PLACED} FROM placed"
_FACTS = """
    SELECT p.item_id, p.size, d.dropped, d.actions, c.claims, g.grades, p.split, p.stays, p.anchor, p.evaluated_by,
        p.held_in, c.claims[list_position($attributes, $label)] AS label,
        g.grades[list_position($selectors, $order_by)] AS score,
        list_transform($quota_attributes::VARCHAR[], lambda name: c.claims[list_position($attributes, name)]) AS cells,
        list_filter(range(1, len($steps::VARCHAR[]) + 1), lambda k: NOT list_contains(
            ($actions::VARCHAR[][])[k], coalesce(d.actions[k], 'none')))[1] AS wrong_step,
        list_filter(range(1, len($valued::VARCHAR[]) + 1), lambda k: NOT coalesce(list_contains(
            ($allowed::VARCHAR[][])[k], c.claims[list_position($attributes, ($valued::VARCHAR[])[k])]), false))[1]
            AS wrong_value,
        list_filter(range(1, len($ranged::VARCHAR[]) + 1), lambda k: NOT coalesce(
            g.grades[list_position($selectors, ($ranged::VARCHAR[])[k])]
            BETWEEN ($lows::DOUBLE[])[k] AND ($highs::DOUBLE[])[k], false))[1] AS wrong_score
    FROM placed p LEFT JOIN decided d USING (place) LEFT JOIN claimed c USING (place)
    LEFT JOIN scored g USING (place)"""
_JUDGING = "CREATE OR REPLACE TEMP TABLE judged AS"
_JUDGED = """
    SELECT item_id, label, score, split, stays, anchor, size, cells,
        CASE
            WHEN dropped IS NOT NULL THEN {'bar': 'dropped', 'by': dropped.step, 'detail': dropped.reason}
            WHEN wrong_step IS NOT NULL THEN {'bar': 'undecided', 'by': ($steps::VARCHAR[])[wrong_step],
                'detail': coalesce(actions[wrong_step], 'none')}
            WHEN $label <> '' AND label IS NULL THEN {'bar': 'no label', 'by': $label, 'detail': ''}
            WHEN wrong_value IS NOT NULL THEN
                CASE WHEN claims[list_position($attributes, ($valued::VARCHAR[])[wrong_value])] IS NULL
                THEN {'bar': 'no value', 'by': ($valued::VARCHAR[])[wrong_value], 'detail': ''}
                ELSE {'bar': 'another value', 'by': ($valued::VARCHAR[])[wrong_value],
                    'detail': claims[list_position($attributes, ($valued::VARCHAR[])[wrong_value])]} END
            WHEN $order_by <> '' AND score IS NULL THEN {'bar': 'unranked', 'by': $order_by, 'detail': ''}
            WHEN wrong_score IS NOT NULL THEN
                CASE WHEN grades[list_position($selectors, ($ranged::VARCHAR[])[wrong_score])] IS NULL
                THEN {'bar': 'no score', 'by': ($ranged::VARCHAR[])[wrong_score], 'detail': ''}
                ELSE {'bar': 'out of range', 'by': ($ranged::VARCHAR[])[wrong_score],
                    'detail': grades[list_position($selectors, ($ranged::VARCHAR[])[wrong_score])]::VARCHAR} END
            WHEN $characters > 0 AND size > $characters THEN {'bar': 'too long', 'by': '', 'detail': size::VARCHAR}
            WHEN $lots <> '' AND sha256('audit:' || item_id) < $lots
                THEN {'bar': 'reserved', 'by': '', 'detail': ''}
            WHEN evaluated_by IS NOT NULL THEN {'bar': 'held out', 'by': split, 'detail': evaluated_by}
            WHEN held_in IS NOT NULL THEN {'bar': 'moved', 'by': split, 'detail': held_in}
        END AS barrier
    FROM facts"""


def judge(reader: Reader, spec: SnapshotSpec, moment: Moment, only: Sequence[str] | None = None) -> None:
    """Make the temporary table `judged`, one row for each item of the spec's modality and sources, or of `only` these.

    Its columns: item_id, label, score, split, `stays` and `anchor` (see `PLACED`), size (Unicode characters, null
    without a budget of them; `weigh` puts tokens there), `cells` (the value for each quota), and `barrier`: null for a
    candidate, or what bars it (`bar`, `by` whom or what, and `detail`).

    Cost: one pass over the scoped items' rows in each table, and over the items of all snapshots; contents are read for
    a budget of characters only. Memory: DuckDB's half a gigabyte, whatever the store holds (the rest lies on disk
    meanwhile), and the ids of items that have duplicates.
    """
    bound_memory(reader, _MEGABYTES)
    register_groups(reader, moment.as_of, only)
    if only is not None:
        reader.register("asked_items", pa.table({"item_id": pa.array(only, pa.string())}))
    scoped = _SCOPED.format(
        size="length(i.text)" if spec.characters else "NULL::BIGINT",
        chosen="true" if only is None else "i.item_id IN (SELECT item_id FROM asked_items)",
    )
    parameters = _parameters(spec, moment)
    for statement in (scoped, *_known(parameters), _PLACED, f"{_JUDGING} WITH facts AS ({_FACTS}) {_JUDGED}"):
        _ask(reader, statement, parameters)
    for name in ("scoped", "decided", "several", "withdrawn", "claimed", "scored", "placed"):
        reader.query(f"DROP TABLE {name}")


def _known(parameters: Mapping[str, object]) -> tuple[str, ...]:
    """The statements that gather what is known; what they hold of the spec is how many steps, attributes, selectors."""
    return (
        _DECIDED.format(actions=_each("steps", "arg_min(newest.action, step)", "step", parameters)),
        _SEVERAL,
        _WITHDRAWN,
        _CLAIMED.format(claims=_each("attributes", "arg_min(value, trust)", "attribute", parameters)),
        _SCORED.format(grades=_each("selectors", "arg_min(score, age)", "selector", parameters)),
    )


def _each(names: str, value: str, column: str, parameters: Mapping[str, object]) -> str:
    """The SQL of a list with an aggregate for each name of a list parameter, over the rows that bear the name."""
    listed = parameters[names]
    assert isinstance(listed, list)
    whose = f"{column} = (${names}::VARCHAR[])"
    return "[" + ", ".join(f"{value} FILTER ({whose}[{place}])" for place in range(1, len(listed) + 1)) + "]"


def _ask(reader: Reader, statement: str, parameters: Mapping[str, object]) -> None:
    """Run a statement with those of the parameters that it names: DuckDB takes no others."""
    named = set(re.findall(r"\$(\w+)", statement))
    reader.query(statement, {name: value for name, value in parameters.items() if name in named})


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
        "strict": spec.strict,
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
        "lots": lots(spec.reserve),
        **split_parameters(spec.splits),
    }
