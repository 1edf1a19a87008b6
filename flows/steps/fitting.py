"""One fit of one adapter to one number of its snapshot: read, fit, judge, and prepare the checkpoint's commit."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curate.errors import BadDataError
from curate.flows.project import Project
from curate.flows.steps.exams import Exam, exam_of
from curate.flows.steps.lesson_metrics import Measure, metric_rows
from curate.flows.steps.materials import Materials, Part, virtual_tokens
from curate.flows.steps.promoting import Ruling, ruled, ruling_write
from curate.flows.steps.trainees import Trainee
from curate.learners.adapters.inputs import TextInput
from curate.learners.adapters.kept_adapter import adapter_state
from curate.learners.adapters.parameters import FitParameters
from curate.learners.adapters.schedule import ended_by
from curate.learners.adapters.texts import TextExamples
from curate.learners.adapters.trainer import AdapterTrainer, FittedAdapter, NotFiniteError, Reading
from curate.learners.promotion import Verdict
from curate.store.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from curate.store.fits import end_fit, fit_folder
from curate.store.reader import Reader
from curate.store.snapshots import Numbered, snapshot_labels
from curate.store.work import cursor
from curate.store.write import CursorMove, Write, rows
from curate.types import Progress

CURVE_POINTS = 1_000
"""A curve has about this many points at most; of a longer fit every second step is kept, or every third, and so on."""
_LOSS = "mean cross-entropy of the step's answers, before it was learned"
_HELD_OUT = "mean cross-entropy of all answers on the split that is looked at, after the step"
_SIZE = "numbers that are trained"
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class _Course:
    """What a fit works with: the network with its new adapter, what it learns, and what it is tested with."""

    trainer: AdapterTrainer
    train: Part
    exam: Exam
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def fit(
    project: Project, progress: Progress, trainee: Trainee, snapshot: Numbered, position: str
) -> tuple[Figures, list[str]]:
    """Fit an adapter, commit it, and return its figures and notes; no figures where there was nothing to fit it to.

    A process that is killed goes on from the fit's last checkpoint, and ends with the same weights.

    Raises:
        BadDataError: a loss is not a number; names the items and the last good checkpoint.
        StoreBusyError: another process is at work on the same fit.
        StoreError: the disk is full; what was kept of the fit stays.
        ConfigurationError: base model, method and snapshot do not fit together.
    """
    began = time.perf_counter()
    elsewhere = f"{trainee.settings.name}: another run has fitted it meanwhile"
    with fit_folder(project.store_folder, trainee.fit_name(snapshot)) as folder:
        if _moved(project, trainee, position):
            end_fit(folder)
            return {}, [elsewhere]
        course = _begun(project, trainee, snapshot, folder)
        if course is None:
            where = f"{snapshot.snapshot} {snapshot.number}"
            return {}, [f"{trainee.settings.name}: nothing in {where} to fit it to, or too few classes"]
        fitted = _carried_out(progress, trainee, course, folder)
        with project.reader() as reader:
            figures, write, said = _result(project, reader, trainee, snapshot, position, course, fitted)
        stale = project.store.commit(replace(write, seconds=time.perf_counter() - began)).stale
        if stale and not _moved(project, trainee, position):
            again = "another checkpoint was promoted meanwhile; the fit is kept, and judged again when train runs next"
            return {}, [f"{trainee.settings.name}: {again}"]
        end_fit(folder)
    return ({}, [elsewhere]) if stale else (figures, [*course.notes, *said])


def _moved(project: Project, trainee: Trainee, position: str) -> bool:
    """Whether somebody else has fitted it since this run looked."""
    with project.reader() as reader:
        return cursor(reader, trainee.consumer) != position


def _begun(project: Project, trainee: Trainee, snapshot: Numbered, folder: Path) -> _Course | None:
    with project.reader() as reader:
        classes = _classes(reader, trainee, snapshot)
        if trainee.settings.classifies and len(classes) < 2:
            return None
        network = trainee.base.network(trainee.task, classes, trainee.settings.seed)
        materials = Materials(trainee, snapshot, network, classes, folder)
        train = materials.part(reader, "train")
        if not len(train.examples):
            return None
        held_out = materials.part(reader, trainee.settings.evaluation)
        judged = materials.part(reader, "test", judged=True)
    judged.examples.check(network, trainee.method, virtual_tokens(trainee))
    parameters = _bounded(trainee, train)
    looked_at = held_out.examples if len(held_out.examples) else None
    trainer = AdapterTrainer(
        network, trainee.method.name, train.examples, parameters, held_out=looked_at, options=trainee.settings.options
    )
    exam = exam_of(trainee, classes, judged)
    return _Course(trainer, train, exam, classes, _notes(trainee, materials, held_out))


def _classes(reader: Reader, trainee: Trainee, snapshot: Numbered) -> tuple[str, ...]:
    """The training items' labels; in the order of the base model where it tells just those already."""
    if not trainee.settings.classifies:
        return ()
    found = snapshot_labels(reader, snapshot.snapshot, snapshot.number, "train")
    known = trainee.base.known_classes()
    return known if sorted(known) == found else tuple(found)


