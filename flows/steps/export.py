"""The step `export`: write the newest number of every snapshot as a Hugging Face dataset folder."""

import time
from collections.abc import Iterator
from pathlib import Path

from curate.flows.project import Project
from curate.flows.steps.base import Plan, step_report
from curate.settings import SnapshotSettings
from curate.store.card import dataset_card
from curate.store.exports import ExportPlan, export_snapshot, is_exported, label_names
from curate.store.reader import Reader
from curate.store.snapshots import latest_snapshot, snapshot_row
from curate.types import Progress, StepReport


class ExportStep:
    """An export that lies there already, with the same content, is not written again."""

    name = "export"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the snapshots whose newest number has not been exported."""
        with project.reader() as reader:
            waiting = [plan.folder_name for plan in _waiting(project, reader)]
        return Plan(self.name, len(waiting), len(project.settings.snapshot) - len(waiting), notes=tuple(waiting))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Write what is missing, each export whole or not at all."""
        began = time.perf_counter()
        written: dict[str, str] = {}
        with project.reader() as reader:
            for plan in list(_waiting(project, reader)):
                folder = export_snapshot(reader, plan, export_folder(project))
                written[plan.folder_name] = shown_path(project, folder)
        return step_report(
            self.name, began, done=len(written), skipped=len(project.settings.snapshot) - len(written), details=written
        )


def export_folder(project: Project) -> Path:
    """Where the project's exports lie."""
    return project.path(project.settings.export.folder)


def shown_path(project: Project, path: Path) -> str:
    """Return a path as a person should read it: relative to the project where it lies inside."""
    inside = path.resolve().is_relative_to(project.folder.resolve())
    return path.resolve().relative_to(project.folder.resolve()).as_posix() if inside else path.as_posix()


def _waiting(project: Project, reader: Reader) -> Iterator[ExportPlan]:
    for settings in project.settings.snapshot:
        plan = _export_plan(project, reader, settings)
        if plan and not is_exported(export_folder(project), plan):
            yield plan


def _export_plan(project: Project, reader: Reader, settings: SnapshotSettings) -> ExportPlan | None:
    snapshot = latest_snapshot(reader, settings.name)
    if snapshot is None:
        return None
    attributes = {attribute.name: attribute.values for attribute in project.settings.protocol.attribute}
    classes = label_names(reader, snapshot, attributes.get(settings.label, ())) if settings.label else ()
    return ExportPlan(snapshot, snapshot_row(reader, snapshot).modality, classes, dataset_card(reader, snapshot))
