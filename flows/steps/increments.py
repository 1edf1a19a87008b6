"""One increment of one learner: load the parent, learn what is new, measure, and prepare the checkpoint's commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.flows.project import Project, parameters_hash
from curate.flows.steps.codes import KeptCodes
from curate.flows.steps.embeddings import KeptEncoder, keep_embeddings
from curate.flows.steps.judged import Evaluation, slices_of
from curate.flows.steps.lesson_metrics import Measure, lesson_measures, metric_rows
from curate.flows.steps.tasks import learn_tasks, rows_at_once
from curate.learners.base import BaseLearner
from curate.learners.bottleneck.learner import KeyValueBottleneck
from curate.learners.factory import learner_named, seen_by
from curate.learners.task_learner import TaskLearner
from curate.settings.models import LearnerSettings, PromotionSettings
from curate.store.checkpoints import load_checkpoint, newest_checkpoint, save_checkpoint
from curate.store.promotions import Served
from curate.store.reader import Reader
from curate.store.snapshots import items_before_snapshot, snapshot_items
from curate.store.work import batches
from curate.store.write import CursorMove, Write, rows
from curate.types import SPLITS, Encoder, Progress

ROWS_AT_ONCE = 4_096
UNLABELLED_ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class Pupil:
    """A learner as the project names it; a changed kind, parameter or encoder begins a new one.

    `encoder` makes what it learns from; `task` names the column that tells an item's task ("": its increment is one).
    Without `promotion` it is a baseline, which is measured and never served.
    """

    name: str
    kind: str
    snapshot: str
    encoder: Encoder
    seed: int
    parameters: Mapping[str, Any]
    slices: Sequence[str] = ()
    task: str = ""
    promotion: PromotionSettings | None = None

    @property
    def served(self) -> Served:
        """What its promotions are found by."""
        return Served(self.name, self.make().version, self.encoder.version, self.snapshot)

    def make(self) -> BaseLearner:
        """Build the learner as it is before its first increment."""
        return learner_named(self.kind, self.parameters, self.seed, encoder=self.encoder, task=self.task)

    def consumer(self) -> str:
        """The name of the learner's cursor."""
        identity = [self.make().version, self.encoder.version, self.snapshot]
        return f"learn/{self.name}/{parameters_hash(identity)}"


def pupil_of(settings: LearnerSettings, encoder: Encoder, kind: str = "") -> Pupil:
    """Return a `[[learner]]` as it is, or a baseline of another kind that learns the same beside it.

    A baseline learns what the encoder says, also beside a learner that turns the encoder's network to its tasks.
    """
    own = kind in ("", settings.kind)
    return Pupil(
        name=settings.name if own else f"{settings.name}/{kind}",
        kind=settings.kind if own else kind,
        snapshot=settings.snapshot,
        encoder=seen_by(settings.kind, encoder) if own else encoder,
        seed=settings.seed,
        parameters=settings.parameters if own else {},
        slices=settings.slices,
        task=settings.task if own else "",
        promotion=settings.promotion if own else None,
    )


@dataclass(frozen=True, slots=True)
class Increment:
    """What came between two numbers of a snapshot."""

    snapshot: str
    number: int
    previous: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """What became of a learner in one increment: its parent, how many items it learned, how it did before and after.

    `so_far` is what was measured in the increments before; `codes` are rows of the table of that name, to be kept;
    `further` is measured of some kinds only.
    """

    increment: Increment
    parent: str
    learned: int
    before: Evaluation
    after: Evaluation
    so_far: Sequence[Mapping[str, Any]] = ()
    codes: Sequence[pa.Table] = ()
    further: Sequence[Measure] = ()


def load_pupil(reader: Reader, store_folder: Path, pupil: Pupil) -> tuple[BaseLearner, str]:
    """Return the learner at its last checkpoint and that checkpoint's hash ("" before the first)."""
    learner = pupil.make()
    newest = newest_checkpoint(reader, pupil.name, learner.version, pupil.encoder.version, pupil.snapshot)
    if newest is None:
        return learner, ""
    learner.load(load_checkpoint(store_folder, newest.name))
    return learner, newest.name


def embed_increment(project: Project, progress: Progress, pupil: Pupil, increment: Increment) -> None:
    """Keep the embeddings that learning an increment will ask for, so that a kill costs no more than a batch of them.

    Memory: the increment's items. Costs nothing where the encoder is not costly.
    """
    if not pupil.encoder.costly:
        return
    with project.reader() as reader:
        items = snapshot_items(reader, increment.snapshot, increment.number, SPLITS, increment.previous)
        wanted = [items.filter(pc.is_valid(items["label"]))]
        if not (increment.previous or pupil.make().initialised):
            wanted.append(items_before_snapshot(reader, increment.snapshot, increment.number, UNLABELLED_ITEMS))
    for found in wanted:
        keep_embeddings(project, progress, pupil.encoder, found)


