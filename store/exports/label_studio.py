"""Label Studio's JSON: a shard's items as tasks, with what annotators claimed about them as predictions.

A task carries the item id in its data: an answer finds its item whatever Label Studio does to the task's number.
"""

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pyarrow.parquet as pq

from curate.store.exports.manifest import Shard
from curate.store.exports.plan import ExportPlan
from curate.store.reader import Reader
from curate.store.silence import WITHDRAWAL, WITHDRAWN
from curate.types import NONE_OF_THEM, separate_values

LABELLING_FILE = "labelling.xml"
_SHARD = "export_shard"
_CLAIMS = f"""
    WITH known AS (
        SELECT as_of FROM snapshots WHERE snapshot = ? AND number = ?
    ), withdrawn AS (
        SELECT item_id, protocol, protocol_version, attribute, annotator, {WITHDRAWAL}
        FROM abstentions SEMI JOIN {_SHARD} USING (item_id)
        WHERE commit_number <= (SELECT as_of FROM known) GROUP BY ALL
    ), newest AS (
        FROM annotations SEMI JOIN {_SHARD} USING (item_id)
        WHERE commit_number <= (SELECT as_of FROM known)
        QUALIFY row_number() OVER (
            PARTITION BY item_id, annotator, attribute ORDER BY commit_number DESC, annotator_version, value) = 1
    )
    SELECT item_id, annotator, annotator_version AS version, attribute, value, confidence
    FROM newest a ANTI JOIN withdrawn w ON (
        w.item_id = a.item_id AND w.protocol = a.protocol AND w.protocol_version = a.protocol_version
        AND w.attribute = a.attribute AND w.annotator = a.annotator AND {WITHDRAWN})
    ORDER BY item_id, annotator, attribute"""
_QUESTIONS = """
    WITH asked AS (
        SELECT attribute, arg_max(question, commit_number) AS question, arg_max("values", commit_number) AS choices
        FROM attributes WHERE commit_number <= $as_of GROUP BY attribute
    ), claimed AS (
        SELECT attribute, attribute AS question, list_sort(list(DISTINCT value)) AS choices
        FROM annotations ANTI JOIN asked USING (attribute) WHERE commit_number <= $as_of GROUP BY attribute
    )
    FROM asked UNION ALL FROM claimed ORDER BY attribute"""
_TAGS = {"text": "Text", "image": "Image", "events": "Text"}


def tasks(
    reader: Reader, plan: ExportPlan, shard: Shard, rows: Iterable[Mapping[str, Any]], folder: Path
) -> Iterator[dict[str, Any]]:
    """Yield one task for each of the rows of a shard of the export in `folder`.

    Every annotator's newest claims as of the shard's snapshot become one prediction; its score is its least confidence.
    What was withdrawn by then, by a person or by a newer version that is silent, is not shown.
    Memory: the claims about the shard's items.
    """
    file = pq.ParquetFile(folder / shard.files["parquet"].path)
    reader.register(_SHARD, file.read(columns=["item_id"]).replace_schema_metadata())
    claims: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for claim in reader.query(_CLAIMS, [plan.snapshot.snapshot, shard.number]).to_pylist():
        claims[claim["item_id"]].append(claim)
    for row in rows:
        data = {**row, plan.modality: _shown(row[plan.modality], plan.modality)}
        yield {"data": data, "predictions": _predictions(claims[row["item_id"]], plan)}


def labelling_interface(reader: Reader, plan: ExportPlan, as_of: int) -> str:
    """Return the labelling interface that the predictions fit: one choice for each attribute known at that commit."""
    lines = ["<View>", f'  <{_TAGS[plan.modality]} name="{plan.modality}" value="${plan.modality}"/>']
    for question in reader.query(_QUESTIONS, {"as_of": as_of}).to_pylist():
        lines.append(f"  <Header value={quoteattr(question['question'])}/>")
        name, choice = question["attribute"], "multiple" if question["attribute"] in plan.multiple else "single"
        lines.append(f'  <Choices name={quoteattr(name)} toName="{plan.modality}" choice="{choice}">')
        offered = [*question["choices"], *([NONE_OF_THEM] if choice == "multiple" else [])]
        lines += [f"    <Choice value={quoteattr(value)}/>" for value in dict.fromkeys(offered)]
        lines.append("  </Choices>")
    return "\n".join([*lines, "</View>", ""])


def _shown(content: Any, modality: str) -> str:
    """Content as Label Studio can show it from the task alone: an image as a data address, events as JSON."""
    if modality == "image":
        return "data:image/*;base64," + base64.b64encode(content).decode()
    return str(content) if modality == "text" else json.dumps(content)


def _predictions(claims: Iterable[Mapping[str, Any]], plan: ExportPlan) -> list[dict[str, Any]]:
    by_annotator: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for claim in claims:
        by_annotator[claim["annotator"], claim["version"]].append(claim)
    return [
        {
            "model_version": " ".join(filter(None, annotator)),
            "score": min(claim["confidence"] for claim in made),
            "result": [_result(claim, plan) for claim in made],
        }
        for annotator, made in by_annotator.items()
    ]


def _result(claim: Mapping[str, Any], plan: ExportPlan) -> dict[str, Any]:
    value = claim["value"]
    chosen = list(separate_values(value)) or [NONE_OF_THEM] if claim["attribute"] in plan.multiple else [value]
    return {
        "from_name": claim["attribute"],
        "to_name": plan.modality,
        "type": "choices",
        "value": {"choices": chosen},
    }
