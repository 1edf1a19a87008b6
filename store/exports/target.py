"""What an export shall hold, as a view that can be asked: one row an item, with codes for names."""

from typing import Any

import pyarrow as pa

from curate.store.exports.plan import ExportPlan
from curate.store.reader import Reader
from curate.types import SPLITS

PROVENANCE = """
    uniform AS (
        SELECT commit_number, min(source) AS source, min(licence) AS licence FROM origins GROUP BY commit_number
        HAVING min(source) = max(source) AND min(licence) = max(licence)
    ), mixed AS (
        SELECT item_id, commit_number, arg_min(source, (source, locator)) AS source,
            arg_min(licence, (source, locator)) AS licence
        FROM origins ANTI JOIN uniform USING (commit_number) GROUP BY item_id, commit_number
    )"""
"""Source and licence by commit where a commit has one of each (`uniform`), else by item and commit (`mixed`)."""
_TARGET = f"""
    WITH {PROVENANCE}, target AS (
        SELECT s.item_id, i.text, i.image, i.events, list_position($classes::VARCHAR[], s.label) - 1 AS label,
            list_position($splits::VARCHAR[], s.split) - 1 AS split, s.score,
            coalesce(u.source, m.source) AS source, coalesce(u.licence, m.licence) AS licence,
            coalesce(i.size, 0) AS size
        FROM snapshot_items s JOIN items i USING (item_id)
        LEFT JOIN uniform u ON u.commit_number = i.commit_number
        LEFT JOIN mixed m ON m.commit_number = i.commit_number AND m.item_id = i.item_id
        WHERE s.snapshot = $snapshot AND s.number = $number
    )
"""


def ask_target(reader: Reader, plan: ExportPlan, query: str) -> pa.Table:
    """Answer a question to the view `target`."""
    return reader.query(*target_question(plan, query))


def target_question(plan: ExportPlan, query: str) -> tuple[str, dict[str, Any]]:
    """Return the SQL of a question to the view `target`, and its parameters."""
    return _TARGET + query, target_parameters(plan)


def target_parameters(plan: ExportPlan) -> dict[str, Any]:
    """Return the snapshot and the names that codes stand for."""
    return {
        "snapshot": plan.snapshot.snapshot,
        "number": plan.snapshot.number,
        "classes": list(plan.class_names),
        "splits": list(SPLITS),
    }
