"""Evaluation sets as the filter compares with them: their texts by file and line."""

from collections.abc import Sequence

from curate.errors import BadDataError
from curate.flows.project import Project
from curate.select.decontamination.runs import Evaluations
from curate.store.ingestion.files import list_files
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.read import read_file
from curate.store.ingestion.shapes import Parsed


def read_evaluations(project: Project, addresses: Sequence[str], column: str) -> tuple[Evaluations, list[str]]:
    """Return the texts of evaluation files and folders, each named `FILE#LINE`, and notes of what is unusable there.

    Raises:
        BadDataError: one is missing, or none holds a text.
    """
    texts: dict[str, str] = {}
    notes: list[str] = []
    for address in addresses:
        parts = _read(str(project.path(address)), address, column)
        found = [row for part in parts for row in part.records.select(["locator", "text"]).to_pylist()]
        if not found:
            raise _unusable(f"the evaluation set {address!r} holds no text in the column {column!r}")
        texts |= {row["locator"]: row["text"] for row in found}
        if rejects := [row for part in parts for row in part.rejects.to_pylist()]:
            notes.append(
                f"{len(rejects)} rows of the evaluation set {address!r} are unusable, first {rejects[0]['locator']}: "
                f"{rejects[0]['reason']}"
            )
    return Evaluations(texts), notes


def _read(place: str, address: str, column: str) -> list[Parsed]:
    mapping = Mapping(source="evaluations", modality="text", format="auto", text=column)
    try:
        files = list_files(place, mapping)
    except BadDataError as error:
        raise _unusable(f"the evaluation set {address!r} cannot be read: {error.message}") from error
    return [part for file in files for part in read_file(file, mapping)]


def _unusable(message: str) -> BadDataError:
    return BadDataError(
        message, unchanged="nothing was decided", hint="see evaluations and text in [filter.contamination]"
    )
