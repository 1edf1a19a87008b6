"""What the report shows of online active learning: what was spent, how good the learner is, what labels bought."""

import json
from typing import Any

import numpy as np

from curate.report.data import AcquireSummary, LabelPurchase, StreamDrift
from curate.select.stream.estimates import purchases, weighted_accuracy
from curate.store.acquiring import judged_guesses, newest_state, policy_drifts, policy_figures
from curate.store.reader import Reader

_SHOWN = 12
"""The last purchases that are shown."""


def acquire_summaries(reader: Reader) -> tuple[AcquireSummary, ...]:
    """Return each policy that has decided on anything."""
    return tuple(_summary(reader, row) for row in policy_figures(reader))


def _summary(reader: Reader, row: dict[str, Any]) -> AcquireSummary:
    judged = judged_guesses(reader, row)
    right = np.array(judged["right"].to_pylist(), bool)
    reasons, propensities = judged["reason"].to_pylist(), np.array(judged["propensity"].to_pylist(), np.float64)
    accuracy = weighted_accuracy(right, reasons, propensities)
    bought = [
        LabelPurchase(one.labels, one.accuracy.value, one.accuracy.low, one.accuracy.high, one.gain)
        for one in purchases(right, reasons, propensities)
        if one.accuracy
    ]
    return AcquireSummary(
        policy=row["policy"],
        question=f"{row['protocol']}/{row['version']}, {row['attribute']}",
        seen=row["seen"],
        asked=row["spent"],
        judged=len(right),
        accuracy=(accuracy.value, accuracy.low, accuracy.high) if accuracy else None,
        purchases=tuple(bought[-_SHOWN:]),
        arms=_arms(reader, row["policy"]),
        drifts=tuple(StreamDrift(**drift) for drift in policy_drifts(reader, row["policy"])),
    )


def _arms(reader: Reader, policy: str) -> tuple[tuple[str, float], ...]:
    kept = newest_state(reader, policy)
    arms = json.loads(kept["state"]).get("arms", {}) if kept else {}
    return tuple(sorted(arms.items(), key=lambda one: (-one[1], one[0])))
