"""What discovery finds wanting: a file of acquisition requests, for whoever gathers more data."""

import json

from curate.annotate.discovery.requests import AcquisitionRequest, Cell, acquisition_requests
from curate.annotate.discovery.structure import Structure
from curate.flows.project import Project
from curate.store.manifest import replace_file
from curate.store.reader import Reader
from curate.store.subpopulations import cell_sizes, newest_structure

_NAMED = 3


def requests_of(reader: Reader, project: Project) -> tuple[Structure, list[AcquisitionRequest]] | None:
    """Return the newest structure and its gaps; None where none are asked for, or nothing was discovered."""
    settings = project.settings.discover
    known = newest_structure(reader, settings.name) if settings.wanted else None
    if known is None:
        return None
    structure = Structure.from_mapping(known)
    rows = cell_sizes(reader, structure.name, structure.version, classed=bool(structure.of_class))
    cells: list[Cell] = [(row["of_class"], row["dimension"], row["attribute"]) for row in rows]
    sizes = {cell: int(row["items"]) for cell, row in zip(cells, rows, strict=True)}
    quotes = {cell: tuple(row["quotes"]) for cell, row in zip(cells, rows, strict=True)}
    return structure, acquisition_requests(structure, sizes, quotes, settings.wanted)


def write_requests(project: Project) -> list[str]:
    """Write the requests, one JSON object a line, where they changed; return what to tell of them."""
    with project.reader() as reader:
        found = requests_of(reader, project)
    if found is None:
        return []
    structure, requests = found
    wanted, file = project.settings.discover.wanted, project.path(project.settings.discover.requests)
    lines = [json.dumps(one.as_mapping(structure, wanted), ensure_ascii=False) + "\n" for one in requests]
    content = "".join(lines).encode()
    if not file.exists() or file.read_bytes() != content:
        replace_file(file, content)
    return [_told(requests, wanted, file.name)]


def _told(requests: list[AcquisitionRequest], wanted: int, file: str) -> str:
    if not requests:
        return f"every class has {wanted:,} items with each attribute"
    worst = ", ".join(f"{one.name} ({one.items:,} of {wanted:,})" for one in requests[:_NAMED])
    return f"{len(requests):,} gaps, {sum(one.missing for one in requests):,} items wanted: {worst}; all are in {file}"