def _bounded(trainee: Trainee, train: Part) -> FitParameters:
    tokens, examples = trainee.settings.tokens, train.examples
    if not tokens or not isinstance(examples, TextExamples):
        return trainee.parameters
    return ended_by(tokens, examples.sizes, trainee.parameters)


def _notes(trainee: Trainee, materials: Materials, held_out: Part) -> tuple[str, ...]:
    name, notes = trainee.settings.name, []
    if isinstance(materials.input, TextInput) and materials.input.cut:
        notes.append(f"{name}: {materials.input.cut:,} texts were cut to {trainee.settings.length} tokens")
    if not len(held_out.examples):
        notes.append(f"{name}: the split {trainee.settings.evaluation!r} is empty, so no loss was looked at there")
    return tuple(notes)


def _carried_out(progress: Progress, trainee: Trainee, course: _Course, folder: Path) -> FittedAdapter:
    title = f"train {trainee.settings.name}"
    progress.start(title, course.trainer.schedule.steps)

    def tell(reading: Reading) -> None:
        progress.advance()

    try:
        return course.trainer.fit(folder, tell)
    except NotFiniteError as error:
        items = course.train.named(error.documents)
        shown = ", ".join(item[:12] for item in items[:8]) + (", …" if len(items) > 8 else "")
        where = f"at step {error.step}, with the items {shown}"
        raise BadDataError(
            f"adapter {trainee.settings.name!r}: {error.what} is not finite {where}",
            hint=f"curate why {items[0][:12]}, or give it a lower learning_rate",
            unchanged=f"the last good checkpoint, {error.checkpoint}",
        ) from error
    finally:
        progress.finish(title)


def _result(
    project: Project,
    reader: Reader,
    trainee: Trainee,
    snapshot: Numbered,
    position: str,
    course: _Course,
    fitted: FittedAdapter,
) -> tuple[Figures, Write, list[str]]:
    """Judge a fitted adapter, save it as a checkpoint, and prepare the commit that names it."""
    adapted, exam = course.trainer.adapted, course.exam
    steps = course.trainer.schedule.steps
    state = adapter_state(adapted, {**trainee.described(), "classes": list(course.classes), "steps": steps})
    measured = [*_curves(fitted.readings), Measure("parameters", "all", float(fitted.size), _SIZE)]
    measured += exam.measure(adapted)

    def compared(found: Checkpoint) -> Verdict:
        return exam.compare(adapted, load_checkpoint(project.store_folder, found.name))

    ruling = ruled(reader, trainee.served, trainee.settings.promotion, exam.items, compared)
    name = save_checkpoint(project.store_folder, state)
    write = _write(trainee, snapshot, position, Checkpoint(name, snapshot.number), ruling, course, len(state), measured)
    figures = {"steps": float(len(fitted.readings)), "loss": fitted.readings[-1].loss, **exam.figures}
    if fitted.readings[-1].held_out is not None:
        figures["held_out"] = fitted.readings[-1].held_out
    return figures, write, ruling.notes(trainee.name)


def _write(
    trainee: Trainee,
    snapshot: Numbered,
    position: str,
    new: Checkpoint,
    ruling: Ruling,
    course: _Course,
    size: int,
    measured: Sequence[Measure],
) -> Write:
    header: dict[str, Any] = {
        "checkpoint": new.name,
        "learner": trainee.name,
        "learner_version": trainee.version,
        "parent": "",
        "snapshot": snapshot.snapshot,
        "number": snapshot.number,
        "content_hash": snapshot.content_hash,
        "encoder_version": trainee.served.encoder_version,
        "classes": [list(course.classes)],
        "items": len(course.train.ids),
        "size": size,
    }
    at = (snapshot.snapshot, snapshot.number)
    turns, turn_move = ruling_write(trainee.served, ruling, new)
    tables = {
        "checkpoints": rows("checkpoints", header, 1),
        "metrics": metric_rows(trainee.name, new.name, at, [*measured, *ruling.measures]),
        **turns,
    }
    move = CursorMove(trainee.consumer, "", position, str(snapshot.number))
    return Write("train", tables, [move, turn_move])


def _curves(readings: Sequence[Reading]) -> list[Measure]:
    """The losses by step; the slice of a point is its step."""
    every = -(-len(readings) // CURVE_POINTS) or 1
    shown = [one for one in readings if one.step % every == 0 or one is readings[-1]]
    found = [Measure("training loss", f"step:{one.step}", one.loss, _LOSS) for one in shown]
    looked_at = [one for one in readings if one.held_out is not None]
    return found + [
        Measure("held-out loss", f"step:{one.step}", one.held_out, _HELD_OUT)
        for one in looked_at
        if one.held_out is not None
    ]
