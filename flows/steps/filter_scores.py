"""The step `filter-scores`: decide about items by their scores, once selectors have given them."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple

import pyarrow as pa

from curate.flows.project import Project, parameters_hash
from curate.flows.steps.base import Plan, step_report
from curate.settings import ScoreRuleSettings
from curate.store.reader import Reader
from curate.store.score_bounds import ScoreBounds, count_unsettled, last_scored, unscored, unsettled
from curate.store.work import cursor
from curate.store.write import CursorMove, Write, rows
from curate.types import Progress, StepReport

_STEP = "filter-scores"
_OFF = "no [[filter.score]]"
_NOTHING_NOW = "its scores are within all bounds"
_ROWS = 20_000


class FilterScoresStep:
    """Items by `[[filter.score]]`: whose newest score by a selector lies outside its bounds is decided about.

    Only items with new scores are looked at, and all of them under other bounds. An item without a score gets no
    decision, and neither does one within the bounds, unless it had one. Memory: one batch, and DuckDB's.
    """

    name = _STEP

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the decisions that the scores now ask for."""
        with project.reader() as reader:
            bounds, position = _bounds(project), cursor(reader, _STEP)
            if not bounds and not position:
                return Plan(self.name, 0, 0, notes=(_OFF,))
            to_do = count_unsettled(reader, _STEP, bounds, _settled(bounds, position), _NOTHING_NOW)
            notes = _notes(reader, bounds)
        return Plan(self.name, to_do, 0, notes=notes)

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Decide batch by batch."""
        began = time.perf_counter()
        bounds = _bounds(project)
        with project.reader() as reader:
            if not bounds and not cursor(reader, _STEP):
                return step_report(self.name, began, notes=(_OFF,))
            notes = _notes(reader, bounds)
        settled: Counter[str] = Counter()
        while (batch := _next_batch(project, bounds)) is not None:
            decisions, move = batch
            commit = project.store.commit(Write(_STEP, {"decisions": _rows(decisions)}, [move]))
            if not commit.stale:
                settled.update(
                    f"{row['action']}: {row['reason']}" for row in decisions.select(["action", "reason"]).to_pylist()
                )
        return step_report(self.name, began, done=settled.total(), notes=notes, details=dict(sorted(settled.items())))


def _notes(reader: Reader, bounds: Sequence[ScoreBounds]) -> tuple[str, ...]:
    """Say which bounds stop nothing for want of a score: their selector may be called otherwise, or be off."""
    return tuple(f"no item has a score of {name!r}" for name in unscored(reader, [one.selector for one in bounds]))


def _next_batch(project: Project, bounds: Sequence[ScoreBounds]) -> tuple[pa.Table, CursorMove] | None:
    """Return the next decisions and the cursor's move, None where the cursor has passed all scores.

    The cursor is the bounds' version and the last commit of scores that is settled; while there are more decisions than
    a batch takes, a count of batches stands behind it, by which two processes notice each other.
    """
    with project.reader() as reader:
        position, last = cursor(reader, _STEP), last_scored(reader, [one.selector for one in bounds])
        if position == (goal := f"{_version(bounds)} {last}"):
            return None
        decisions = unsettled(reader, _STEP, bounds, _settled(bounds, position), _NOTHING_NOW, _ROWS)
    if len(decisions) == _ROWS:
        passed, _, batches = position.partition("+")
        goal = f"{passed}+{int(batches or 0) + 1}"
    return decisions, CursorMove(_STEP, "", position, goal)


def _settled(bounds: Sequence[ScoreBounds], position: str) -> int:
    """Return the last commit whose scores these bounds have settled."""
    version, _, commit = position.partition("+")[0].partition(" ")
    return int(commit or 0) if version == _version(bounds) else 0


def _bounds(project: Project) -> list[ScoreBounds]:
    return [_bound(rule) for rule in project.settings.filter.score]


def _bound(rule: ScoreRuleSettings) -> ScoreBounds:
    return ScoreBounds(
        rule.selector,
        -math.inf if rule.min is None else rule.min,
        math.inf if rule.max is None else rule.max,
        rule.action,
        f"score: {rule.selector} below {rule.min}",
        f"score: {rule.selector} above {rule.max}",
    )


def _version(bounds: Sequence[ScoreBounds]) -> str:
    return parameters_hash([astuple(one) for one in bounds])


def _rows(decisions: pa.Table) -> pa.Table:
    columns = {name: decisions[name] for name in ("item_id", "action", "reason")}
    return rows("decisions", {**columns, "step": _STEP}, len(decisions))
