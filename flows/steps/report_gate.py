"""What the report shows of the gate: verdicts, and what people were asked."""

import math
from typing import Any

from curate.report.data import GateSummary, GateVerdict
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


def _verdict(row: dict[str, Any]) -> GateVerdict:
    names = ("attribute", "annotator", "verdict", "audited", "right", "low", "high", "method", "bar", "bound", "reason")
    accuracy = None if not row["audited"] or math.isnan(row["accuracy"]) else row["accuracy"]
    return GateVerdict(**{name: row[name] for name in names}, accuracy=accuracy)
