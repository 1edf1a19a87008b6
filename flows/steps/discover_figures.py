"""What came of assigning items: coverage and abstention, and how far the classifiers agree with the model."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from curate.annotate.discovery.structure import Structure
from curate.annotate.discovery.surrogate import Surrogate
from curate.annotate.discovery.words import UNKNOWN
from curate.flows.project import Project
from curate.store.subpopulations import attribute_sizes, newest_structure
from curate.store.write import rows

SUBJECT = "discover "
_FORMULAS = {
    "agreement": "the classifier says what the model said / items assigned by the model, outside the fitted fold",
    "decided": "items of those above the confidence from which on it decides / all of them",
    "agreement where decided": "the same as agreement, of the items that it decides",
}


def agreement_rows(structure: Structure, surrogates: Mapping[str, Surrogate]) -> pa.Table:
    """Return how far each dimension's classifier agrees with the model, as rows of the table `metrics`."""
    told = [
        (dimension, name, value)
        for dimension, one in surrogates.items()
        for name, value in zip(_FORMULAS, (one.agreement, one.sure, one.sure_agreement), strict=True)
    ]
    columns = {
        "subject": f"{SUBJECT}{structure.name}",
        "checkpoint": structure.version,
        "snapshot": "",
        "number": 0,
        "name": [name for _, name, _ in told],
        "slice": [dimension for dimension, _, _ in told],
        "value": [value for _, _, value in told],
        "formula": [_FORMULAS[name] for _, name, _ in told],
    }
    return rows("metrics", columns, len(told))


def agreement_notes(surrogates: Mapping[str, Surrogate]) -> list[str]:
    """Say how far the classifiers agree with the model, and how much they decide."""
    return [
        f"{name}: outside what it learned from, the classifier agrees with the model on {one.agreement:.0%} of "
        f"{one.items} items; it decides {one.sure:.0%} of them, and agrees on {one.sure_agreement:.0%} of these"
        for name, one in surrogates.items()
    ]


def figures(project: Project) -> dict[str, Any]:
    """Return, for each dimension, how many items have one of its attributes, have none, and how they were assigned.

    Coverage is the share of assigned items with an attribute, abstention that of the others.
    """
    with project.reader() as reader:
        known = newest_structure(reader, project.settings.discover.name)
        if known is None:
            return {}
        structure = Structure.from_mapping(known)
        rows = attribute_sizes(reader, structure.name, structure.version)
    found: dict[str, Any] = {}
    for dimension in structure.dimensions:
        own = [row for row in rows if row["dimension"] == dimension.name]
        items = sum(row["items"] for row in own)
        unknown = sum(row["items"] for row in own if row["attribute"] == UNKNOWN)
        found[dimension.name] = {
            "items": items,
            "coverage": (items - unknown) / items if items else 0.0,
            "abstention": unknown / items if items else 0.0,
            "classified": sum(row["classified"] for row in own),
            "quoted": sum(row["quoted"] for row in own),
        }
    return found
