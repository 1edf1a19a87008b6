"""What a discovered structure is worth beside what was planted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.metrics import adjusted_rand_score

from benchmarks.harness.planted_captions import LEXICON, Planted, canonical, planted_dimension
from curate.annotate.discovery.assignment import Assignment
from curate.annotate.discovery.parameters import reference_calls
from curate.annotate.discovery.structure import Structure
from curate.annotate.discovery.surrogate import fit_surrogate
from curate.annotate.discovery.words import UNKNOWN
from curate.learners.encoders.factory import encoder_named

ENCODER = "hashed-ngrams:1024"


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares of planted dimensions found and of attributes invented, agreement, and what it took.

    `rand` is the mean adjusted Rand index over planted dimensions of what the model assigned (0 for one not found);
    `rand_classified` that of what the classifier decided, `sure` the share of other items that it decided.
    """

    draw: int
    dimensions: float
    rand: float
    invented: float
    unknown: float
    rand_classified: float
    sure: float
    calls: int
    tokens: int
    calls_share: float
    structure: Mapping[str, Sequence[str]] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)

    def as_row(self, name: str) -> dict[str, object]:
        """Return a row of the table."""
        shown = (
            "dimensions",
            "rand",
            "invented",
            "unknown",
            "rand_classified",
            "sure",
            "calls",
            "tokens",
            "calls_share",
        )
        return {"run": name, **{one: getattr(self, one) for one in shown}}


def measure(
    draw: int, planted: Planted, structure: Structure, assigned: Sequence[Assignment], calls: int, tokens: int
) -> Figures:
    """Compare a structure, and what the model assigned, with what the captions say."""
    said = {one.item_id: told for one, told in zip(planted.captions, planted.said(), strict=True)}
    meant = {one.name: planted_dimension(one.attributes) for one in structure.dimensions}
    rand, classified, sure = dict.fromkeys(LEXICON, 0.0), [], []
    for name, planted_name in meant.items():
        own = [one for one in assigned if one.dimension == name]
        if planted_name and own:
            pairs = [(said[one.item_id].get(planted_name, UNKNOWN), one.attribute) for one in own]
            rand[planted_name] = max(rand[planted_name], _rand(pairs))
            score, share = _classified(planted, own, planted_name)
            classified += [score] if share else []
            sure.append(share)
    attributes = [(meant[one.name], name) for one in structure.dimensions for name in one.attributes]
    invented = [not (dimension and canonical(dimension, name)) for dimension, name in attributes]
    return Figures(
        draw,
        len(set(meant.values()) - {""}) / len(LEXICON),
        fmean(rand.values()),
        fmean(invented) if invented else 0.0,
        fmean(one.attribute == UNKNOWN for one in assigned) if assigned else 0.0,
        fmean(classified) if classified else 0.0,
        fmean(sure) if sure else 0.0,
        calls,
        tokens,
        calls / reference_calls(max(1, len(structure.dimensions)), len({one.item_id for one in assigned})),
        {one.name: list(one.attributes) for one in structure.dimensions},
    )


def _classified(planted: Planted, assigned: Sequence[Assignment], dimension: str) -> tuple[float, float]:
    """Let the classifier learn what was assigned; return how it does where it decides on the others, and how often."""
    known = {one.item_id: one.attribute for one in assigned}
    ids = [one.item_id for one in planted.captions]
    features = encoder_named(ENCODER).encode(pa.table({"item_id": ids, "text": [one.text for one in planted.captions]}))
    inside = np.array([one in known for one in ids])
    surrogate = fit_surrogate(features[inside], [known[one] for one in ids if one in known], bar=0.8)
    if surrogate is None or inside.all():
        return 0.0, 0.0
    names, confidence = surrogate.predict(features[~inside])
    decided = confidence >= surrogate.threshold
    said = [told.get(dimension, UNKNOWN) for told, own in zip(planted.said(), inside, strict=True) if not own]
    pairs = [(one, name) for one, name, yes in zip(said, names, decided, strict=True) if yes]
    return (_rand(pairs) if pairs else 0.0), float(decided.mean())


def _rand(pairs: Sequence[tuple[str, str]]) -> float:
    return float(adjusted_rand_score(*zip(*pairs, strict=True)))
