"""What the report shows of the gate: verdicts, what people were asked, and how sure annotators may be."""

import math
from typing import Any

from curate.flows.steps.calibrate import SUBJECT
from curate.report.data import CalibrationSummary, GateSummary, GateVerdict
from curate.store import summaries
from curate.store.gating import gate_figures, gate_verdicts
from curate.store.reader import Reader


def gate_summaries(reader: Reader) -> tuple[GateSummary, ...]:
    """Return the gate of each version of a protocol that has asked anything, the newest verdicts only."""
    verdicts = gate_verdicts(reader)
    found = []
    for row in gate_figures(reader):
        own = [
            one for one in verdicts if (one["protocol"], one["protocol_version"]) == (row["protocol"], row["version"])
        ]
        counts = {name: int(row[name]) for name in ("rounds", "questions", "audits", "by_people", "simulated")}
        found.append(GateSummary(f"{row['protocol']}/{row['version']}", tuple(map(_verdict, own)), **counts))
    return tuple(found)


def calibration_summaries(reader: Reader) -> tuple[CalibrationSummary, ...]:
    """Return the newest figures of every annotator and attribute."""
    newest: dict[str, list[dict[str, Any]]] = {}
    for row in summaries.metrics(reader):
        if row["subject"].startswith(SUBJECT):
            kept = newest.setdefault(row["subject"], [])
            if kept and kept[0]["number"] < row["number"]:
                kept.clear()
            kept.append(row)
    return tuple(_calibration(subject.removeprefix(SUBJECT), rows) for subject, rows in sorted(newest.items()))


def _calibration(named: str, rows: list[dict[str, Any]]) -> CalibrationSummary:
    annotator, _, question = named.partition(" on ")
    found = {row["name"]: row["value"] for row in rows}
    return CalibrationSummary(
        annotator,
        question,
        int(found["gold answers"]),
        found["accuracy"],
        found["ECE before"],
        found["ECE after"],
        found.get("temperature"),
        found.get("least"),
    )


def _verdict(row: dict[str, Any]) -> GateVerdict:
    names = ("attribute", "annotator", "verdict", "audited", "right", "low", "high", "method", "bar", "bound", "reason")
    accuracy = None if not row["audited"] or math.isnan(row["accuracy"]) else row["accuracy"]
    return GateVerdict(**{name: row[name] for name in names}, accuracy=accuracy)
