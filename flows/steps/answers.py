"""Taking in people's answers: a Label Studio export becomes annotations of the kind `human`."""

import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from curate.flows.project import Project
from curate.flows.steps.base import BATCH_ROWS, Plan, step_report
from curate.store.answers import Answer, UnusableAnswer, read_answers
from curate.store.write import Write, rows
from curate.types import Progress, StepReport

STEP = "label"
SOURCE = "label-studio"


def plan_answers(project: Project, file: Path) -> Plan:
    """Count the answers of a file that can be taken in; which of them the store has already shows when they are."""
    answers, unusable = read_answers(file.read_bytes(), *_questions(project))
    answers, unknown = _known(project, answers)
    notes = (f"{len(unusable) + len(unknown)} answers cannot be used",) if unusable or unknown else ()
    return Plan(STEP, len(answers), 0, notes=notes)


def import_answers(project: Project, file: Path, progress: Progress) -> StepReport:
    """Commit the answers of a Label Studio export, in batches; an answer that the store has is not added again.

    An annotator is `label-studio-` and the person's number; the annotation's version is the time of the answer as the
    export says it, so a changed mind is a new claim. Memory: the file.

    Raises:
        BadDataError: the file is no Label Studio export.
    """
    began = time.perf_counter()
    answers, unusable = read_answers(file.read_bytes(), *_questions(project))
    answers, unknown = _known(project, answers)
    refused = [*unusable, *unknown]
    progress.start(STEP, len(answers))
    done = rejected = 0
    for start in range(0, max(len(answers), len(refused)), BATCH_ROWS):
        part, left = answers[start : start + BATCH_ROWS], refused[start : start + BATCH_ROWS]
        tables = {"annotations": _annotations(project, part), "rejects": _rejects(file, left)}
        added = project.store.commit(Write(STEP, {name: table for name, table in tables.items() if len(table)})).added
        done, rejected = done + added.get("annotations", 0), rejected + added.get("rejects", 0)
        progress.advance(len(part))
    progress.finish(STEP)
    return step_report(STEP, began, done=done, skipped=len(answers) - done, rejected=rejected)


def _questions(project: Project) -> tuple[dict[str, Sequence[str]], frozenset[str]]:
    """Return the values of each attribute, and which attributes take several."""
    asked = project.settings.protocol.attribute
    return {one.name: one.values for one in asked}, frozenset(one.name for one in asked if one.multiple)


def _known(project: Project, answers: list[Answer]) -> tuple[list[Answer], list[UnusableAnswer]]:
    """Part the answers about items that the store has from the others."""
    with project.reader() as reader:
        answered = pa.array([answer.item_id for answer in answers], pa.string())
        reader.register("answered", pa.table({"item_id": answered}))
        found = reader.query("SELECT item_id FROM items SEMI JOIN answered USING (item_id)")
    known = set(found["item_id"].to_pylist())
    unknown = [
        UnusableAnswer(answer.locator, "unknown-item", f"the store has no item {short}", short)
        for answer, short in ((answer, answer.item_id[:16]) for answer in answers)
        if answer.item_id not in known
    ]
    return [answer for answer in answers if answer.item_id in known], unknown


def _annotations(project: Project, answers: Sequence[Answer]) -> pa.Table:
    protocol = project.settings.protocol
    columns = {
        "item_id": [answer.item_id for answer in answers],
        "protocol": protocol.name,
        "protocol_version": protocol.version,
        "attribute": [answer.attribute for answer in answers],
        "value": [answer.value for answer in answers],
        "confidence": 1.0,
        "annotator": [f"{SOURCE}-{answer.person}" for answer in answers],
        "annotator_kind": "human",
        "annotator_version": [answer.answered_at for answer in answers],
    }
    return rows("annotations", columns, len(answers))


def _rejects(file: Path, unusable: Sequence[UnusableAnswer]) -> pa.Table:
    columns = {
        "source": SOURCE,
        "locator": [f"{file.name} {entry.locator}" for entry in unusable],
        "reason": [entry.reason for entry in unusable],
        "detail": [entry.detail for entry in unusable],
        "fingerprint": [entry.fingerprint for entry in unusable],
    }
    return rows("rejects", columns, len(unusable))
