"""Run events in the words of OpenLineage 2.0.2 (openlineage.io/spec): plain dictionaries, ready for JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

import pyarrow as pa

from curate.flows.project import installed_version

EventType = Literal["START", "COMPLETE", "FAIL", "ABORT"]
Facets = Mapping[str, Mapping[str, Any]]
_EVENT_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_RUNS = uuid5(NAMESPACE_URL, "curate:runs")
# The version of each facet's own schema.
_VERSIONS = {
    "DatasetVersionDatasetFacet": "1-0-1",
    "ErrorMessageRunFacet": "1-0-1",
    "InputStatisticsInputDatasetFacet": "1-0-0",
    "JobTypeJobFacet": "2-0-4",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "ParentRunFacet": "1-2-0",
    "ProcessingEngineRunFacet": "1-1-1",
    "SchemaDatasetFacet": "1-2-0",
    "SymlinksDatasetFacet": "1-0-1",
    "TagsRunFacet": "1-0-0",
}


@dataclass(frozen=True, slots=True)
class Dataset:
    """Something that a step reads or writes, by OpenLineage's naming: a data source and a name in it.

    `statistics` are `rowCount`, `size` in bytes and `fileCount` of what this run read or wrote, as far as known.
    `symlink` are namespace and name of where it lies, where it is named by something else.
    """

    namespace: str
    name: str
    version: str = ""
    schema: pa.Schema | None = None
    statistics: Mapping[str, int] = field(default_factory=dict)
    symlink: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class StepRun:
    """One execution of a step, as OpenLineage knows it: its job, its id, and the run that it is a part of."""

    namespace: str
    project: str
    step: str
    store_run: str
    execution: int
    parent: str = ""

    @property
    def run_id(self) -> str:
        """The id of this execution: a function of the store's run id, the step and its number in that run."""
        return str(uuid5(run_uuid(self.store_run), f"{self.step}/{self.execution}"))

    @property
    def parent_id(self) -> str:
        """The id of what called the step: Prefect's flow run, or the whole run of the command."""
        return self.parent or str(run_uuid(self.store_run))


def run_uuid(store_run: str) -> UUID:
    """Return the UUID that stands for a `run_id` of the store.

    >>> run_uuid("20261125T224230-5e3793b1")
    UUID('83335eb7-f931-5a2b-ae4d-5c813f554b8f')
    """
    return uuid5(_RUNS, store_run)


def run_event(
    kind: EventType,
    run: StepRun,
    when: datetime,
    *,
    inputs: Iterable[Dataset] = (),
    outputs: Iterable[Dataset] = (),
    error: str = "",
    figures: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Build one event; `figures` become tags of the run, beside the store's own run id."""
    return {
        "eventType": kind,
        "eventTime": when.isoformat(),
        "producer": _producer(),
        "schemaURL": _EVENT_SCHEMA,
        "run": {"runId": run.run_id, "facets": _run_facets(run, error, figures or {})},
        "job": {
            "namespace": run.namespace,
            "name": f"{run.project}.{run.step}",
            "facets": {
                "jobType": _facet("JobTypeJobFacet", processingType="BATCH", integration="CURATE", jobType="STEP")
            },
        },
        "inputs": [_input(dataset) for dataset in inputs],
        "outputs": [_output(dataset) for dataset in outputs],
    }


def _run_facets(run: StepRun, error: str, figures: Mapping[str, int]) -> Facets:
    tags = {"run_id": run.store_run, **{name: str(value) for name, value in figures.items()}}
    facets = {
        "parent": _facet(
            "ParentRunFacet",
            run={"runId": run.parent_id},
            job={"namespace": run.namespace, "name": run.project},
        ),
        "processing_engine": _facet("ProcessingEngineRunFacet", version=installed_version(), name="curate"),
        "tags": _facet(
            "TagsRunFacet", tags=[{"key": key, "value": value, "source": "curate"} for key, value in tags.items()]
        ),
    }
    if error:
        facets["errorMessage"] = _facet("ErrorMessageRunFacet", message=error, programmingLanguage="PYTHON")
    return facets


def _input(dataset: Dataset) -> dict[str, Any]:
    statistics = _statistics("inputStatistics", "InputStatisticsInputDatasetFacet", dataset)
    return {**_named(dataset), "inputFacets": statistics}


def _output(dataset: Dataset) -> dict[str, Any]:
    statistics = _statistics("outputStatistics", "OutputStatisticsOutputDatasetFacet", dataset)
    return {**_named(dataset), "outputFacets": statistics}


def _statistics(name: str, facet: str, dataset: Dataset) -> Facets:
    return {name: _facet(facet, **dataset.statistics)} if dataset.statistics else {}


def _named(dataset: Dataset) -> dict[str, Any]:
    facets = {}
    if dataset.version:
        facets["version"] = _facet("DatasetVersionDatasetFacet", datasetVersion=dataset.version)
    if dataset.schema is not None:
        facets["schema"] = _facet("SchemaDatasetFacet", fields=_fields(dataset.schema))
    if dataset.symlink is not None:
        namespace, name = dataset.symlink
        identifiers = [{"namespace": namespace, "name": name, "type": "LOCATION"}]
        facets["symlinks"] = _facet("SymlinksDatasetFacet", identifiers=identifiers)
    return {"namespace": dataset.namespace, "name": dataset.name, "facets": facets}


def _fields(schema: pa.Schema) -> Sequence[Mapping[str, Any]]:
    return [
        {"name": column.name, "type": str(column.type), "ordinal_position": position}
        for position, column in enumerate(schema, start=1)
    ]


def _facet(name: str, /, **fields: Any) -> dict[str, Any]:
    schema = f"https://openlineage.io/spec/facets/{_VERSIONS[name]}/{name}.json#/$defs/{name}"
    return {"_producer": _producer(), "_schemaURL": schema, **fields}


def _producer() -> str:
    return f"pkg:pypi/curate@{installed_version()}"
