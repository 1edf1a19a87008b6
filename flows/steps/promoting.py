"""Which checkpoint of a learner is served: the gate's verdict on a new one, and what a person decides in its place."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from pathlib import Path

import pyarrow as pa

from curate.errors import StoreBusyError, UnknownNameError, UsageError
from curate.flows.project import Project
from curate.flows.steps.base import step_report
from curate.flows.steps.increments import Lesson, Pupil, checkpoint_write, evaluate, pupil_of
from curate.flows.steps.judged import Evaluation
from curate.flows.steps.lesson_metrics import Measure
from curate.flows.steps.trainees import trainee_of
from curate.learners.base import BaseLearner
from curate.learners.encoders.factory import encoder_named
from curate.learners.promotion import PromotionRules, Verdict, judge
from curate.settings import ADAPTER_PREFIX
from curate.settings.adapting import named_adapter
from curate.settings.annotators import LearnerAnnotatorSettings
from curate.settings.models import PromotionSettings
from curate.settings.teaching import named_learner
from curate.store.checkpoints import Checkpoint, load_checkpoint, newest_checkpoint
from curate.store.promotions import (
    BY_HAND,
    KEPT,
    PROMOTED,
    ROLLED_BACK,
    Served,
    Turn,
    find_checkpoint,
    forgotten_since,
    history,
    served_before,
    served_checkpoint,
    turn_write,
)
from curate.store.reader import Reader
from curate.store.work import cursor
from curate.store.write import CursorMove, Write
from curate.types import Progress, StepReport

_DIFFERENCE = (
    "accuracy minus that of the served checkpoint, or the share by which its loss fell, on the same test items"
)
_BOUND = "lower bound of that difference, bootstrap over pairs at the gate's one-sided confidence"
_FLIPS = "items that the served checkpoint has right and this one has wrong / test items"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the gate says of a new checkpoint, and the turn of the history that it stands on."""

    last: str
    served: str
    action: str
    reason: str
    measures: tuple[Measure, ...] = ()

    def notes(self, name: str) -> list[str]:
        """Return what a person should hear: nothing where the checkpoint is served without a word against it."""
        if self.action != KEPT:
            return []
        kept = f"{name}: the new checkpoint is kept and not promoted; {self.served[:12]} is still served"
        return [f"{kept}: {self.reason}", f"to serve it all the same: curate promote {name}"]


def rule_on(reader: Reader, store_folder: Path, pupil: Pupil, lesson: Lesson) -> Ruling:
    """Let the gate compare the learner after a lesson with the served checkpoint, on the test items of the lesson.

    Cost: a prediction of the test items by the served checkpoint, where that is not the lesson's parent.
    """
    settings = pupil.promotion
    assert settings is not None

    def compared(found: Checkpoint) -> Verdict:
        served = lesson.before
        if found.name != lesson.parent:
            learner = pupil.make()
            learner.load(load_checkpoint(store_folder, found.name))
            served = evaluate(reader, pupil, learner, lesson.increment)
        return judged_answers(served, lesson.after, settings)

    return ruled(reader, pupil.served, settings, lesson.after.items, compared)


def ruled(
    reader: Reader,
    learner: Served,
    settings: PromotionSettings,
    items: int,
    compared: Callable[[Checkpoint], Verdict],
) -> Ruling:
    """Say what becomes of a new checkpoint that was judged on so many test `items`, and was `compared` with one."""
    last = cursor(reader, learner.consumer)
    found = served_checkpoint(reader, learner)
    if found is None:
        return Ruling(last, "", PROMOTED, "the first checkpoint")
    if not settings.enabled:
        return Ruling(last, found.name, PROMOTED, "the promotion gate is off")
    if not items:
        return Ruling(last, found.name, PROMOTED, "unjudged: the snapshot has no labelled test items")
    verdict = compared(found)
    reason = "; ".join(verdict.reasons) or "no worse on any guarded slice"
    action = PROMOTED if verdict.promoted else KEPT
    return Ruling(last, found.name, action, reason, tuple(_measures(verdict)))


def judged_answers(served: Evaluation, candidate: Evaluation, settings: PromotionSettings) -> Verdict:
    """Compare which test items two checkpoints told rightly."""
    return judge(served.right, candidate.right, candidate.guarded(classes=settings.classes), gate_rules(settings))


def gate_rules(settings: PromotionSettings) -> PromotionRules:
    """Return the gate's rules as a project sets them."""
    return PromotionRules(settings.margin, settings.negative_flips, settings.confidence, settings.fewest)


def _measures(verdict: Verdict) -> list[Measure]:
    flips = verdict.negative_flips
    found = [] if isnan(flips) else [Measure("negative flips", "all", flips, _FLIPS)]
    for one in verdict.slices:
        found.append(Measure("difference to served", one.name, one.difference.value, _DIFFERENCE))
        found.append(Measure("difference to served, low", one.name, one.difference.low, _BOUND))
    return found


def lesson_write(
    store_folder: Path, pupil: Pupil, learner: BaseLearner, lesson: Lesson, ruling: Ruling | None
) -> Write:
    """Save the checkpoint and prepare its commit, with the turn that the ruling makes of it."""
    name, write = checkpoint_write(store_folder, pupil, learner, lesson, ruling.measures if ruling else ())
    if ruling is None:
        return write
    tables, move = ruling_write(pupil.served, ruling, Checkpoint(name, lesson.increment.number))
    return Write("learn", {**write.tables, **tables}, [*write.cursors, move])


