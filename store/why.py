"""One question, one answer: why is this item in or out, who said what about it, which snapshots and models saw it."""

import json
import math
from typing import Any

from curate.errors import BadDataError, UsageError
from curate.store.reader import Reader

_SECTIONS = {
    "origins": "SELECT source, locator, entity, licence, metadata, commit_number FROM origins WHERE item_id = ?",
    "annotations": """
        SELECT attribute, value, confidence, annotator, annotator_kind, annotator_version, protocol, protocol_version,
            commit_number FROM annotations WHERE item_id = ?""",
    "scores": "SELECT selector, selector_version, target, score, commit_number FROM scores WHERE item_id = ?",
    "decisions": "SELECT step, action, reason, commit_number FROM decisions WHERE item_id = ?",
    "duplicate_of": "SELECT duplicate_of, similarity, method, commit_number FROM duplicates WHERE item_id = ?",
    "duplicates": "SELECT item_id, similarity, method, commit_number FROM duplicates WHERE duplicate_of = ?",
    "failures": "SELECT step, actor, reason, commit_number FROM failures WHERE item_id = ?",
    "snapshots": """
        SELECT snapshot, number, split, label, score, commit_number FROM snapshot_items WHERE item_id = ?""",
    "steps": "SELECT step, step_version, parameters, commit_number FROM ledger WHERE item_id = ?",
}
_CHECKPOINTS = """
    SELECT c.learner, c.checkpoint, c.snapshot, c.number, c.commit_number
    FROM checkpoints c JOIN snapshot_items s ON s.snapshot = c.snapshot AND s.number <= c.number
    WHERE s.item_id = ? AND s.split = 'train' AND s.label IS NOT NULL GROUP BY ALL ORDER BY c.commit_number"""
_ABSENT = """
    SELECT s.snapshot, s.number, s.spec, s.as_of, i.commit_number > s.as_of AS later,
        (SELECT min(score) FROM snapshot_items x WHERE x.snapshot = s.snapshot AND x.number = s.number) AS cut
    FROM (FROM snapshots QUALIFY row_number() OVER (PARTITION BY snapshot ORDER BY number DESC) = 1) s
    JOIN items i ON i.item_id = ?
    WHERE json_extract_string(s.spec, '$.modality') = i.modality
      AND NOT EXISTS (SELECT 1 FROM snapshot_items x
                      WHERE x.snapshot = s.snapshot AND x.number = s.number AND x.item_id = i.item_id)
    ORDER BY s.snapshot"""


def find_item(reader: Reader, prefix: str) -> str:
    """Return the one item id that starts with `prefix`.

    Raises:
        UsageError: the prefix is empty or fits several items; the message lists some.
        BadDataError: no item has such an id.
    """
    if not prefix:
        raise UsageError("an item is named by its id or the first digits of it", hint="curate why 3f2a")
    found = reader.query("SELECT item_id FROM items WHERE starts_with(item_id, ?) ORDER BY 1 LIMIT 6", [prefix.lower()])
    names = found["item_id"].to_pylist()
    if len(names) == 1:
        return str(names[0])
    if not names:
        raise BadDataError(
            f"no item's id starts with {prefix!r}", hint="curate sql 'SELECT item_id FROM items LIMIT 10'"
        )
    shown = ", ".join(name[:16] for name in names[:5])
    raise UsageError(f"{prefix!r} fits several items: {shown}{' …' if len(names) > 5 else ''}", hint="give more digits")


def explain(reader: Reader, prefix: str) -> dict[str, Any]:
    """Return everything that the store knows about one item, section by section, each in commit order.

    `verdict` says in one sentence whether it is in or out; `absent_from` says why for each newest snapshot of its
    modality that does not hold it.
    """
    item_id = find_item(reader, prefix)
    [item] = reader.query(
        "SELECT item_id, modality, size, left(text, 200) AS excerpt, commit_number FROM items WHERE item_id = ?",
        [item_id],
    ).to_pylist()
    sections = {
        name: reader.query(f"{query} ORDER BY commit_number, 1, 2, 3", [item_id]).to_pylist()
        for name, query in _SECTIONS.items()
    }
    checkpoints = reader.query(_CHECKPOINTS, [item_id]).to_pylist()
    dropped = reader.query("SELECT step, reason FROM dropped WHERE item_id = ?", [item_id]).to_pylist()
    absent = [_absence(row, sections) for row in reader.query(_ABSENT, [item_id]).to_pylist()]
    verdict = _verdict(sections, dropped)
    return {"item": item, "verdict": verdict, **sections, "absent_from": absent, "checkpoints": checkpoints}


def _verdict(sections: dict[str, Any], dropped: list[dict[str, Any]]) -> str:
    if dropped:
        return f"out: {dropped[0]['step']} dropped it ({dropped[0]['reason']})"
    if sections["snapshots"]:
        names = sorted({f"{row['snapshot']} {row['number']}" for row in sections["snapshots"]})
        return f"in: held by snapshot {', '.join(names)}"
    return "kept, but no snapshot holds it"


def _absence(row: dict[str, Any], sections: dict[str, Any]) -> dict[str, Any]:
    """Say what kept the item out, from what the store knew when the snapshot was drafted."""
    known = {
        name: [entry for entry in entries if entry["commit_number"] <= row["as_of"]]
        for name, entries in sections.items()
    }
    reason = "it came after this snapshot was taken" if row["later"] else _reason(row, json.loads(row["spec"]), known)
    return {"snapshot": row["snapshot"], "number": row["number"], "reason": reason}


def _reason(row: dict[str, Any], spec: dict[str, Any], known: dict[str, Any]) -> str:
    latest = {entry["step"]: entry for entry in known["decisions"]}
    dropped = [entry for entry in latest.values() if entry["action"] == "drop"]
    if dropped:
        return f"dropped by {dropped[0]['step']}: {dropped[0]['reason']}"
    if spec["sources"] and not {origin["source"] for origin in known["origins"]} & set(spec["sources"]):
        return f"its sources are not among {', '.join(spec['sources'])}"
    if spec["label"] and not any(claim["attribute"] == spec["label"] for claim in known["annotations"]):
        return f"nobody had labelled its {spec['label']!r}"
    values = [entry["score"] for entry in known["scores"] if entry["selector"] == spec["order_by"]]
    ranked = [value for value in values if not math.isnan(value)]
    if spec["order_by"] and not ranked:
        return f"{spec['order_by']!r} had not scored it"
    if spec["order_by"] and row["cut"] is not None:
        return f"its {spec['order_by']} score {ranked[-1]:.4f} does not reach the cut {row['cut']:.4f}"
    return f"the limit of {spec['limit']} items was reached before it"
