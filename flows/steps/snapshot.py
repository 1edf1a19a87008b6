"""The step `snapshot`: freeze every `[[snapshot]]` of the project whose content has changed."""

import time
from collections.abc import Mapping

from curate.flows.project import Project
from curate.flows.steps.base import Plan, step_report
from curate.settings import SnapshotSettings
from curate.store.snapshots import Draft, Numbered, SnapshotSpec, draft_snapshot, latest_snapshot, snapshot_write, spec_hash
from curate.types import Progress, StepReport


class SnapshotStep:
    """Equal content is never numbered twice."""

    name = "snapshot"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the snapshots that would get a new number."""
        changed = [draft for settings in project.settings.snapshot if (draft := _changed(project, settings))]
        notes = tuple(f"{draft.spec.name}: {len(draft.items)} items" for draft, _ in changed)
        return Plan(self.name, len(changed), len(project.settings.snapshot) - len(changed), notes=notes)

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Draft each snapshot and commit those that differ from their newest number."""
        began = time.perf_counter()
        details: dict[str, Mapping[str, int]] = {}
        notes = []
        for settings in project.settings.snapshot:
            changed = _changed(project, settings)
            if changed is None:
                continue
            draft, before = changed
            if not len(draft.items):
                notes.append(f"snapshot {settings.name!r} would be empty: {dict(draft.funnel)}")
                continue
            number = before + 1
            if project.store.commit(snapshot_write(draft, number, before)).stale:
                notes.append(f"snapshot {settings.name!r}: another run numbered it meanwhile")
                continue
            details[f"{settings.name} {number}"] = draft.funnel
        return step_report(
            self.name,
            began,
            done=len(details),
            skipped=len(project.settings.snapshot) - len(details),
            notes=tuple(notes),
            details=details,
        )


def snapshot_spec(settings: SnapshotSettings) -> SnapshotSpec:
    """Turn a `[[snapshot]]` section into the store's spec."""
    return SnapshotSpec(
        name=settings.name,
        modality=settings.modality,
        sources=tuple(settings.sources),
        order_by=settings.order_by,
        limit=settings.limit,
        label=settings.label,
        annotators=tuple(settings.annotators),
        splits=dict(settings.splits),
    )


def _changed(project: Project, settings: SnapshotSettings) -> tuple[Draft, int] | None:
    with project.reader() as reader:
        draft = draft_snapshot(reader, snapshot_spec(settings))
        latest = latest_snapshot(reader, settings.name)
    if latest is None:
        return draft, 0
    return None if _same(draft, latest) else (draft, latest.number)


def _same(draft: Draft, latest: Numbered) -> bool:
    return draft.content_hash == latest.content_hash and spec_hash(draft.spec) == latest.spec_hash