def unlabelled_features(reader: Reader, pupil: Pupil, increment: Increment) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return features of items that were there when the snapshot was taken, labelled or not, but of no test item.

    At most `UNLABELLED_ITEMS`, in the order of their ids; their labels are not read. Memory: those features.
    """
    encoder = KeptEncoder(pupil.encoder, reader)
    items = items_before_snapshot(reader, increment.snapshot, increment.number, UNLABELLED_ITEMS)
    features = [encoder.encode(batch) for batch in batches(items, ROWS_AT_ONCE)]
    return np.concatenate(features) if features else np.zeros((0, encoder.dimension), np.float32)


def learn_increment(
    reader: Reader, pupil: Pupil, learner: BaseLearner, increment: Increment
) -> tuple[int, list[pa.Table]]:
    """Let the learner learn the training items that no earlier number held; return how many, and codes to keep.

    They come in the order of their ids, which are hashes: classes mix, and the order does not depend on arrival.
    Memory: the increment's items, and features of `ROWS_AT_ONCE` of them at a time.
    """
    items = snapshot_items(reader, increment.snapshot, increment.number, ["train"], increment.previous)
    items = items.filter(pc.is_valid(items["label"]))
    encoder = KeptEncoder(pupil.encoder, reader)
    if isinstance(learner, TaskLearner):
        learn_tasks(reader, pupil.task, learner, encoder, items, increment.number, ROWS_AT_ONCE)
        return len(items), []
    if isinstance(learner, KeyValueBottleneck) and learner.initialised:
        codes = KeptCodes(learner, encoder, reader)
        for batch in batches(items, ROWS_AT_ONCE):
            learner.learn_codes(codes.of(batch), batch["label"].to_pylist())
        return len(items), codes.fresh_rows()
    for batch in batches(items, ROWS_AT_ONCE):
        learner.learn(encoder.encode(batch), batch["label"].to_pylist())
    return len(items), []


def evaluate(reader: Reader, pupil: Pupil, learner: BaseLearner, increment: Increment) -> Evaluation:
    """Ask the learner for the class of every labelled test item of the snapshot, classes never met included."""
    items = snapshot_items(reader, increment.snapshot, increment.number, ["test"])
    items = items.filter(pc.is_valid(items["label"]))
    slices = slices_of(reader, increment.snapshot, increment.number, pupil.slices, items["item_id"].to_pylist())
    return replace(told_rightly(reader, pupil, learner, items), slices=slices)


def told_rightly(reader: Reader, pupil: Pupil, learner: BaseLearner, items: pa.Table) -> Evaluation:
    """Ask the learner for the class of items with a label. Memory: features of `ROWS_AT_ONCE` of them at a time."""
    encoder = KeptEncoder(pupil.encoder, reader)
    right = [np.zeros(0, np.bool_)]
    for batch in batches(items, rows_at_once(learner, ROWS_AT_ONCE)):
        labels = batch["label"].to_pylist()
        predicted: list[str | None] = [None] * len(labels)
        if learner.classes:
            best = np.argmax(learner.predict(encoder.encode(batch)), axis=1)
            predicted = [learner.classes[column] for column in best]
        right.append(np.array([label == guess for label, guess in zip(labels, predicted, strict=True)], np.bool_))
    return Evaluation(tuple(items["label"].to_pylist()), np.concatenate(right))


def checkpoint_write(
    store_folder: Path,
    pupil: Pupil,
    learner: BaseLearner,
    lesson: Lesson,
    further: Sequence[Measure] = (),
) -> tuple[str, Write]:
    """Save the learner's state as a file; return its name, and the commit that binds it to the increment."""
    state, increment = learner.state(), lesson.increment
    checkpoint = save_checkpoint(store_folder, state)
    header = {
        "checkpoint": checkpoint,
        "learner": pupil.name,
        "learner_version": learner.version,
        "parent": lesson.parent,
        "snapshot": increment.snapshot,
        "number": increment.number,
        "content_hash": increment.content_hash,
        "encoder_version": pupil.encoder.version,
        "classes": [list(learner.classes)],
        "items": lesson.learned,
        "size": len(state),
    }
    kept = learner.parameters_kept
    measured = lesson_measures(increment.number, lesson.before, lesson.after, learner.classes, kept, lesson.so_far)
    tables = {
        "checkpoints": rows("checkpoints", header, 1),
        "metrics": metric_rows(
            pupil.name, checkpoint, (increment.snapshot, increment.number), [*measured, *lesson.further, *further]
        ),
    }
    if lesson.codes:
        tables["codes"] = pa.concat_tables(lesson.codes)
    move = CursorMove(pupil.consumer(), "", str(increment.previous or ""), str(increment.number))
    return checkpoint, Write("learn", tables, [move])
