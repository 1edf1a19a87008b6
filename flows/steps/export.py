"""The step `export`: bring every snapshot's dataset folder to its newest number; on request send it to a hub."""

import time
from collections.abc import Iterator
from pathlib import Path

from curate.errors import ConfigurationError
from curate.flows.project import Project
from curate.flows.steps.base import Plan, step_report
from curate.store.exports.check import check_export, check_with_datasets
from curate.store.exports.hub import push_export
from curate.store.exports.manifest import read_export_manifest
from curate.store.exports.plan import ExportPlan
from curate.store.exports.write import export_snapshot, is_ahead, is_complete, missing_items
from curate.store.reader import Reader
from curate.store.snapshots import Numbered, list_snapshots, snapshot_row
from curate.types import Progress, StepReport

CHECKS = {"pyarrow": check_export, "datasets": check_with_datasets}


class ExportStep:
    """A folder that exists grows by each number since its last; a new one begins with the newest."""

    name = "export"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the numbers that have not been exported."""
        with project.reader() as reader:
            waiting = [f"{snapshot.snapshot} {snapshot.number}" for snapshot in _waiting(project, reader)]
            ahead = _ahead(project, reader)
        return Plan(self.name, len(waiting), _complete(project, waiting), notes=(*waiting, *ahead))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Write what is missing, each number whole or not at all."""
        began = time.perf_counter()
        written: dict[str, str] = {}
        check = CHECKS[project.settings.export.verify]
        with project.reader() as reader:
            for snapshot in _waiting(project, reader):
                plan = _export_plan(project, reader, snapshot)
                folder = export_snapshot(reader, plan, export_folder(project), check=check)
                written[f"{snapshot.snapshot} {snapshot.number}"] = shown_path(project, folder)
            notes = tuple(_ahead(project, reader))
        skipped = _complete(project, list(written))
        return step_report(self.name, began, done=len(written), skipped=skipped, notes=notes, details=written)


def push_exports(project: Project, progress: Progress) -> StepReport:
    """Send the folder of every snapshot to the hub that the environment names; what it has is not sent again.

    Raises:
        ConfigurationError: `[export] hub` names no owner, or there is no token.
        ServiceError: the hub cannot be reached.
    """
    began = time.perf_counter()
    settings = project.settings.export
    if not settings.hub:
        raise ConfigurationError("there is no owner on the hub to send to", hint='[export] hub = "your-name"')
    folders = [export_folder(project) / snapshot.name for snapshot in project.settings.snapshot]
    present = [folder for folder in folders if read_export_manifest(folder)]
    progress.start("push", len(present))
    sent: dict[str, str] = {}
    for folder in present:
        repository = f"{settings.hub}/{folder.name}"
        if push_export(folder, repository, private=settings.private):
            sent[folder.name] = repository
        progress.advance()
    progress.finish("push")
    return step_report("push", began, done=len(sent), skipped=len(present) - len(sent), details=sent)


def export_folder(project: Project) -> Path:
    """Where the project's exports lie."""
    return project.path(project.settings.export.folder)


def shown_path(project: Project, path: Path) -> str:
    """Return a path as a person should read it: relative to the project where it lies inside."""
    inside = path.resolve().is_relative_to(project.folder.resolve())
    return path.resolve().relative_to(project.folder.resolve()).as_posix() if inside else path.as_posix()


def _complete(project: Project, waiting: list[str]) -> int:
    """How many of the project's snapshots lie exported and have nothing to add."""
    names = {entry.rpartition(" ")[0] for entry in waiting}
    rest = [settings.name for settings in project.settings.snapshot if settings.name not in names]
    return sum(read_export_manifest(export_folder(project) / name) is not None for name in rest)


def _waiting(project: Project, reader: Reader) -> Iterator[Numbered]:
    """Yield the numbers to be exported, snapshot by snapshot, the oldest first."""
    for settings in project.settings.snapshot:
        numbered = list_snapshots(reader, settings.name)
        if not numbered:
            continue
        held = read_export_manifest(export_folder(project) / settings.name)
        after = held.newest.number if held else numbered[-1].number - 1
        # A number whose items have been erased since cannot be written any more: the next one stands for it.
        between = [found for found in numbered[:-1] if found.number > after and not missing_items(reader, found)]
        done = held is not None and is_complete(held, numbered[-1], _formats(project))
        yield from between if done else (*between, numbered[-1])


def _ahead(project: Project, reader: Reader) -> list[str]:
    """Say which folders hold later numbers than the store, which was restored: they wait until it has caught up."""
    notes = []
    for settings in project.settings.snapshot:
        numbered = list_snapshots(reader, settings.name)
        held = read_export_manifest(export_folder(project) / settings.name)
        if numbered and held and is_ahead(held, numbered[-1]):
            newest, folder = held.newest.number, shown_path(project, export_folder(project) / settings.name)
            notes.append(
                f"{folder} is ahead: it holds number {newest}, the snapshot {numbered[-1].number}; it was left"
            )
    return notes


def _export_plan(project: Project, reader: Reader, snapshot: Numbered) -> ExportPlan:
    asked = project.settings.protocol.attribute
    attributes = {attribute.name: attribute.values for attribute in asked if not attribute.multiple}
    row = snapshot_row(reader, snapshot)
    label = row.spec["label"]
    return ExportPlan(
        snapshot,
        row.modality,
        tuple(attributes.get(label, ())),
        _formats(project),
        project.settings.export.shard_megabytes * 10**6,
        frozenset(attribute.name for attribute in asked if attribute.multiple),
    )


def _formats(project: Project) -> tuple[str, ...]:
    return tuple(name for name in project.settings.export.formats if name != "parquet")