def ruling_write(learner: Served, ruling: Ruling, new: Checkpoint) -> tuple[dict[str, pa.Table], CursorMove]:
    """Return the turn that a ruling makes of a new checkpoint, and the move of its cursor."""
    turn = Turn(int(ruling.last or 0) + 1, new.name, new.number, ruling.served, ruling.action, ruling.reason)
    return turn_write(learner, ruling.last, turn)


def _named(project: Project, name: str) -> Served:
    """Return what the promotions of a learner are found by, or of an adapter as `adapter:NAME`.

    Raises:
        UnknownNameError: the project has none of this name.
    """
    if not name.startswith(ADAPTER_PREFIX):
        return named_pupil(project, name).served
    settings = named_adapter(project.settings, name.removeprefix(ADAPTER_PREFIX))
    return trainee_of(project, settings).served


def named_pupil(project: Project, name: str) -> Pupil:
    """Return the learner of this name.

    Raises:
        UnknownNameError: the project has none.
    """
    known = [settings.name for settings in project.settings.learner]
    if name not in known:
        known += [settings.learner for settings in project.settings.adapter]
        raise UnknownNameError("learner", name, known)
    settings = named_learner(project.settings, name)
    return pupil_of(settings, encoder_named(settings.encoder, project.folder), settings.kind)


def promote(project: Project, progress: Progress, name: str, checkpoint: str = "", *, dry: bool = False) -> StepReport:
    """Serve a checkpoint whatever the gate says of it: the newest, or the one whose name begins so.

    Raises:
        UsageError: the learner has no such checkpoint.
    """

    def chosen(reader: Reader, learner: Served, turns: list[Turn]) -> Checkpoint:
        newest = newest_checkpoint(reader, *learner.key)
        if newest is None:
            hint = "curate train" if name.startswith(ADAPTER_PREFIX) else "curate learn"
            raise UsageError(f"learner {name!r} has no checkpoint yet", hint=hint)
        return find_checkpoint(reader, learner, checkpoint) if checkpoint else newest

    return _decide(project, "promote", name, BY_HAND, chosen, dry=dry)


def roll_back(project: Project, progress: Progress, name: str, to: str = "", *, dry: bool = False) -> StepReport:
    """Serve what was served before, or the checkpoint whose name begins so; learning goes on from the newest.

    Raises:
        UsageError: nothing was served before, or the learner was made to forget since.
    """

    def chosen(reader: Reader, learner: Served, turns: list[Turn]) -> Checkpoint:
        if to:
            return find_checkpoint(reader, learner, to)
        before = served_before(turns)
        if before is None:
            raise UsageError(
                f"learner {name!r} has served no other checkpoint before",
                unchanged="nothing was rolled back",
                hint=f"curate sql \"FROM promotions WHERE learner = '{name}' ORDER BY turn\"",
            )
        return Checkpoint(before.checkpoint, before.number)

    return _decide(project, "rollback", name, ROLLED_BACK, chosen, dry=dry)


def _decide(
    project: Project,
    step: str,
    name: str,
    action: str,
    choose: Callable[[Reader, Served, list[Turn]], Checkpoint],
    *,
    dry: bool,
) -> StepReport:
    """Make one turn of a person's choice; do nothing where that checkpoint is served already."""
    began = time.perf_counter()
    learner = _named(project, name)
    with project.reader() as reader:
        turns, last = history(reader, learner), cursor(reader, learner.consumer)
        found, now = choose(reader, learner, turns), served_checkpoint(reader, learner)
        notes = _consequences(reader, learner, found, turns)
    before = {turn.checkpoint for turn in turns if turn.action != KEPT}
    if any(
        isinstance(one, LearnerAnnotatorSettings) and one.learner == name and (one.again or found.name in before)
        for one in project.settings.annotator
    ):
        notes.append("its claims count once `curate annotate` has asked it; until then those before stand")
    served = now.name if now else ""
    details = {"learner": name, "served": found.name, "number": found.number, "before": served}
    if found.name == served:
        return step_report(step, began, skipped=1, notes=(f"{name}: {served[:12]} is served already",), details=details)
    notes = [f"{name}: {found.name[:12]} (after {learner.snapshot} {found.number}) in place of {served[:12]}", *notes]
    if not dry:
        turn = Turn(int(last or 0) + 1, found.name, found.number, served, action, f"curate {step}")
        tables, move = turn_write(learner, last, turn)
        if project.store.commit(Write(step, tables, [move])).stale:
            raise changed_meanwhile(name)
    return step_report(step, began, done=int(not dry), notes=tuple(notes), details=details)


def _consequences(reader: Reader, learner: Served, found: Checkpoint, turns: list[Turn]) -> list[str]:
    notes = [
        f"the gate had kept it: {turn.reason}"
        for turn in turns
        if turn.checkpoint == found.name and turn.action == KEPT
    ]
    if forgotten_since(reader, learner, found.name):
        notes.append("this checkpoint is older than a forgetting: what was forgotten has its influence again")
    newest = newest_checkpoint(reader, *learner.key)
    if newest and newest.name != found.name:
        notes.append(f"learning goes on from {newest.name[:12]}; the gate compares what comes with what is served")
    return notes


def changed_meanwhile(name: str) -> StoreBusyError:
    """Say that another process was quicker."""
    return StoreBusyError(
        f"another process has changed learner {name!r} meanwhile", unchanged="the learner", hint="try again"
    )
