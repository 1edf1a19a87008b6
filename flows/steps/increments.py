"""One increment of one learner: load the parent, learn what is new, measure, and prepare the checkpoint's commit."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.flows.project import Project, parameters_hash
from curate.flows.steps.embeddings import KeptEncoder, keep_embeddings
from curate.learners.base import BaseLearner
from curate.learners.factory import learner_named
from curate.settings import LearnerSettings
from curate.store.checkpoints import load_checkpoint, newest_checkpoint, save_checkpoint
from curate.store.reader import Reader
from curate.store.snapshots import items_before_snapshot, snapshot_items
from curate.store.work import batches
from curate.store.write import CursorMove, Write, rows
from curate.types import SPLITS, Encoder, Progress

ROWS_AT_ONCE = 4_096
UNLABELLED_ITEMS = 10_000
FORMULA = "correct / test items of the snapshot"


@dataclass(frozen=True, slots=True)
class Pupil:
    """A learner as the project names it; a changed kind, parameter or encoder begins a new one."""

    name: str
    kind: str
    snapshot: str
    encoder: Encoder
    seed: int
    parameters: Mapping[str, Any]

    def make(self) -> BaseLearner:
        """Build the learner as it is before its first increment."""
        return learner_named(self.kind, self.parameters, seed=self.seed)

    def consumer(self) -> str:
        """The name of the learner's cursor."""
        identity = [self.make().version, self.encoder.version, self.snapshot]
        return f"learn/{self.name}/{parameters_hash(identity)}"


def pupil_of(settings: LearnerSettings, encoder: Encoder, kind: str = "") -> Pupil:
    """Return a `[[learner]]` as it is, or a baseline of another kind that learns the same beside it."""
    own = kind in ("", settings.kind)
    return Pupil(
        name=settings.name if own else f"{settings.name}/{kind}",
        kind=settings.kind if own else kind,
        snapshot=settings.snapshot,
        encoder=encoder,
        seed=settings.seed,
        parameters=settings.parameters if own else {},
    )


@dataclass(frozen=True, slots=True)
class Increment:
    """What came between two numbers of a snapshot."""

    snapshot: str
    number: int
    previous: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Correct answers and test items, by class."""

    correct: Mapping[str, int]
    counts: Mapping[str, int]

    @property
    def items(self) -> int:
        """How many test items there were."""
        return sum(self.counts.values())

    @property
    def accuracy(self) -> float:
        """The share of correct answers; 0 without test items."""
        return sum(self.correct.values()) / self.items if self.items else 0.0


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


def learn_increment(reader: Reader, pupil: Pupil, learner: BaseLearner, increment: Increment) -> int:
    """Let the learner learn the training items that no earlier number held; return how many.

    They come in the order of their ids, which are hashes: classes mix, and the order does not depend on arrival.
    Memory: the increment's items, and features of `ROWS_AT_ONCE` of them at a time.
    """
    items = snapshot_items(reader, increment.snapshot, increment.number, ["train"], increment.previous)
    items = items.filter(pc.is_valid(items["label"]))
    encoder = KeptEncoder(pupil.encoder, reader)
    for batch in batches(items, ROWS_AT_ONCE):
        learner.learn(encoder.encode(batch), batch["label"].to_pylist())
    return len(items)


def evaluate(reader: Reader, pupil: Pupil, learner: BaseLearner, increment: Increment) -> Evaluation:
    """Ask the learner for the class of every labelled test item of the snapshot, classes never met included."""
    items = snapshot_items(reader, increment.snapshot, increment.number, ["test"])
    items = items.filter(pc.is_valid(items["label"]))
    encoder = KeptEncoder(pupil.encoder, reader)
    correct: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for batch in batches(items, ROWS_AT_ONCE):
        labels = batch["label"].to_pylist()
        counts.update(labels)
        if learner.classes:
            best = np.argmax(learner.predict(encoder.encode(batch)), axis=1)
            predicted = [learner.classes[column] for column in best]
            correct.update(label for label, guess in zip(labels, predicted, strict=True) if label == guess)
    return Evaluation(correct, counts)


def checkpoint_write(
    store_folder: Path,
    pupil: Pupil,
    learner: BaseLearner,
    increment: Increment,
    parent: str,
    learned: int,
    before: Evaluation,
    after: Evaluation,
) -> Callable[[float], Write]:
    """Save the learner's state as a file and prepare the commit that binds it to the increment; takes the seconds."""
    state = learner.state()
    checkpoint = save_checkpoint(store_folder, state)
    header = {
        "checkpoint": checkpoint,
        "learner": pupil.name,
        "learner_version": learner.version,
        "parent": parent,
        "snapshot": increment.snapshot,
        "number": increment.number,
        "content_hash": increment.content_hash,
        "encoder_version": pupil.encoder.version,
        "classes": [list(learner.classes)],
        "items": learned,
        "size": len(state),
    }
    tables = {
        "checkpoints": rows("checkpoints", header, 1),
        "metrics": _metric_rows(pupil, checkpoint, increment, before, after),
    }
    move = CursorMove(pupil.consumer(), "", str(increment.previous or ""), str(increment.number))
    return partial(Write, "learn", tables, [move], None, ())


def _metric_rows(
    pupil: Pupil, checkpoint: str, increment: Increment, before: Evaluation, after: Evaluation
) -> pa.Table:
    measured = [("accuracy before", "all", before.accuracy), ("accuracy", "all", after.accuracy)]
    measured.append(("test items", "all", float(after.items)))
    for label, count in sorted(after.counts.items()):
        measured.append(("accuracy", f"class:{label}", after.correct.get(label, 0) / count))
        measured.append(("accuracy before", f"class:{label}", before.correct.get(label, 0) / count))
        measured.append(("test items", f"class:{label}", float(count)))
    names, slices, values = zip(*measured, strict=True)
    columns = {
        "subject": pupil.name,
        "checkpoint": checkpoint,
        "snapshot": increment.snapshot,
        "number": increment.number,
        "name": list(names),
        "slice": list(slices),
        "value": list(values),
        "formula": ["count of test items" if name == "test items" else FORMULA for name in names],
    }
    return rows("metrics", columns, len(measured))
