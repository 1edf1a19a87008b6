"""The step `label`: what people answered on the labelling page goes from the inbox into the store, exactly once."""

import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from curate.flows.project import Project
from curate.flows.steps.annotators import project_protocol, protocol_rows
from curate.flows.steps.base import BATCH_ROWS, Plan, step_report
from curate.flows.steps.carry import carry_over
from curate.store.inbox import Waiting, waiting_answers
from curate.store.work import cursors
from curate.store.write import CursorMove, Write, rows
from curate.types import PersonAnswer, Progress, StepReport

STEP = "label"
CONSUMER = "label/inbox"


class LabelStep:
    """Values become annotations of the kind `human`; "cannot tell", "skip" and "undone" become abstentions."""

    name = STEP

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the answers that wait in the inbox."""
        with project.reader() as reader:
            taken = {file: int(place) for file, place in cursors(reader, CONSUMER).items()}
        waiting = sum(len(part.answers) for part in waiting_answers(project.store_folder, taken, BATCH_ROWS))
        return Plan(self.name, waiting, 0)

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Commit the answers of each file with the cursor that says how far it was read.

        Where another process took some in meanwhile, its word counts and the rest is looked for anew. Answers to older
        versions of the protocol are then carried over to the newest. Memory: 5,000 answers.
        """
        began = time.perf_counter()
        seen = done = rejected = 0
        progress.start(self.name)
        while (next_part := _next_part(project)) is not None:
            part, before = next_part
            tables = _tables(project, part)
            move = CursorMove(CONSUMER, part.file, before, str(part.stop))
            commit = project.store.commit(Write(self.name, tables, [move]))
            if commit.stale:
                continue
            seen += len(part.answers) + len(part.unreadable)
            done += commit.added.get("annotations", 0) + commit.added.get("abstentions", 0)
            rejected += commit.added.get("rejects", 0)
            progress.advance(len(part.answers))
        progress.finish(self.name)
        carry_over(project)
        return step_report(self.name, began, done=done, skipped=max(0, seen - done - rejected), rejected=rejected)


def _next_part(project: Project) -> tuple[Waiting, str] | None:
    with project.reader() as reader:
        positions = cursors(reader, CONSUMER)
    taken = {file: int(place) for file, place in positions.items()}
    part = next(waiting_answers(project.store_folder, taken, BATCH_ROWS), None)
    return None if part is None else (part, positions.get(part.file, ""))


def _tables(project: Project, part: Waiting) -> dict[str, pa.Table]:
    known = _known_items(project, part.answers)
    kept = [answer for answer in part.answers if answer.item_id in known]
    unknown = [answer for answer in part.answers if answer.item_id not in known]
    tables = {
        "annotations": _annotations([answer for answer in kept if not answer.reason]),
        "abstentions": _abstentions([answer for answer in kept if answer.reason]),
        "rejects": _rejects(part, unknown),
    }
    protocol = project.settings.protocol
    if any((answer.protocol, answer.protocol_version) == (protocol.name, protocol.version) for answer in kept):
        tables |= protocol_rows(project_protocol(project))
    return {name: table for name, table in tables.items() if len(table)}


def _known_items(project: Project, answers: Sequence[PersonAnswer]) -> set[str]:
    ids = sorted({answer.item_id for answer in answers})
    if not ids:
        return set()
    with project.reader() as reader:
        return set(reader.find("items", "item_id", ids, ["item_id"])["item_id"].to_pylist())


def _annotations(answers: Sequence[PersonAnswer]) -> pa.Table:
    more = {"value": [answer.value for answer in answers], "confidence": 1.0, "annotator_kind": "human"}
    return rows("annotations", _columns(answers) | more, len(answers))


def _abstentions(answers: Sequence[PersonAnswer]) -> pa.Table:
    return rows("abstentions", _columns(answers) | {"reason": [answer.reason for answer in answers]}, len(answers))


def _columns(answers: Sequence[PersonAnswer]) -> dict[str, Any]:
    names = ("item_id", "protocol", "protocol_version", "attribute")
    who = {
        "annotator": [answer.person for answer in answers],
        "annotator_version": [str(answer.turn) for answer in answers],
    }
    return {name: [getattr(answer, name) for answer in answers] for name in names} | who


def _rejects(part: Waiting, unknown: Sequence[PersonAnswer]) -> pa.Table:
    columns = {
        "source": STEP,
        "locator": [f"{part.file} byte {place}" for place in part.unreadable]
        + [f"{part.file} answer {answer.answer_id}" for answer in unknown],
        "reason": ["not-an-answer"] * len(part.unreadable) + ["unknown-item"] * len(unknown),
        "detail": [""] * len(part.unreadable) + [f"the store has no item {answer.item_id[:16]}" for answer in unknown],
        "fingerprint": [str(place) for place in part.unreadable] + [answer.item_id[:16] for answer in unknown],
    }
    return rows("rejects", columns, len(part.unreadable) + len(unknown))
