"""Annotators of images as the settings describe them: models of the learners' room, joined to the store."""

from collections.abc import Sequence

import pyarrow as pa

from curate.annotate.captions import CaptionAnnotator
from curate.annotate.clip import ClipAnnotator, Towers
from curate.annotate.protocol import Attribute
from curate.flows.project import Project
from curate.flows.steps.annotators import Annotating, project_protocol
from curate.flows.steps.embeddings import ROWS_AT_ONCE, KeptEncoder
from curate.learners.encoders.captions import CocaCaptioner
from curate.learners.encoders.clip import ClipImageEncoder, ClipSource, ClipTextEncoder, similarity_scale
from curate.settings import CaptionAnnotatorSettings, ClipAnnotatorSettings
from curate.types import Annotated

CAPTIONS = "captions"
CAPTIONS_AT_ONCE = 64
"""A caption takes as many passes as it has tokens: a kill shall not cost more than these."""


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


class CaptionAnnotating(Annotating):
    """A captioner at work: its claims answer no protocol of the project, and so a new version asks nothing again."""

    modalities = ("image",)
    most = CAPTIONS_AT_ONCE

    def __init__(self, project: Project, settings: CaptionAnnotatorSettings) -> None:
        captioner = CocaCaptioner(ClipSource.parse(settings.model, project.folder), settings.tokens)
        annotator = CaptionAnnotator(settings.name, captioner, attribute=settings.attribute, least=settings.least)
        super().__init__(project, annotator, rows=CAPTIONS_AT_ONCE)
        self._attribute = settings.attribute

    @property
    def asked(self) -> tuple[str, str]:
        """A protocol of its own, which only says that captions are none of the project's."""
        return CAPTIONS, "1"

    @property
    def attributes(self) -> Sequence[str]:
        """The attribute that captions are values of."""
        return [self._attribute]

    @property
    def dependent(self) -> Sequence[Attribute]:
        """None: every image is asked about."""
        return ()

    def protocol_rows(self) -> dict[str, pa.Table]:
        """Return nothing: there is no list of values to write down."""
        return {}


def image_annotating(project: Project, settings: ClipAnnotatorSettings | CaptionAnnotatorSettings) -> Annotating:
    """Return the annotator of images that the settings describe."""
    if isinstance(settings, CaptionAnnotatorSettings):
        return CaptionAnnotating(project, settings)
    return ClipAnnotating(project, settings)
