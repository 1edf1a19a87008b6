"""Learners and adapters as annotators: the served checkpoint says what it finds of items that did not teach it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

import pyarrow as pa

from curate.annotate.learner import LearnerAnnotator
from curate.flows.project import Project, parameters_hash
from curate.flows.steps.adapter_pupils import AdapterPupil
from curate.flows.steps.annotators import Annotating, project_protocol
from curate.flows.steps.embeddings import ROWS_AT_ONCE, KeptEncoder
from curate.flows.steps.increments import pupil_of
from curate.flows.steps.trainees import trainee_of
from curate.learners.encoders.factory import encoder_named
from curate.settings import ADAPTER_PREFIX, LearnerAnnotatorSettings
from curate.settings.adapting import named_adapter
from curate.settings.teaching import named_learner, taught_snapshot
from curate.store.checkpoints import Checkpoint, load_checkpoint
from curate.store.promotions import Served, history, served_again, served_checkpoint
from curate.store.snapshots import taught_items
from curate.types import Annotated, Classifier, Encoder


class _Taught(Protocol):
    """What is asked of a learner, or of an adapter in its place."""

    @property
    def snapshot(self) -> str: ...

    @property
    def encoder(self) -> Encoder: ...

    @property
    def served(self) -> Served: ...

    def make(self) -> Classifier: ...


def _pupil(project: Project, name: str) -> _Taught:
    if name.startswith(ADAPTER_PREFIX):
        settings = named_adapter(project.settings, name.removeprefix(ADAPTER_PREFIX))
        return AdapterPupil(trainee_of(project, settings))
    taught = named_learner(project.settings, name)
    return pupil_of(taught, encoder_named(taught.encoder, project.folder))


class LearnerAnnotating(Annotating):
    """A learner at work: its checkpoint is loaded with the first batch, and what was encoded once is read.

    A checkpoint that is served again, by a rollback, speaks as a new version: what another one claimed meanwhile would
    be the newest word else, and count.

    Memory: the checkpoint, and a batch of at most 512 items.
    """

    most = ROWS_AT_ONCE

    def __init__(self, project: Project, settings: LearnerAnnotatorSettings) -> None:
        snapshot = taught_snapshot(project.settings, settings)
        self._pupil = _pupil(project, settings.learner)
        self._learner = self._pupil.make()
        self._again = settings.again
        self._checkpoint, self._back = self._served(project)
        self._loaded = False
        self.modalities = (snapshot.modality,)
        self._own = LearnerAnnotator(
            settings.name,
            self._version(settings, snapshot.label),
            snapshot.label,
            snapshot.modality,
            self._learner,
            self._pupil.encoder,
            project_protocol(project).attribute(snapshot.label),
            settings.least,
        )
        super().__init__(project, self._own, rows=ROWS_AT_ONCE)
        self._fresh: dict[str, pa.Table] = {}
        if self._checkpoint is None:
            self.waiting = f"{settings.name}: learner {settings.learner!r} has no checkpoint yet, so it is not asked"
        else:
            self.description = f"learner {settings.learner!r} after {snapshot.name} {self._checkpoint.number}"

    @property
    def attributes(self) -> Sequence[str]:
        """The one attribute that the learner tells."""
        return [self._own.attribute]

    @property
    def identity(self) -> tuple[str, ...]:
        """The checkpoint where each new one is asked about all items again, else only what every one of them is.

        One that is served again is asked again in either case.
        """
        return super().identity if self._again else (self.name, "once", *self._kind(), *self._returned())

    def annotate(self, items: pa.Table, attributes: Sequence[str]) -> Annotated:
        """Return what the checkpoint says about a batch."""
        assert self._checkpoint is not None
        if not self._loaded:
            self._learner.load(load_checkpoint(self._project.store_folder, self._checkpoint.name))
            self._loaded = True
        with self._project.reader() as reader:
            kept = KeptEncoder(self._pupil.encoder, reader)
            self._own.encoder = kept
            self._own.learned = partial(taught_items, reader, self._pupil.snapshot, self._checkpoint.number)
            said = self._own.annotate(items)
        self._fresh = {"embeddings": kept.fresh_rows()}
        return said

    def questions(self, items: pa.Table, attributes: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the attribute for each item that did not teach the checkpoint: about those it may say nothing."""
        assert self._checkpoint is not None
        ids = items["item_id"].to_pylist()
        with self._project.reader() as reader:
            taught = set(taught_items(reader, self._pupil.snapshot, self._checkpoint.number, ids))
        return {item_id: attributes for item_id in ids if item_id not in taught}

    def kept_rows(self) -> dict[str, pa.Table]:
        """Return the features that were computed for the last batch."""
        return self._fresh

    def _served(self, project: Project) -> tuple[Checkpoint | None, int]:
        with project.reader() as reader:
            served = self._pupil.served
            return served_checkpoint(reader, served), served_again(history(reader, served))

    def _returned(self) -> tuple[str, ...]:
        return (f"since turn {self._back}",) if self._back else ()

    def _kind(self) -> tuple[str, str]:
        return self._learner.version, self._pupil.encoder.version

    def _version(self, settings: LearnerAnnotatorSettings, label: str) -> str:
        """The checkpoint's name, and a hash of what else its answers depend on, and of when it came back."""
        name = self._checkpoint.name[:16] if self._checkpoint else ""
        return f"{name}+{parameters_hash([*self._kind(), label, settings.least, *self._returned()])[:8]}"
