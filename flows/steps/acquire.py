"""The step `acquire`: policies watch the stream of items and spend a label budget where an answer teaches most."""

from __future__ import annotations

import time
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.flows.project import Project
from curate.flows.steps.acquire_bandit import shares
from curate.flows.steps.acquire_drift import Alarm
from curate.flows.steps.acquire_policy import Decided, Policy, Standing, decide, learn, standing_of, tables_of
from curate.flows.steps.annotators import project_protocol, protocol_rows
from curate.flows.steps.base import Plan, step_report
from curate.flows.steps.gate_people import simulate
from curate.store.acquiring import arrived_items, count_pending, new_answers, unanswered
from curate.store.overview import newest_commit
from curate.store.reader import Reader
from curate.store.write import CursorMove, Write
from curate.types import Progress, StepReport

STEP = "acquire"
_OFF = "no [[acquire]] in the settings"


class AcquireStep:
    """A batch's decisions, its questions, the policy's state and the cursor commit together, so a kill loses nothing.

    Memory: a batch of items, features of questions that this run asked, the learner, and the ids of what was dropped.
    """

    name = STEP

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the items that policies have not decided on."""
        to_do = done = 0
        for settings in project.settings.acquire:
            policy = Policy.of(project, settings)
            with project.reader() as reader:
                standing = standing_of(project, reader, policy)
                to_do += count_pending(reader, policy.scope, standing.commit)
                done += standing.seen
        return Plan(self.name, to_do, done, notes=() if project.settings.acquire else (_OFF,))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Let each policy decide on what came, batch by batch, and learn what people have answered."""
        began = time.perf_counter()
        if not project.settings.acquire:
            return step_report(self.name, began, notes=(_OFF,))
        done = late = failed = 0
        notes, details = [], {}
        for settings in project.settings.acquire:
            watch = _Watch(project, Policy.of(project, settings), progress)
            watch.run()
            done, late, failed = done + watch.done, late + watch.late, failed + watch.failed
            details[settings.name] = watch.figures()
            notes.append(watch.told())
        return step_report(self.name, began, done=done or late, failed=failed, notes=tuple(notes), details=details)


