"""What all steps share: the step's face, its plan, and the loop over pending items."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from curate.flows.project import Project
from curate.store.work import cursor, passed_commit, pending_items, pending_spans, within_next
from curate.store.write import CursorMove, LedgerKey, Write
from curate.types import Progress, StepReport

BATCH_ROWS = 5_000
LARGEST_BATCH = 20_000
"""A commit with more pending items than this is done in several batches."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a step would do now; it writes nothing to find out."""

    step: str
    to_do: int
    already_done: int
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    notes: tuple[str, ...] = ()


class Step(Protocol):
    """One stage of the walk: reads the store, computes, writes."""

    name: str

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Say what `run` would do now."""
        ...

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Do what is new, batch by batch, and say what was done."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step computed for a batch: rows per table, how many items failed, and cursors that must not have moved.

    Items that are `left` are not settled, and no further batch is begun.
    """

    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    failed: int = 0
    guards: Sequence[CursorMove] = ()
    left: Collection[str] = ()

    def settled(self, items: pa.Table) -> list[str]:
        """Return the ids of a batch's items that are done with."""
        return [item_id for item_id in items["item_id"].to_pylist() if item_id not in self.left]


@dataclass(frozen=True, slots=True)
class ItemWork:
    """A computation over pending items: its ledger key, the modalities it takes, the function from batch to rows.

    A batch is whole commits of about `rows` items, or at most `most` items of a larger one. `begin` hears of a batch
    before it is computed, and of the one that will follow it: what waits for a service can send requests for both.
    """

    ledger: LedgerKey
    modalities: Sequence[str]
    compute: Callable[[pa.Table], Outcome]
    rows: int = BATCH_ROWS
    most: int = LARGEST_BATCH
    finish: Callable[[], None] | None = None
    begin: Callable[[pa.Table], None] | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    """The items to do now, the cursor's move behind them (`partial` where some stay), what is left, what follows."""

    items: pa.Table
    move: CursorMove
    partial: CursorMove
    left: int
    following: pa.Table | None


def count_pending(project: Project, ledger: LedgerKey, modalities: Sequence[str]) -> int:
    """Return how many items a step has left to do."""
    with project.reader() as reader:
        after = passed_commit(cursor(reader, ledger.consumer))
        return sum(span.items for span in pending_spans(reader, ledger, modalities, after, BATCH_ROWS))


def run_over_items(project: Project, progress: Progress, work: ItemWork) -> tuple[int, int]:
    """Compute and commit batch after batch until nothing is pending; return how many items were done and failed.

    Each batch's rows, ledger entries and cursor commit together. When another process moved the cursor meanwhile, the
    batch is void and the loop goes on from where that process stands. Memory: one batch, of at most 20,000 items; two
    where one is begun ahead.
    """
    done = failed = 0
    started = False
    while (batch := _next_batch(project, work)) is not None:
        items = batch.items
        if not started:
            progress.start(work.ledger.step, batch.left)
            started = True
        began = time.perf_counter()
        if work.begin:
            work.begin(items)
        if work.begin and batch.following is not None:
            work.begin(batch.following)
        outcome = work.compute(items)
        ids = outcome.settled(items)
        seconds = time.perf_counter() - began
        move = batch.partial if outcome.left else batch.move
        write = Write(work.ledger.step, outcome.tables, [move, *outcome.guards], work.ledger, ids, seconds)
        commit = project.store.commit(write)
        if not commit.stale:
            done += len(ids) - outcome.failed
            failed += outcome.failed
            if work.finish:
                work.finish()
        progress.advance(len(items))
        if outcome.left:
            break
    if started:
        progress.finish(work.ledger.step)
    return done, failed


def _next_batch(project: Project, work: ItemWork) -> _Batch | None:
    with project.reader() as reader:
        position = cursor(reader, work.ledger.consumer)
        after = passed_commit(position)
        spans = pending_spans(reader, work.ledger, work.modalities, after, work.rows)
        if not spans:
            return None
        items = pending_items(reader, work.ledger, work.modalities, after, spans[0], work.most)
        whole = len(items) == spans[0].items
        partial = CursorMove(work.ledger.consumer, "", position, within_next(position))
        move = CursorMove(work.ledger.consumer, "", position, str(spans[0].last)) if whole else partial
        following = None
        if work.begin and whole and len(spans) > 1:
            following = pending_items(reader, work.ledger, work.modalities, after, spans[1], work.most)
        return _Batch(items, move, partial, sum(span.items for span in spans), following)


def step_report(step: str, began: float, **figures: Any) -> StepReport:
    """Build a step's report with its seconds since `began` (of `time.perf_counter`)."""
    return StepReport(step, seconds=time.perf_counter() - began, **figures)
