"""One question, one answer: why is this item in or out, who said what about it, which snapshots and models saw it."""

from typing import Any

from curate.errors import BadDataError, UsageError
from curate.store.reader import Reader
from curate.store.snapshots.absence import absences

_SECTIONS = {
    "origins": "SELECT source, locator, entity, licence, metadata, commit_number FROM latest_origins WHERE item_id = ?",
    "restatements": """
        SELECT source, locator, turn, licence, metadata, commit_number FROM restatements WHERE item_id = ?""",
    "annotations": """
        SELECT attribute, value, confidence, annotator, annotator_kind, annotator_version, protocol, protocol_version,
            commit_number FROM annotations WHERE item_id = ?""",
    "scores": "SELECT selector, selector_version, target, score, commit_number FROM scores WHERE item_id = ?",
    "decisions": "SELECT step, action, reason, commit_number FROM decisions WHERE item_id = ?",
    "duplicate_of": "SELECT duplicate_of, similarity, method, commit_number FROM duplicates WHERE item_id = ?",
    "duplicates": "SELECT item_id, similarity, method, commit_number FROM duplicates WHERE duplicate_of = ?",
    "failures": "SELECT step, actor, reason, commit_number FROM failures WHERE item_id = ?",
    "snapshots": """
        SELECT x.snapshot, x.number, x.split, x.label, json_extract_string(s.spec, '$.order_by') AS order_by, x.score,
            x.commit_number
        FROM snapshot_items x LEFT JOIN snapshots s USING (snapshot, number) WHERE x.item_id = ?""",
    "steps": "SELECT step, step_version, parameters, commit_number FROM ledger WHERE item_id = ?",
}
_CHECKPOINTS = """
    SELECT c.learner, c.checkpoint, c.snapshot, c.number, c.commit_number
    FROM checkpoints c JOIN snapshot_items s ON s.snapshot = c.snapshot
        AND s.number BETWEEN CASE WHEN starts_with(c.learner, 'adapter:') THEN c.number ELSE 0 END AND c.number
    WHERE s.item_id = ? AND s.split = 'train' AND (s.label IS NOT NULL OR len(c.classes) = 0)
    GROUP BY ALL ORDER BY c.commit_number"""
"""An adapter is fitted anew to each number, and a language model's has no classes and asks for no labels."""


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
        _refuse_erased(reader, prefix.lower())
        raise BadDataError(
            f"no item's id starts with {prefix!r}", hint="curate sql 'SELECT item_id FROM items LIMIT 10'"
        )
    shown = ", ".join(name[:16] for name in names[:5])
    raise UsageError(f"{prefix!r} fits several items: {shown}{' …' if len(names) > 5 else ''}", hint="give more digits")


def _refuse_erased(reader: Reader, prefix: str) -> None:
    query = "SELECT item_id, reason, commit_number FROM tombstones WHERE starts_with(item_id, ?) ORDER BY 1 LIMIT 1"
    for row in reader.query(query, [prefix]).to_pylist():
        raise BadDataError(
            f"item {row['item_id'][:16]} was erased in commit {row['commit_number']}: {row['reason']}",
            hint="what still holds it: curate sql 'FROM snapshot_items'",
        )


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
    verdict = _verdict(sections, dropped)
    return {
        "item": item,
        "verdict": verdict,
        **sections,
        "absent_from": absences(reader, item_id),
        "checkpoints": checkpoints,
    }


def _verdict(sections: dict[str, Any], dropped: list[dict[str, Any]]) -> str:
    if dropped:
        return f"out: {dropped[0]['step']} dropped it ({dropped[0]['reason']})"
    if sections["snapshots"]:
        names = sorted({f"{row['snapshot']} {row['number']}" for row in sections["snapshots"]})
        return f"in: held by snapshot {', '.join(names)}"
    return "kept, but no snapshot holds it"
