"""Assigning items to a structure: by the model on a sample, then by a classifier that asks the model where unsure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.annotate.discovery.analyst import Analyst
from curate.annotate.discovery.assignment import Assignment, assign_items, dimensions_of
from curate.annotate.discovery.parameters import DiscoveryParameters
from curate.annotate.discovery.questions import Caption
from curate.annotate.discovery.structure import Structure
from curate.annotate.discovery.surrogate import Surrogate, fit_surrogate
from curate.annotate.discovery.words import UNKNOWN
from curate.flows.project import Project, parameters_hash
from curate.flows.steps.annotators import protocol_rows
from curate.learners.encoders.factory import encoder_named
from curate.settings.discover import DISCOVER
from curate.store.reader import Reader
from curate.store.subpopulations import captions_of, memberships
from curate.store.write import LedgerKey, rows
from curate.types import Encoder

MODEL, CLASSIFIER, UNSURE = "model", "classifier", "model where the classifier was unsure"
_KINDS = {MODEL: "llm", UNSURE: "llm", CLASSIFIER: "learner"}


@dataclass(frozen=True, slots=True)
class Decided:
    """Assignments of a batch with the method of each item, and the items that could not be assigned."""

    assignments: Sequence[Assignment]
    methods: Mapping[str, str]
    failed: Sequence[str] = ()


def discover_ledger(name: str, version: str) -> LedgerKey:
    """Return the ledger's key of assigning items to one version of a structure."""
    return LedgerKey("discover", "1", parameters_hash([name, version]))


def read_captions(reader: Reader, project: Project, ids: Sequence[str]) -> list[Caption]:
    """Return texts and captions of items; those that have neither are left out."""
    settings = project.settings.discover
    found = captions_of(reader, ids, settings.of_class, settings.caption).to_pylist()
    return [Caption(row["item_id"], row["text"], row["of_class"]) for row in found]


def asked_of_model(
    captions: Sequence[Caption], structure: Structure, analyst: Analyst, parameters: DiscoveryParameters, method: str
) -> Decided:
    """Let the model assign items."""
    told = assign_items(captions, structure, analyst, parameters)
    return Decided(told.assignments, {one.item_id: method for one in captions}, told.failed)


def fit_surrogates(reader: Reader, project: Project, structure: Structure) -> dict[str, Surrogate]:
    """Fit a classifier for each dimension to what the model said of the sample; none where there is too little of it.

    What the model said where a classifier was unsure teaches nothing: those items are no random sample.
    """
    settings = project.settings.discover
    known = memberships(reader, structure.name, structure.version, [MODEL]).to_pylist()
    captions = read_captions(reader, project, sorted({row["item_id"] for row in known}))
    if not captions:
        return {}
    features = encode(encoder_named(settings.encoder, project.folder), captions)
    place = {caption.item_id: number for number, caption in enumerate(captions)}
    fitted = {}
    for dimension in structure.dimensions:
        own = [row for row in known if row["dimension"] == dimension.name and row["item_id"] in place]
        chosen = features[[place[row["item_id"]] for row in own]] if own else features[:0]
        surrogate = fit_surrogate(chosen, [row["attribute"] for row in own], settings.agreement, settings.seed)
        if surrogate is not None:
            fitted[dimension.name] = surrogate
    return fitted


def classified(
    captions: Sequence[Caption],
    structure: Structure,
    surrogates: Mapping[str, Surrogate],
    encoder: Encoder,
    analyst: Analyst,
    parameters: DiscoveryParameters,
) -> Decided:
    """Let the classifiers assign the items of which all are sure, and the model the others."""
    found: list[Assignment] = []
    methods: dict[str, str] = {}
    unsure = list(captions)
    if captions and surrogates:
        features = encode(encoder, captions)
        told = {name: one.predict(features) for name, one in surrogates.items()}
        unsure = []
        for number, caption in enumerate(captions):
            own = [one.name for one in dimensions_of(caption, structure)]
            if any(name not in told or told[name][1][number] < surrogates[name].threshold for name in own):
                unsure.append(caption)
                continue
            methods[caption.item_id] = CLASSIFIER
            found += [
                Assignment(caption.item_id, name, told[name][0][number], "", float(told[name][1][number]))
                for name in own
            ]
    asked = asked_of_model(unsure, structure, analyst, parameters, UNSURE)
    return Decided([*found, *asked.assignments], methods | dict(asked.methods), asked.failed)


def encode(encoder: Encoder, captions: Sequence[Caption]) -> NDArray[np.float32]:
    """Return the features of texts: float32 of shape (texts, dimension)."""
    ids, texts = [one.item_id for one in captions], [one.text for one in captions]
    return encoder.encode(pa.table({"item_id": ids, "text": pa.array(texts, pa.string())}))


def membership_tables(structure: Structure, captions: Sequence[Caption], decided: Decided) -> dict[str, pa.Table]:
    """Return what a batch's assignments add: memberships, and claims by which snapshots, `why` and people go.

    There is a claim `STRUCTURE.DIMENSION` for each attribute, and one called like the structure, whose value is the
    subpopulation. What is unknown is a membership, and no claim of its own.
    """
    classes = {caption.item_id: caption.of_class for caption in captions}
    by_item: dict[str, dict[str, str]] = {}
    for one in decided.assignments:
        by_item.setdefault(one.item_id, {})[one.dimension] = one.attribute
    claims = [
        (one.item_id, structure.question(one.dimension), one.attribute, one.confidence)
        for one in decided.assignments
        if one.attribute != UNKNOWN
    ]
    claims += [
        (item, structure.name, structure.subpopulation(classes[item], own), 1.0) for item, own in by_item.items()
    ]
    header = {"structure": structure.name, "version": structure.version}
    kept = decided.assignments
    columns = {name: [getattr(one, name) for one in kept] for name in ("item_id", "dimension", "attribute", "quote")}
    columns |= {"confidence": [one.confidence for one in kept], "method": [decided.methods[o.item_id] for o in kept]}
    return {
        "memberships": rows("memberships", columns | header, len(kept)),
        "annotations": _claims(structure, claims, decided.methods),
        "failures": _failures(decided.failed),
        **(protocol_rows(structure.protocol()) if structure.dimensions else {}),
    }


def _claims(
    structure: Structure, claims: Sequence[tuple[str, str, str, float]], methods: Mapping[str, str]
) -> pa.Table:
    items, attributes, values, confidences = zip(*claims, strict=True) if claims else ((), (), (), ())
    columns = {
        "item_id": list(items),
        "protocol": structure.name,
        "protocol_version": structure.version,
        "attribute": list(attributes),
        "value": list(values),
        "confidence": list(confidences),
        "annotator": DISCOVER,
        "annotator_kind": [_KINDS[methods[item]] for item in items],
        "annotator_version": structure.version,
    }
    return rows("annotations", columns, len(claims))


def _failures(failed: Sequence[str]) -> pa.Table:
    reason = "the model's answers were of no use"
    columns = {"item_id": list(failed), "step": "discover", "actor": DISCOVER, "reason": reason}
    return rows("failures", columns, len(failed))
