"""The step `gate`: judge what annotators are worth by audits, and fill the queue of questions for people."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from curate.annotate.looks import Spending, last_level
from curate.flows.project import Project
from curate.flows.steps.annotators import project_protocol, protocol_rows
from curate.flows.steps.base import Plan, step_report
from curate.flows.steps.gate_looks import Look, Pair, look, newest_version, state_of
from curate.flows.steps.gate_people import simulate
from curate.flows.steps.gate_rounds import Round, draw_round
from curate.store.gating import GateScope, newest_round, people_answers
from curate.store.reader import Reader
from curate.store.work import cursor
from curate.store.write import CursorMove, Write, rows
from curate.types import Progress, StepReport

STEP = "gate"
_OFF = "enabled = false in [gate], or the protocol asks nothing"


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a run of the step would commit."""

    look: Look | None
    round: Round | None
    waiting: int
    before: str
    after: str
    cut: str = ""


class GateStep:
    """A round of questions goes out when the one before it is answered; each round's audits are looked at once.

    Cost: for each attribute and annotator one pass over the items' ids and the claims about the attribute. Memory: some
    100 bytes for each item, and 16 more for each value of the attribute.
    """

    name = STEP

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the questions that would go out, and those that wait for answers."""
        if not is_on(project):
            return Plan(self.name, 0, 0, notes=(_OFF,))
        turn = _turn(project)
        asked = len(turn.round.questions) if turn.round else 0
        return Plan(self.name, asked, 0, notes=_notes(turn, simulated=False))

    def run(self, project: Project, progress: Progress, *, now: bool = False) -> StepReport:
        """Judge and ask, in one commit; `now` does not wait for the answers that are missing."""
        began = time.perf_counter()
        if not is_on(project):
            return step_report(self.name, began, notes=(_OFF,))
        answers = _simulated(project)
        turn = _turn(project, now=now)
        tables = _tables(project, turn)
        done = 0
        if tables:
            tables |= protocol_rows(project_protocol(project))
            move = CursorMove(STEP, _key(project), turn.before, turn.after)
            if not project.store.commit(Write(self.name, tables, [move])).stale:
                done = len(turn.round.questions) if turn.round else len(turn.look.pairs) if turn.look else 0
        answers += _simulated(project)
        notes = (
            *_notes(turn, simulated=bool(project.settings.gate.people)),
            *([f"{answers} answers are simulated"] if answers else []),
        )
        details = (
            {f"{pair.attribute} by {pair.annotator}": pair.verdict for pair in turn.look.pairs} if turn.look else {}
        )
        return step_report(self.name, began, done=done or answers, notes=notes, details=details)


def is_on(project: Project) -> bool:
    """Whether the gate is switched on and there is something to ask."""
    return bool(project.settings.gate.enabled and project.settings.protocol.attribute)


def gate_scope(project: Project) -> GateScope:
    """Return what the gate asks about."""
    protocol = project.settings.protocol
    return GateScope(protocol.name, protocol.version, project.settings.label.modalities, project.settings.gate.reserve)


def judged_annotators(project: Project) -> list[str]:
    """Return the names of the annotators that are judged: those of `[gate]`, else every one that is no person."""
    chosen = list(project.settings.gate.annotators)
    return chosen or [entry.name for entry in project.settings.annotator]


def open_questions(reader: Reader, scope: GateScope) -> list[dict[str, object]]:
    """Return the questions of the newest round that people have not answered as often as is wanted."""
    asked = newest_round(reader, scope)
    counts: dict[tuple[object, object], int] = {}
    for attribute in {str(row["attribute"]) for row in asked}:
        for item in people_answers(reader, scope, attribute)["item_id"].to_pylist():
            counts[item, attribute] = counts.get((item, attribute), 0) + 1
    return [row for row in asked if counts.get((row["item_id"], row["attribute"]), 0) < int(str(row["answers"]))]


def spending_so_far(reader: Reader, project: Project) -> Spending:
    """Return what the gate's looks have spent of its error rate."""
    return Spending.read(cursor(reader, STEP, _key(project)), project.settings.gate.error_rate)


