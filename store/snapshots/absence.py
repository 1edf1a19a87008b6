"""Why a snapshot does not hold an item: the drafting judgement, repeated for this item as of that commit."""

from collections.abc import Callable
from typing import Any

from curate.store.reader import Reader
from curate.store.snapshots.judging import Moment, judge
from curate.store.snapshots.spec import SnapshotSpec
from curate.store.snapshots.tokens import weigh
from curate.types import is_rank, rank_of

_ABSENT = """
    SELECT s.snapshot, s.number, s.spec, s.as_of, s.commit_number, i.commit_number > s.as_of AS later
    FROM (FROM snapshots QUALIFY row_number() OVER (PARTITION BY snapshot ORDER BY number DESC) = 1) s
    JOIN items i ON i.item_id = ?
    WHERE json_extract_string(s.spec, '$.modality') = i.modality
      AND NOT EXISTS (SELECT 1 FROM snapshot_items x
                      WHERE x.snapshot = s.snapshot AND x.number = s.number AND x.item_id = i.item_id)
    ORDER BY s.snapshot"""
_TAKEN = """
    taken AS (
        SELECT item_id, score FROM snapshot_items WHERE snapshot = $snapshot AND number = $number
    ), ahead AS (
        SELECT t.item_id FROM taken t
        WHERE t.score > $score OR (t.score IS NOT DISTINCT FROM $score::DOUBLE AND t.item_id < $item_id)
    )"""
_VERSION = """
    SELECT arg_min(selector_version, (-commit_number, selector_version, target)) AS version FROM scores
    WHERE item_id = ? AND selector = ? AND commit_number <= ?"""
_AHEAD = f"WITH {_TAKEN} SELECT (SELECT count(*) FROM ahead) AS ahead, (SELECT min(score) FROM taken) AS cut"
_OF_CELL = f"""
    WITH {_TAKEN} SELECT count(*) AS ahead FROM ahead JOIN judged USING (item_id)
    WHERE judged.cells[$place] IS NOT DISTINCT FROM $value"""


def absences(reader: Reader, item_id: str) -> list[dict[str, Any]]:
    """Return snapshot, number and reason for each newest snapshot of an item's modality that does not hold it."""
    found = reader.query(_ABSENT, [item_id]).to_pylist()
    return [
        {"snapshot": row["snapshot"], "number": row["number"], "reason": _reason(reader, row, item_id)} for row in found
    ]


def _reason(reader: Reader, row: dict[str, Any], item_id: str) -> str:
    if row["later"]:
        return "it came after this snapshot was taken"
    spec, moment = SnapshotSpec.parse(row["spec"]), Moment(row["as_of"], row["commit_number"])
    judge(reader, spec, moment, [item_id])
    if spec.tokens:
        weigh(reader, spec)
    judged = reader.query("FROM judged").to_pylist()
    if not judged:
        return f"its sources are not among {', '.join(spec.sources)}"
    [item] = judged
    if item["barrier"] is not None:
        return _BARRIERS[item["barrier"]["bar"]](spec, **item["barrier"])
    return _cut(reader, spec, moment, row, item)


def _cut(reader: Reader, spec: SnapshotSpec, moment: Moment, row: dict[str, Any], item: dict[str, Any]) -> str:
    """Say which of quotas, limit and budget was met before the item's turn came."""
    key = {"snapshot": row["snapshot"], "number": row["number"], "score": item["score"], "item_id": item["item_id"]}
    full = _full_quota(reader, spec, moment, key, item["cells"])
    if full:
        return full
    [taken] = reader.query(_AHEAD, key).to_pylist()
    if not spec.limit or taken["ahead"] < spec.limit:
        return f"the budget of {spec.budget} {spec.budget_unit} was spent before it"
    if spec.order_by:
        asked = [item["item_id"], spec.order_by, moment.as_of]
        ranks = is_rank(spec.order_by, str(reader.query(_VERSION, asked)["version"][0]))
        return _below(spec.order_by, item["score"], taken["cut"], ranks=ranks)
    return f"the limit of {spec.limit} items was reached before it"


def _full_quota(
    reader: Reader, spec: SnapshotSpec, moment: Moment, key: dict[str, Any], cells: list[str | None]
) -> str:
    if not spec.quotas:
        return ""
    held = reader.query(
        "SELECT item_id FROM snapshot_items WHERE snapshot = ? AND number = ?", [key["snapshot"], key["number"]]
    )
    judge(reader, spec, moment, held["item_id"].to_pylist())
    for place, (quota, value) in enumerate(zip(spec.quotas, cells, strict=True), start=1):
        [[ahead]] = [row.values() for row in reader.query(_OF_CELL, key | {"place": place, "value": value}).to_pylist()]
        bound = quota.bound(value)
        if bound and ahead >= bound:
            whose = f"without {quota.attribute!r}" if value is None else f"whose {quota.attribute!r} is {value!r}"
            return f"the quota of {bound} items {whose} was full before it"
    return ""


def _undecided(spec: SnapshotSpec, *, by: str, detail: str, **_: str) -> str:
    wanted = " or ".join(spec.decisions[by])
    return f"the decision of {by!r} about it was {detail}, and {wanted} is asked for"


def _another_value(spec: SnapshotSpec, *, by: str, detail: str, **_: str) -> str:
    return f"its {by!r} was {detail!r}, and {' or '.join(map(repr, spec.values[by]))} is asked for"


def _out_of_range(spec: SnapshotSpec, *, by: str, detail: str, **_: str) -> str:
    [bounds] = {(entry.low, entry.high) for entry in spec.scores if entry.selector == by}
    low, high = ("-∞" if bounds[0] is None else bounds[0], "∞" if bounds[1] is None else bounds[1])
    return f"its {by} score {float(detail):.4f} lies outside {low} to {high}"


def _held_out(spec: SnapshotSpec, *, detail: str, **_: str) -> str:
    return f"it would be trained on, and it or a near-duplicate of it evaluates in snapshot {detail}"


def _too_long(spec: SnapshotSpec, *, detail: str, **_: str) -> str:
    return f"its {detail} {spec.budget_unit} exceed the whole budget of {spec.budget}"


def _moved(spec: SnapshotSpec, *, by: str, detail: str, **_: str) -> str:
    return f"it would be in {by} now, and an earlier number held it or a near-duplicate of it in {detail}"


_BARRIERS: dict[str, Callable[..., str]] = {
    "dropped": lambda spec, *, by, detail, **_: f"dropped by {by}: {detail}",
    "undecided": _undecided,
    "no label": lambda spec, *, by, **_: f"nobody had labelled its {by!r}",
    "no value": lambda spec, *, by, **_: f"nobody had labelled its {by!r}",
    "another value": _another_value,
    "unranked": lambda spec, *, by, **_: f"{by!r} had not scored it",
    "no score": lambda spec, *, by, **_: f"{by!r} had not scored it",
    "out of range": _out_of_range,
    "too long": _too_long,
    "reserved": lambda spec, *, by, detail, **_: "it is of the share of items that audits come from",
    "held out": _held_out,
    "moved": _moved,
}


def _below(selector: str, score: float, cut: float, *, ranks: bool) -> str:
    if ranks:
        return f"its {selector} rank {rank_of(score)} does not reach the cut, rank {rank_of(cut)}"
    return f"its {selector} score {score:.4f} does not reach the cut {cut:.4f}"
