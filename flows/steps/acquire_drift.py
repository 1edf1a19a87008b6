"""Drift in the eyes of the step `acquire`: its learner's errors on labels as they arrive, and the row of an alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from curate.learners.base import BaseLearner
from curate.learners.numerics import Features
from curate.select.stream.drift import DriftDetector
from curate.store.acquiring import DRIFT
from curate.store.write import rows

_FORMULA = "items seen when the learner's errors on labels, each before it learned them, had risen"


@dataclass(frozen=True, slots=True)
class Alarm:
    """A drift that a detector saw: after how many items of the stream, and how many answers that were learned."""

    detector: str
    seen: int
    learned: int


def drift_seen(detector: DriftDetector, learner: BaseLearner, features: Features, values: Sequence[str]) -> bool:
    """Tell a detector how right the learner is on labels that it does not know yet; whether their errors tell of drift.

    A fall of the errors, as where the learner learns, is none. What is behind an alarm is not told, for the learner
    whose errors they are is given up; nothing is where it does not know two classes yet.
    """
    if len(learner.classes) < 2:
        return False
    guesses = np.array(learner.classes)[learner.predict(features).argmax(axis=1)].tolist()
    return any(
        detector.update(float(guess != value)) == "drift" and detector.rose
        for guess, value in zip(guesses, values, strict=True)
    )


def alarm_rows(policy: str, version: str, alarm: Alarm) -> pa.Table:
    """Return the row of the table `metrics` that keeps an alarm: under its labels, the items as its value."""
    columns = {
        "subject": f"acquire/{policy}",
        "checkpoint": version,
        "snapshot": "",
        "number": alarm.learned,
        "name": DRIFT,
        "slice": alarm.detector,
        "value": float(alarm.seen),
        "formula": _FORMULA,
    }
    return rows("metrics", columns, 1)
