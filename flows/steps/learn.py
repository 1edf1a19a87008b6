"""The step `learn`: every `[[learner]]` consumes the increments of its snapshot, each exactly once."""

import time
from collections.abc import Iterator
from dataclasses import replace

from curate.flows.project import Project
from curate.flows.steps.base import Plan, step_report
from curate.flows.steps.increments import (
    Increment,
    Lesson,
    Pupil,
    embed_increment,
    evaluate,
    learn_increment,
    load_pupil,
    pupil_of,
    unlabelled_features,
)
from curate.flows.steps.promoting import lesson_write, rule_on
from curate.flows.steps.slices import measure_slices
from curate.flows.steps.task_metrics import GIVEN, INFERRED, task_measures
from curate.learners.encoders.factory import encoder_named
from curate.learners.factory import BASELINES
from curate.store.slices import accuracies_so_far
from curate.store.snapshots import list_snapshots
from curate.store.work import cursor
from curate.types import Progress, StepReport


class LearnStep:
    """Beside each learner the trivial baselines learn the same increments, so that nobody is impressed too early."""

    name = "learn"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the snapshot numbers that learners have not consumed."""
        waiting = sum(len(_increments(project, pupil)) for pupil in _pupils(project))
        return Plan(self.name, waiting, 0, notes=("counted in learner and increment pairs",))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Learn increment by increment; checkpoint, metrics, verdict on its promotion and cursor commit together."""
        began = time.perf_counter()
        details: dict[str, dict[str, float]] = {}
        notes: list[str] = []
        for pupil in _pupils(project):
            increments = _increments(project, pupil)
            if increments:
                progress.start(f"learn {pupil.name}", len(increments))
                notes += _teach(project, progress, pupil, increments, details)
                progress.finish(f"learn {pupil.name}")
            if pupil.promotion:
                notes += measure_slices(project, pupil)
        return step_report(self.name, began, done=len(details), notes=tuple(notes), details=details)


def _teach(
    project: Project,
    progress: Progress,
    pupil: Pupil,
    increments: list[Increment],
    details: dict[str, dict[str, float]],
) -> list[str]:
    """Learn the increments in order; stop with a note at one that has nothing to learn from, for more may come."""
    notes: list[str] = []
    for increment in increments:
        embed_increment(project, progress, pupil, increment)
        consumed = _consume(project, pupil, increment)
        if consumed is None:
            return [*notes, f"{pupil.name}: no labelled training item in {increment.snapshot} {increment.number} yet"]
        figures, said = consumed
        notes += said
        if not figures:
            break
        details[f"{pupil.name} {increment.snapshot} {increment.number}"] = figures
        progress.advance()
    return notes


def _pupils(project: Project) -> Iterator[Pupil]:
    for settings in project.settings.learner:
        encoder = encoder_named(settings.encoder, project.folder)
        for kind in dict.fromkeys((settings.kind, *BASELINES)):
            yield pupil_of(settings, encoder, kind)


def _increments(project: Project, pupil: Pupil) -> list[Increment]:
    """The snapshot numbers after the learner's cursor, in order."""
    with project.reader() as reader:
        position = int(cursor(reader, pupil.consumer()) or 0)
        numbered = list_snapshots(reader, pupil.snapshot, position)
    before = [position, *(snapshot.number for snapshot in numbered)]
    return [
        Increment(s.snapshot, s.number, previous, s.content_hash) for s, previous in zip(numbered, before, strict=False)
    ]


def _consume(project: Project, pupil: Pupil, increment: Increment) -> tuple[dict[str, float], list[str]] | None:
    """Learn one increment and commit it; return figures and notes, none where no class is known yet.

    Where another process was quicker, that is the note, and there are no figures.
    """
    began = time.perf_counter()
    with project.reader() as reader:
        learner, parent = load_pupil(reader, project.store_folder, pupil)
        before = evaluate(reader, pupil, learner, increment)
        if not learner.initialised:
            learner.initialise(unlabelled_features(reader, pupil, increment))
        learned, codes = learn_increment(reader, pupil, learner, increment)
        if not learner.classes:
            return None
        so_far = accuracies_so_far(reader, pupil.served, increment.number, increment.previous)
        after = evaluate(reader, pupil, learner, increment)
        further = task_measures(reader, pupil, learner, increment, after)
        lesson = Lesson(increment, parent, learned, before, after, so_far, codes, further)
        ruling = rule_on(reader, project.store_folder, pupil, lesson) if pupil.promotion else None
    write = lesson_write(project.store_folder, pupil, learner, lesson, ruling)
    if project.store.commit(replace(write, seconds=time.perf_counter() - began)).stale:
        return {}, [f"{pupil.name}: another run has changed it since {increment.snapshot} {increment.number} was begun"]
    figures = {
        "before": before.accuracy,
        "after": lesson.after.accuracy,
        "test_items": float(lesson.after.items),
        "learned": float(learned),
        **{one.name: one.value for one in further if one.name in (GIVEN, INFERRED) and one.slice == "all"},
    }
    return figures, ruling.notes(pupil.name) if ruling else []
