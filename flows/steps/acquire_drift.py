"""What the step `acquire` makes of its learner's errors on labels as they arrive: alarms of drift, and their rows."""

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


def errors_of(learner: BaseLearner, features: Features, values: Sequence[str]) -> list[float]:
    """Return for each label that a learner does not know yet whether it is wrong about it, 0 or 1.

    Empty where it does not know two classes yet.
    """
    if len(learner.classes) < 2:
        return []
    guesses = np.array(learner.classes)[learner.predict(features).argmax(axis=1)].tolist()
    return [float(guess != value) for guess, value in zip(guesses, values, strict=True)]


def drift_seen(detector: DriftDetector, errors: Sequence[float]) -> bool:
    """Tell a detector of errors; whether they tell of a drift.

    A fall of the errors, as where the learner learns, is none. What is behind an alarm is not told, for the learner
    whose errors they are is given up.
    """
    return any(detector.update(error) == "drift" and detector.rose for error in errors)


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
