"""Annotators of images as the settings describe them: models of the learners' room, joined to the store."""

from collections.abc import Sequence

import pyarrow as pa

from curate.annotate.clip import ClipAnnotator, Towers
from curate.flows.project import Project
from curate.flows.steps.annotators import Annotating, project_protocol
from curate.flows.steps.embeddings import ROWS_AT_ONCE, KeptEncoder
from curate.learners.encoders.clip import ClipImageEncoder, ClipSource, ClipTextEncoder, similarity_scale
from curate.settings import ClipAnnotatorSettings
from curate.types import Annotated


class ClipAnnotating(Annotating):
    """open_clip at work: an image that was encoded once is read from the store, whatever prompts ask about it."""

    modalities = ("image",)
    most = ROWS_AT_ONCE

    def __init__(self, project: Project, settings: ClipAnnotatorSettings) -> None:
        source = ClipSource.parse(settings.model, project.folder)
        self._encoder = ClipImageEncoder(source)
        self._clip = ClipAnnotator(
            settings.name,
            project_protocol(project),
            Towers(self._encoder, ClipTextEncoder(source), lambda: similarity_scale(source)),
            attributes=settings.attributes,
            templates=settings.templates,
            prompts=settings.prompts,
            least=settings.least,
        )
        super().__init__(project, self._clip, rows=ROWS_AT_ONCE)
        self._fresh: dict[str, pa.Table] = {}

    @property
    def attributes(self) -> Sequence[str]:
        """The attributes that the model is asked for."""
        return [attribute.name for attribute in self._clip.attributes]

    def annotate(self, items: pa.Table, attributes: Sequence[str]) -> Annotated:
        """Return what the model says about a batch of images."""
        with self._project.reader() as reader:
            kept = KeptEncoder(self._encoder, reader)
            self._clip.images = kept
            said = super().annotate(items, attributes)
        self._fresh = {"embeddings": kept.fresh_rows()}
        return said

    def kept_rows(self) -> dict[str, pa.Table]:
        """Return the features that were computed for the last batch."""
        return self._fresh
