"""What the report shows of subpopulations: the tree, each one's size and examples, and how models err on it."""

from typing import Any

from curate.annotate.discovery.structure import Structure
from curate.flows.steps.discover_figures import SUBJECT as DISCOVER
from curate.flows.steps.slices import SUBJECT
from curate.report.structures import AttributeShare, DimensionSummary, SliceError, StructureSummary, Subpopulation
from curate.store import summaries
from curate.store.reader import Reader
from curate.store.subpopulations import attribute_sizes, newest_structure, structure_names, subpopulation_sizes

_SHOWN = 40


def structure_summaries(reader: Reader) -> tuple[StructureSummary, ...]:
    """Return every structure as it is now, its largest subpopulations and those with the most errors."""
    metrics = [row for row in summaries.metrics(reader) if row["subject"].startswith((SUBJECT, DISCOVER))]
    return tuple(_summary(reader, name, metrics) for name in structure_names(reader))


def _summary(reader: Reader, name: str, metrics: list[dict[str, Any]]) -> StructureSummary:
    structure = Structure.from_mapping(newest_structure(reader, name) or {"name": name})
    version = structure.version
    sizes = attribute_sizes(reader, name, version)
    errors = _errors([row for row in metrics if row["subject"].startswith(f"{SUBJECT}{name}/{version} of ")])
    own = [row for row in metrics if (row["subject"], row["checkpoint"]) == (f"{DISCOVER}{name}", version)]
    groups = subpopulation_sizes(reader, name, version)
    found = [
        Subpopulation(one["subpopulation"], one["items"], tuple(one["examples"]), errors.get(one["subpopulation"], ()))
        for one in groups
    ]
    alone = sorted(errors.keys() - {one.name for one in found})
    found += [Subpopulation(one, 0, (), errors[one]) for one in alone]
    found.sort(key=lambda one: (not any(error.confirmed for error in one.errors), -one.items, one.name))
    return StructureSummary(
        name,
        version,
        tuple(_dimension(one.name, sizes, _agreement(own, one.name)) for one in structure.dimensions),
        tuple(found[:_SHOWN]),
        len(groups),
    )


def _agreement(metrics: list[dict[str, Any]], dimension: str) -> tuple[float, float, float] | None:
    found = {row["name"]: row["value"] for row in metrics if row["slice"] == dimension}
    if len(found) < 3:
        return None
    return found["agreement"], found["decided"], found["agreement where decided"]


def _dimension(
    name: str, sizes: list[dict[str, Any]], agreement: tuple[float, float, float] | None
) -> DimensionSummary:
    own = [row for row in sizes if row["dimension"] == name]
    return DimensionSummary(
        name,
        tuple(AttributeShare(row["attribute"], row["items"], row["classified"], row["quote"] or "") for row in own),
        agreement,
    )


def _errors(metrics: list[dict[str, Any]]) -> dict[str, tuple[SliceError, ...]]:
    """Return the errors on each subpopulation by learner: the newest, and the one before it for the trend."""
    measured: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
    for row in metrics:
        learner = row["subject"].partition(" of ")[2]
        measured.setdefault((row["slice"], learner), {}).setdefault(row["number"], {})[row["name"]] = row["value"]
    found: dict[str, list[SliceError]] = {}
    for (name, learner), by_number in sorted(measured.items()):
        numbers = sorted(by_number)
        last = by_number[numbers[-1]]
        before = by_number[numbers[-2]]["error"] if len(numbers) > 1 else None
        found.setdefault(name, []).append(
            SliceError(
                learner, last["error"], last["error low"], last["error high"], before, confirmed=bool(last["confirmed"])
            )
        )
    return {name: tuple(errors) for name, errors in found.items()}