def _simulated(project: Project) -> int:
    """Let simulated people answer what is open, where there are such; return how many answers they gave."""
    if not project.settings.gate.people:
        return 0
    with project.reader() as reader:
        asked = open_questions(reader, gate_scope(project))
    return simulate(project, STEP, asked) if asked else 0


def _key(project: Project) -> str:
    protocol = project.settings.protocol
    return f"{protocol.name}/{protocol.version}"


def _turn(project: Project, *, now: bool = False) -> _Turn:
    settings, protocol, scope = project.settings.gate, project_protocol(project), gate_scope(project)
    with project.reader() as reader:
        before = cursor(reader, STEP, _key(project))
        waiting = open_questions(reader, scope)
        if waiting and not now:
            return _Turn(None, None, len(waiting), before, before)
        spending = spending_so_far(reader, project)
        state = state_of(reader, scope, protocol, judged_annotators(project), settings, spending)
        found = look(state, settings, now=now)
        spending = found.spending if found else spending
        number = 1 + max((int(str(row["round"])) for row in newest_round(reader, scope)), default=_last(before))
        level = last_level(spending, settings.error_rate, settings.budget)
        drawn = draw_round(state, found.pairs if found else state.pairs, settings, number, level)
    after = f"{drawn.number if drawn.questions else _last(before)} look-{newest_version(found, state)} {spending}"
    if not drawn.questions:
        return _Turn(found, None, len(waiting), before, after, drawn.cut)
    return _Turn(found, drawn, 0, before, after, drawn.cut)


def _last(position: str) -> int:
    return int(position.partition(" ")[0] or 0)


def _tables(project: Project, turn: _Turn) -> dict[str, pa.Table]:
    named = {"protocol": project.settings.protocol.name, "protocol_version": project.settings.protocol.version}
    tables: dict[str, pa.Table] = {}
    if turn.look:
        tables["gates"] = rows("gates", {**named, **_gate_columns(turn.look)}, len(turn.look.pairs))
    if turn.round:
        asked, audits = turn.round.questions, [entry for entry in turn.round.questions if entry.kind == "audit"]
        places = {"round": turn.round.number, **named}
        columns = {name: [getattr(entry, name) for entry in asked] for name in ("kind", "priority", "answers")}
        tables["queue"] = rows("queue", {**places, **_places(asked), **columns}, len(asked))
        if audits:
            tables["audits"] = rows("audits", {**places, **_places(audits)}, len(audits))
    return tables


def _places(asked: Sequence[object]) -> dict[str, list[object]]:
    return {name: [getattr(entry, name) for entry in asked] for name in ("item_id", "attribute")}


def _gate_columns(found: Look) -> dict[str, object]:
    names = (
        "attribute", "annotator", "annotator_version", "audited", "right", "accuracy", "low", "high", "method", "level",
        "bound", "verdict", "reason", "since", "passed_at",
    )  # fmt: skip
    columns: dict[str, object] = {name: [_of(pair, name) for pair in found.pairs] for name in names}
    return columns | {"look": found.number, "bar": found.bar}


def _of(pair: Pair, name: str) -> object:
    return getattr(pair, name)


def _notes(turn: _Turn, *, simulated: bool) -> tuple[str, ...]:
    notes = []
    if turn.waiting and simulated:
        notes.append(f"{turn.waiting} questions wait: the spending ceiling leaves no money for their answers")
    elif turn.waiting:
        notes.append(f"{turn.waiting} questions wait for answers: curate label")
    if turn.look:
        notes += [f"{pair.attribute} by {pair.annotator}: {pair.told()}" for pair in turn.look.pairs]
    if turn.round:
        audits = sum(entry.kind == "audit" for entry in turn.round.questions)
        notes.append(f"round {turn.round.number} asks {len(turn.round.questions)} questions, {audits} of them audits")
    return (*notes, turn.cut) if turn.cut else tuple(notes)
