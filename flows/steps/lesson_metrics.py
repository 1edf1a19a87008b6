"""What is measured of an increment: every slice, and what is left over time of what was known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curate.flows.steps.judged import CLASS, NUMBER, Evaluation
from curate.learners.metrics import AccuracyMatrix
from curate.store.write import rows

FORMULA = "correct / test items of the snapshot"
_LOWEST = "least accuracy after any increment so far, of a class since it was met"
_CHANCE = "1 / classes after the increment"
_NUMBERS = "numbers of eight or four bytes in the learner's state"
_TASKS = "; task j: test items that came with number j"


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure for the table `metrics`, with the formula by which it came about."""

    name: str
    slice: str
    value: float
    formula: str


def lesson_measures(
    number: int,
    before: Evaluation,
    after: Evaluation,
    classes: Sequence[str],
    parameters: int,
    so_far: Sequence[Mapping[str, Any]],
) -> list[Measure]:
    """Return what is measured of an increment; `so_far` is what the store has of those before.

    Slices: all test items, each class, each number with which test items came, and values of attributes.
    """
    measured = [Measure("parameters", "all", float(parameters), _NUMBERS)]
    measured.append(Measure("chance", f"{NUMBER}{number}", 1.0 / max(1, len(classes)), _CHANCE))
    earlier = dict(before.parts())
    for name, part in after.parts():
        measured.append(Measure("accuracy", name, part.accuracy, FORMULA))
        measured.append(Measure("test items", name, float(part.items), "count of test items"))
        if name in earlier:
            measured.append(Measure("accuracy before", name, earlier[name].accuracy, FORMULA))
    return [*measured, *_lowest(after, classes, so_far), *_over_time(number, measured, so_far)]


def _lowest(after: Evaluation, classes: Sequence[str], so_far: Sequence[Mapping[str, Any]]) -> list[Measure]:
    known = {row["slice"]: row["value"] for row in so_far if row["name"] == "minimum accuracy"}
    found = []
    for name, part in after.parts():
        met = not name.startswith(CLASS) or name.removeprefix(CLASS) in classes
        if part.items and met:
            found.append(Measure("minimum accuracy", name, min(part.accuracy, known.get(name, 1.0)), _LOWEST))
    return found


def _over_time(number: int, measured: Sequence[Measure], so_far: Sequence[Mapping[str, Any]]) -> list[Measure]:
    """Return the figures of the accuracy matrix whose tasks are the numbers with which test items came."""
    found = {(row["number"], row["name"], row["slice"]): row["value"] for row in so_far}
    found |= {(number, one.name, one.slice): one.value for one in measured}

    def at(row: int, task: int, name: str = "accuracy") -> float | None:
        return found.get((row, name, f"{NUMBER}{task}"))

    numbers = sorted({key[0] for key in found})
    known = [row for row in numbers if at(row, row) is not None]
    tasks = [task for task in known if all(at(row, task) is not None for row in known if row >= task)]
    matrix = AccuracyMatrix()
    for task in tasks:
        matrix.add(
            [found[task, "accuracy", f"{NUMBER}{one}"] for one in tasks if one <= task],
            ahead=at(task, task, "accuracy before"),
            chance=at(tasks[tasks.index(task) - 1], tasks[tasks.index(task) - 1], "chance"),
        )
    if not tasks or tasks[-1] != number:
        return []
    return [Measure(one.name, "over time", one.value, one.formula + _TASKS) for one in matrix.metrics()]


def metric_rows(subject: str, checkpoint: str, at: tuple[str, int], measured: Sequence[Measure]) -> pa.Table:
    """Return rows of the table `metrics` about a checkpoint that came `at` a number of a snapshot."""
    columns = {
        "subject": subject,
        "checkpoint": checkpoint,
        "snapshot": at[0],
        "number": at[1],
        "name": [one.name for one in measured],
        "slice": [one.slice for one in measured],
        "value": [one.value for one in measured],
        "formula": [one.formula for one in measured],
    }
    return rows("metrics", columns, len(measured))
