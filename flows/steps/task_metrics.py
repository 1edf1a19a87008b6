"""What is measured of a learner that turns to one of several tasks: the task given and inferred, and what it adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.flows.steps.embeddings import KeptEncoder
from curate.flows.steps.increments import ROWS_AT_ONCE, Increment, Pupil
from curate.flows.steps.judged import Evaluation, Mask
from curate.flows.steps.lesson_metrics import Measure
from curate.flows.steps.tasks import column_tasks, rows_at_once
from curate.learners.base import BaseLearner
from curate.learners.task_learner import TaskLearner
from curate.store.reader import Reader
from curate.store.slices import numbers_of
from curate.store.snapshots import snapshot_items
from curate.store.work import batches

GIVEN, INFERRED, TOLD = "accuracy, task given", "accuracy, task inferred", "tasks told rightly"
TASK = "task:"
_OF = "test items of the tasks that were taught"


def task_measures(
    reader: Reader, pupil: Pupil, learner: BaseLearner, increment: Increment, after: Evaluation
) -> list[Measure]:
    """Return what the store keeps of tasks after an increment; nothing of a learner that knows none.

    `after` are the answers to all labelled test items, the task inferred. A test item's task is what the column says,
    or the number that it came with. Costs a prediction of the test items, and telling their tasks.
    """
    if not isinstance(learner, TaskLearner):
        return []
    items = snapshot_items(reader, increment.snapshot, increment.number, ["test"])
    items = items.filter(pc.is_valid(items["label"]))
    known = _tasks(reader, pupil, increment, items["item_id"].to_pylist())
    tasks = np.array([known.get(item_id, "") for item_id in items["item_id"].to_pylist()], dtype=np.str_)
    found = list(_sizes(learner))
    taught = np.isin(tasks, learner.task_names)
    if not taught.any():
        return found
    given, told = np.zeros(len(items), np.bool_), np.zeros(len(items), np.bool_)
    encoder = KeptEncoder(pupil.encoder, reader)
    for task in learner.task_names:
        chosen = np.flatnonzero(tasks == task)
        given[chosen], told[chosen] = _asked(learner, encoder, items.take(pa.array(chosen)), task)
    for name, part in [("all", taught), *((f"{TASK}{task}", tasks == task) for task in learner.task_names)]:
        if part.any():
            found += _figures(name, given[part], after.right[part], told[part])
    return found


def _tasks(reader: Reader, pupil: Pupil, increment: Increment, ids: list[str]) -> Mapping[str, str]:
    if pupil.task:
        return column_tasks(reader, pupil.task, ids)
    return numbers_of(reader, increment.snapshot, increment.number, ids)


def _asked(learner: TaskLearner, encoder: KeptEncoder, items: pa.Table, task: str) -> tuple[Mask, Mask]:
    """Which items of one task the learner tells rightly when told it, and which it tells to be of it."""
    given, told = [np.zeros(0, np.bool_)], [np.zeros(0, np.bool_)]
    for batch in batches(items, rows_at_once(learner, ROWS_AT_ONCE)):
        features, labels = encoder.encode(batch), batch["label"].to_pylist()
        best = learner.predict_task(features, task).argmax(axis=1)
        given.append(np.array([learner.classes[one] == label for one, label in zip(best, labels, strict=True)]))
        told.append(np.array([one == task for one in learner.tasks_of(features)], np.bool_))
    return np.concatenate(given), np.concatenate(told)


def _figures(name: str, given: Mask, inferred: Mask, told: Mask) -> list[Measure]:
    return [
        Measure(GIVEN, name, float(given.mean()), f"correct when told the task / {_OF}"),
        Measure(INFERRED, name, float(inferred.mean()), f"correct without being told the task / {_OF}"),
        Measure(TOLD, name, float(told.mean()), f"inferred to be of their task / {_OF}"),
    ]


def _sizes(learner: TaskLearner) -> Iterator[Measure]:
    for task in learner.task_names:
        for way, size in learner.task_sizes(task).items():
            yield Measure(f"bytes a task, {way}", f"{TASK}{task}", float(size.bytes), "4 * numbers")
            yield Measure(f"share a task, {way}", f"{TASK}{task}", size.share, "numbers / those of the frozen network")
    yield Measure("bytes of the anchors", "all", float(learner.anchor_bytes()), "what tasks are told apart by")
