"""What a person makes of a structure: the file that is written for them, and what is read back from it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.annotate.discovery.assignment import Assignment
from curate.annotate.discovery.questions import Caption
from curate.annotate.discovery.structure import Structure, translation
from curate.annotate.discovery.structure_file import read_structure, write_structure
from curate.annotate.discovery.words import UNKNOWN
from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps.discover_assign import Decided, discover_ledger, membership_tables, read_captions
from curate.store.manifest import replace_file
from curate.store.reader import Reader
from curate.store.subpopulations import memberships, newest_structure, structure_rows
from curate.store.write import Write

Names = dict[str, tuple[str, Mapping[str, str]]]
"""By an old dimension, its new name and what its attributes are called now."""


def structure_file(project: Project) -> Path:
    """Where the structure's file lies."""
    return project.path(project.settings.discover.structure)


def keep_file(project: Project, found: Structure, before: Structure | None) -> list[str]:
    """Write a structure for a person to edit; a file with edits that were not read back stays as it is."""
    file = structure_file(project)
    if file.exists() and not (before and _holds(file, before)):
        file = file.with_name(f"{file.stem}.new{file.suffix}")
        note = f"{structure_file(project).name} holds edits that were not read; the new structure is in {file.name}"
    else:
        note = f"the structure is in {file.name}: edit it, then type: curate discover --edit"
    replace_file(file, write_structure(found).encode())
    return [note]


def adopt(project: Project) -> list[str]:
    """Read the structure's file back and make it the structure that counts; return what came of it.

    Items whose assignments read the same under the new names keep them; the others are asked about again. Where there
    is no file, it is written.

    Raises:
        ConfigurationError: the file cannot be used, or is another structure's.
    """
    name = project.settings.discover.name
    with project.reader() as reader:
        known = newest_structure(reader, name)
    before = Structure.from_mapping(known) if known else None
    file = structure_file(project)
    if not file.exists():
        return keep_file(project, before, before) if before else ["nothing was discovered yet"]
    after = read_structure(file.read_text(encoding="utf-8"))
    if after.name != name:
        raise ConfigurationError(
            f"{file.name} is the structure {after.name!r}, and [discover] names {name!r}",
            unchanged="the structure stayed as it was",
            hint=f"write name = {name!r} in {file.name}, or in [discover]",
        )
    if not after.dimensions:
        raise ConfigurationError(
            f"{file.name} has no [[dimension]]",
            unchanged="the structure stayed as it was",
            hint=f"delete {file.name} to have it written anew, or set enabled = false in [discover]",
        )
    if before is not None and after == before:
        return [f"{file.name} says what is known already"]
    project.store.commit(Write("discover", {"dimensions": structure_rows(after.as_mapping(), after.version)}))
    kept = _carry(project, before, after) if before and before.version != after.version else 0
    return [f"{file.name} was read: {len(after.dimensions)} dimensions", f"{kept:,} items keep their assignments"]


def _carry(project: Project, before: Structure, after: Structure) -> int:
    """Copy the memberships that read the same under the new names; return of how many items."""
    names = _names(before, after)
    if names is None:
        return 0
    with project.reader() as reader:
        decided, captions = _kept(reader, project, before, after, names)
    ids = [caption.item_id for caption in captions]
    ledger = discover_ledger(after.name, after.version)
    project.store.commit(Write("discover", membership_tables(after, captions, decided), (), ledger, ids))
    return len(ids)


def _names(before: Structure, after: Structure) -> Names | None:
    """Return what is called how now; None where a dimension is new, or asks for something that the old one did not."""
    found: Names = {}
    for new in after.dimensions:
        pairs = [(old, names) for old in before.dimensions if (names := translation(old, new)) is not None]
        if not pairs and new.attributes:
            return None
        found |= {old.name: (new.name, names) for old, names in pairs[:1]}
    return found if before.of_class == after.of_class else None


def _kept(
    reader: Reader, project: Project, before: Structure, after: Structure, names: Names
) -> tuple[Decided, list[Caption]]:
    by_item: dict[str, list[dict[str, Any]]] = {}
    for row in memberships(reader, before.name, before.version).to_pylist():
        by_item.setdefault(row["item_id"], []).append(row)
    whole = {item: told for item, told in by_item.items() if _reads(told, names)}
    captions = [one for one in read_captions(reader, project, sorted(whole)) if one.item_id in whole]
    found: list[Assignment] = []
    for caption in captions:
        own = {one.name for one in after.dimensions if one.applies_to(caption.of_class)}
        found += [one for one in _renamed(whole[caption.item_id], names) if one.dimension in own]
    methods = {item: told[0]["method"] for item, told in whole.items()}
    return Decided(found, methods), captions


def _reads(told: Sequence[Mapping[str, Any]], names: Names) -> bool:
    """Whether every attribute that an item has is one under the new names, too."""
    return all(
        row["attribute"] == UNKNOWN or row["attribute"] in names[row["dimension"]][1]
        for row in told
        if row["dimension"] in names
    )


def _renamed(told: Sequence[Mapping[str, Any]], names: Names) -> list[Assignment]:
    return [
        Assignment(
            row["item_id"],
            names[row["dimension"]][0],
            names[row["dimension"]][1].get(row["attribute"], UNKNOWN),
            row["quote"],
            row["confidence"],
        )
        for row in told
        if row["dimension"] in names
    ]


def _holds(file: Path, structure: Structure) -> bool:
    try:
        return read_structure(file.read_text(encoding="utf-8")) == structure
    except (ConfigurationError, UnicodeDecodeError):
        return False
