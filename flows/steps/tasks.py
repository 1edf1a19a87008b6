"""Which task an item belongs to, and teaching a learner that turns to one of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from curate.flows.steps.embeddings import KeptEncoder
from curate.learners.base import BaseLearner
from curate.learners.task_learner import TaskLearner
from curate.settings.teaching import META, SOURCE
from curate.store.gating import metadata_values
from curate.store.reader import Reader
from curate.store.slices import sources_of, values_of
from curate.store.work import batches

NO_TASK = "none"
"""The task of items that nothing is known of where a column tells it."""
NUMBERS_AT_ONCE = 2**26
"""Pixels of a batch: 256 MB of them."""


def rows_at_once(learner: BaseLearner, most: int) -> int:
    """Return how many items are a batch: at most so many, and fewer where each is many pixels."""
    return max(1, min(most, NUMBERS_AT_ONCE // learner.dimension)) if isinstance(learner, TaskLearner) else most


def column_tasks(reader: Reader, column: str, ids: Sequence[str]) -> Mapping[str, str]:
    """Return each item's task as a column tells it: "source", "meta:COLUMN" or an attribute; see `[[learner]] task`."""
    if column == SOURCE:
        found = sources_of(reader, ids)
    elif column.startswith(META):
        found = metadata_values(reader, ids, column.removeprefix(META))
    else:
        found = values_of(reader, column, ids)
    return {item_id: found.get(item_id) or NO_TASK for item_id in ids}


def learn_tasks(
    reader: Reader, column: str, learner: TaskLearner, encoder: KeptEncoder, items: pa.Table, number: int, most: int
) -> None:
    """Let a learner learn items task by task, in the order of the tasks' names; without a column they are one.

    Memory: the pixels of at most `most` items. A task with more is taught in that many items at a time.
    """
    ids = items["item_id"].to_pylist()
    known = column_tasks(reader, column, ids) if column else dict.fromkeys(ids, str(number))
    for task in sorted(set(known.values())):
        learner.begin(task)
        mine = items.filter(pa.array([known[item_id] == task for item_id in ids]))
        for batch in batches(mine, rows_at_once(learner, most)):
            learner.learn(encoder.encode(batch), batch["label"].to_pylist())