class _Watch:
    """One policy's way through what is new."""

    def __init__(self, project: Project, policy: Policy, progress: Progress) -> None:
        self._project, self._policy, self._progress = project, policy, progress
        self._standing = self._load()
        self._answered_until = -1
        self._features: dict[str, NDArray[np.float32]] = {}
        self._open: list[dict[str, object]] | None = None
        self._kept = ExitStack()
        self._looked: Reader | None = None
        self._alarms: list[Alarm] = []
        self.done = self.late = self.failed = self._simulated = 0

    def run(self) -> None:
        """Decide and learn until there is neither an item nor an answer left.

        Where another process moved on meanwhile, what was computed is void, and all is looked at anew.
        """
        with self._project.reader() as reader:
            waiting = count_pending(reader, self._policy.scope, self._standing.commit)
        self._progress.start(f"{STEP} {self._policy.settings.name}", waiting)
        while self._pass():
            self._standing = self._load()
            self._answered_until = -1
        self._progress.finish(f"{STEP} {self._policy.settings.name}")

    def figures(self) -> dict[str, object]:
        """Return how many items were seen and asked about, the answers learned, drifts, and the bandit's arms."""
        standing = self._standing
        names = {"seen": "seen", "asked": "spent", "learned": "learned", "silent": "silent"}
        found = {name: getattr(standing, field) for name, field in names.items()}
        found |= {"drifts": standing.drifts} if standing.detector else {}
        return found | ({"arms": shares(standing.bandit)} if standing.bandit else {})

    def told(self) -> str:
        """Say it for a person."""
        standing = self._standing
        share = f" ({standing.spent / standing.seen:.2%})" if standing.seen else ""
        waiting = max(0, standing.spent - standing.learned - standing.silent)
        text = f"{self._policy.settings.name}: asked about {standing.spent} of {standing.seen} items{share}"
        text += f", learned {standing.learned} answers"
        if self._simulated:
            text += f"; {self._simulated} of them are simulated"
        for alarm in self._alarms:
            text += f"; {alarm.detector} saw a drift after {alarm.seen} items: the learner began anew"
        if standing.bandit:
            parts = sorted(shares(standing.bandit).items(), key=lambda one: -one[1])
            text += "; the bandit draws " + ", ".join(f"{arm} {share:.0%}" for arm, share in parts)
        return text + (f"; {waiting} questions wait for answers: curate label" if waiting else "")

    def _load(self) -> Standing:
        with self._project.reader() as reader:
            return standing_of(self._project, reader, self._policy)

    def _pass(self) -> bool:
        """Go through the stream once; return whether another process was there too."""
        with ExitStack() as stack:
            reader = stack.enter_context(self._project.reader())
            self._kept, self._looked, self._open = stack.enter_context(ExitStack()), None, None
            batches = arrived_items(reader, self._policy.scope, self._standing.commit, self._policy.settings.batch)
            while True:
                self._simulate()
                answers = self._answers()
                items = next(batches, None)
                if items is None and not len(answers):
                    return False
                if not self._commit(items, answers):
                    return True

    def _commit(self, items: pa.Table | None, answers: pa.Table) -> bool:
        """Learn what came, decide on a batch, and commit; whether it still held."""
        began = time.perf_counter()
        before = self._standing
        after = learn(self._project, self._policy, before, answers, self._features)
        decided = None
        if items is not None:
            after, decided = decide(self._project, self._policy, after, items, self._features)
        tables = tables_of(self._project, self._policy, after, decided)
        tables |= protocol_rows(project_protocol(self._project))
        move = CursorMove(f"{STEP}/{self._policy.settings.name}", "", before.position, after.position)
        write = Write(STEP, tables, [move], seconds=time.perf_counter() - began)
        commit = self._project.store.commit(write)
        if commit.stale:
            return False
        self._standing = after
        self._alarms += [after.alarm] if after.alarm else []
        self._answered_until = commit.number or self._answered_until
        if items is not None and decided is not None:
            self.done += len(decided.ids)
            self.failed += len(decided.failures)
            self._remember(decided)
            self._progress.advance(len(items))
        else:
            self.late += len(answers)
        return True

    def _answers(self) -> pa.Table:
        """What people have said and the learner does not know; nothing is read where this process committed last."""
        if newest_commit(self._project.store_address) == self._answered_until:
            return pa.table({"item_id": [], "value": [], "commit_number": []})
        reader = self._look()
        found = new_answers(reader, self._policy.scope, self._standing.after)
        self._answered_until = reader.commit_number
        return found

    def _look(self) -> Reader:
        """Open a reader of the newest commit; it is kept until the next one, for opening one costs a while."""
        self._kept.close()
        self._looked = self._kept.enter_context(self._project.reader())
        return self._looked

    def _remember(self, decided: Decided) -> None:
        """Add what was asked about to the open questions, where people are simulated."""
        if self._open is not None:
            attribute = self._policy.settings.attribute
            self._open += [
                {
                    "item_id": decided.ids[place],
                    "attribute": attribute,
                    "answers": 1,
                    "place": decided.first + place + 1,
                }
                for place in np.flatnonzero(decided.reasons).tolist()
            ]

    def _simulate(self) -> None:
        """Let simulated people answer; the store is asked once what is open, then the questions are remembered."""
        settings = self._policy.settings
        until = self._standing.seen - settings.delay
        if not settings.people:
            return
        if self._open is None:
            self._open = unanswered(self._look(), self._policy.scope, self._standing.seen)
        due = [row for row in self._open if int(str(row["place"])) <= until]
        if due:
            self._open = [row for row in self._open if int(str(row["place"])) > until]
            people, noise = settings.people, settings.oracle_noise
            self._simulated += simulate(self._project, STEP, due, people, noise, self._looked)
