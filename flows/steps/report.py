"""The step `report`: one offline HTML file about the store as of its last commit."""

import json
import time
from pathlib import Path

from curate.flows.project import Project, installed_version
from curate.flows.steps.base import Plan, step_report
from curate.flows.steps.report_acquire import acquire_summaries
from curate.flows.steps.report_consensus import consensus_summaries
from curate.flows.steps.report_gate import calibration_summaries, gate_summaries
from curate.flows.steps.report_learners import learner_summaries
from curate.flows.steps.report_selection import alignments, funnels, snapshot_summaries
from curate.flows.steps.report_subpopulations import structure_summaries
from curate.report.data import (
    Agreement,
    Arrival,
    CommitRow,
    Export,
    LabelCount,
    Objection,
    Reject,
    ReportData,
    RequestTotal,
    SnapshotSummary,
)
from curate.report.render import render
from curate.settings.discover import DISCOVER
from curate.store import summaries
from curate.store.exports.manifest import read_export_manifest
from curate.store.manifest import replace_file
from curate.store.reader import Reader
from curate.types import Progress, StepReport

_OBJECTIONS = 40
"""How many lines of what the filter's rules object to are shown."""


class ReportStep:
    """Equal stores give equal reports, so an unchanged one is not written again."""

    name = "report"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Say whether the report would change."""
        changed = _content(project) != _present(report_path(project))
        return Plan(self.name, int(changed), int(not changed))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Collect, render and replace the file."""
        began = time.perf_counter()
        path = report_path(project)
        content = _content(project)
        if content == _present(path):
            return step_report(self.name, began, skipped=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
        return step_report(self.name, began, done=1, details={"path": project.settings.report.path})


def report_path(project: Project) -> Path:
    """Where the project's report lies."""
    return project.path(project.settings.report.path)


def collect(project: Project, reader: Reader) -> ReportData:
    """Read everything that the report shows. Memory: one row for each scored item of a ranked snapshot."""
    listed = snapshot_summaries(reader)
    return ReportData(
        project=project.folder.resolve().name,
        commit_number=reader.commit_number,
        committed_at=reader.committed_at,
        version=installed_version(),
        funnels=funnels(reader, listed),
        objections=tuple(Objection(**row) for row in summaries.objections(reader, _OBJECTIONS)),
        arrivals=_arrivals(reader),
        rejects=tuple(
            Reject(row["reason"], row["rejects"], tuple(zip(row["locators"], row["details"], strict=True)))
            for row in summaries.rejects(reader)
        ),
        alignments=alignments(reader, listed),
        labels=tuple(
            LabelCount(row["attribute"], row["annotator"], row["value"], row["items"], row["confidence"])
            for row in summaries.labels(reader)
            if row["annotator"] != DISCOVER
        ),
        agreements=tuple(Agreement(**row) for row in summaries.agreements(reader)),
        consensus=consensus_summaries(reader),
        acquired=acquire_summaries(reader),
        gates=gate_summaries(reader),
        calibrations=calibration_summaries(reader),
        structures=structure_summaries(reader),
        requests=tuple(RequestTotal(**row) for row in summaries.requests(reader)),
        snapshots=listed,
        exports=_exports(project, listed),
        learners=learner_summaries(reader),
        commits=_commits(reader),
    )


def _content(project: Project) -> bytes:
    with project.reader() as reader:
        return render(collect(project, reader)).encode()


def _present(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _arrivals(reader: Reader) -> tuple[Arrival, ...]:
    rejected = {row["source"]: row["rejects"] for row in summaries.rejects_by_source(reader)}
    arrived = [Arrival(**row, rejects=rejected.pop(row["source"], 0)) for row in summaries.arrivals(reader)]
    return (*arrived, *(Arrival(source, "", 0, 0, count) for source, count in sorted(rejected.items())))


def _exports(project: Project, listed: tuple[SnapshotSummary, ...]) -> tuple[Export, ...]:
    folder = Path(project.settings.export.folder)
    paths = {snapshot.name: folder / snapshot.name for snapshot in listed}
    found = {name: read_export_manifest(project.path(str(path))) for name, path in paths.items()}
    return tuple(
        Export(name, manifest.newest.number, paths[name].as_posix()) for name, manifest in found.items() if manifest
    )


def _commits(reader: Reader) -> tuple[CommitRow, ...]:

    return tuple(
        CommitRow(row["commit_number"], row["step"], sum(json.loads(row["rows"]).values()), row["seconds"])
        for row in summaries.commits(reader)
    )
