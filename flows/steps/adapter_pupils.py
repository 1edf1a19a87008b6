"""Fitted classifiers where learners stand: an adapter in its base model says what it finds of items."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curate.flows.steps.trainees import Trainee
from curate.learners.numerics import Features, Floats
from curate.store.promotions import Served
from curate.types import Modality

if TYPE_CHECKING:
    from curate.learners.adapters.classifier import AdapterClassifier


class AdapterModel:
    """Encoder and classifier in one: an item's features are the probabilities that its adapter gives it.

    The base model is loaded with the first state, and not before.
    """

    costly = False

    def __init__(self, trainee: Trainee) -> None:
        self._trainee = trainee
        self._model: AdapterClassifier | None = None
        self.version = trainee.served.encoder_version
        self.modalities: tuple[Modality, ...] = (trainee.settings.modality,)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the adapter tells apart."""
        return self._model.classes if self._model else ()

    @property
    def dimension(self) -> int:
        """How many they are."""
        return len(self.classes)

    def load(self, state: bytes) -> None:
        """Put a fitted adapter into its base model.

        Raises:
            ConfigurationError: it was fitted to another base model.
        """
        from curate.learners.adapters.classifier import AdapterClassifier

        self._model = AdapterClassifier(self._trainee.base, self._trainee.method, self._trainee.task, state)

    def encode(self, items: pa.Table) -> Features:
        """Return the probabilities of the classes.

        Raises:
            BadDataError: an item cannot be read, or is longer than the base model reads; names it.
        """
        assert self._model is not None
        return self._model.probabilities(items).astype(np.float32)

    def predict(self, features: Features) -> Floats:
        """Return the probabilities that `encode` found, summing to 1."""
        found = features.astype(np.float64)
        shares: Floats = found / found.sum(axis=1, keepdims=True)
        return shares


@dataclass(frozen=True)
class AdapterPupil:
    """An adapter as `LearnerAnnotating` knows learners."""

    trainee: Trainee
    encoder: AdapterModel = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoder", AdapterModel(self.trainee))

    @property
    def snapshot(self) -> str:
        """The snapshot that it is fitted to."""
        return self.trainee.settings.snapshot

    @property
    def served(self) -> Served:
        """What its promotions are found by."""
        return self.trainee.served

    def make(self) -> AdapterModel:
        """Return the model, which is its own encoder."""
        return self.encoder
