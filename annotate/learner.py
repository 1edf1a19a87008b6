"""A learner's checkpoint as an annotator: what it has learned becomes claims about what arrives next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.errors import BadDataError
from curate.types import Annotated, Claim, Classifier, Encoder, Failure, Modality

if TYPE_CHECKING:
    import pyarrow as pa


def nothing_learned(ids: Sequence[str]) -> Collection[str]:
    """Say that the learner was taught by none of these items."""
    return ()


@dataclass
class LearnerAnnotator:
    """Claims the class that a learner finds likeliest, with its probability as the confidence.

    It abstains below `least`, on items of another modality, on classes that are none of the `values` (empty: any will
    do), and on the items of which `learned` says that they taught it: what it says there repeats its teachers, and
    counts for nothing. An item that cannot be encoded is a failure. `version` must change with the checkpoint.
    """

    name: str
    version: str
    attribute: str
    modality: Modality
    learner: Classifier
    encoder: Encoder
    values: Container[str] = ()
    least: float = 0.0
    learned: Callable[[Sequence[str]], Collection[str]] = nothing_learned
    kind: str = "learner"

    def annotate(self, items: pa.Table) -> Annotated:
        """Claim what the learner says, in item order."""
        shown = self._shown(items)
        if not len(shown):
            return Annotated()
        features, failures = encoded(self.encoder, shown)
        able = [item_id for item_id in shown["item_id"].to_pylist() if item_id not in failures]
        claims: list[Claim] = []
        if able:
            probabilities = self.learner.predict(features)
            best = probabilities.argmax(axis=1)
            claims = [
                Claim(item_id, self.attribute, self.learner.classes[column], min(float(row[column]), 1.0))
                for item_id, column, row in zip(able, best, probabilities, strict=True)
            ]
        kept = [claim for claim in claims if claim.confidence >= self.least and self._is_value(claim.value)]
        return Annotated(kept, [Failure(item_id, reason) for item_id, reason in failures.items()])

    def _is_value(self, value: str) -> bool:
        return not self.values or value in self.values

    def _shown(self, items: pa.Table) -> pa.Table:
        """Return the items that have content of the modality and did not teach the learner."""
        import pyarrow as pa

        if self.modality not in items.column_names:
            return items.slice(0, 0)
        items = items.filter(items[self.modality].is_valid())
        learned = self.learned(items["item_id"].to_pylist())
        new = [item_id not in learned for item_id in items["item_id"].to_pylist()]
        return items.filter(pa.array(new, pa.bool_()))


def encoded(encoder: Encoder, items: pa.Table) -> tuple[np.ndarray[Any, np.dtype[np.float32]], dict[str, str]]:
    """Return the features of the items that can be encoded, and why the others cannot, by their ids."""
    try:
        return encoder.encode(items), {}
    except BadDataError:
        parts, failures = [], {}
    for place, item_id in enumerate(items["item_id"].to_pylist()):
        try:
            parts.append(encoder.encode(items.slice(place, 1)))
        except BadDataError as error:
            failures[item_id] = error.message
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32), failures
