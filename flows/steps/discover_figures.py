"""What came of assigning items: coverage and abstention, and how far the classifiers agree with the model."""

from typing import Any

from curate.annotate.discovery.structure import Structure
from curate.annotate.discovery.words import UNKNOWN
from curate.flows.project import Project
from curate.store.subpopulations import attribute_sizes, newest_structure


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
