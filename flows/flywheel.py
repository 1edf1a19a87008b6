"""The Prefect flow: the same list of steps as `curate run`, each a task. It passes handles, never data."""

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from curate.errors import PartlyDoneError
from curate.flows.project import Project
from curate.flows.sequence import run_step
from curate.flows.steps import STEPS, step_named
from curate.flows.steps.ingest import IngestStep
from curate.settings import load_settings
from curate.types import Progress, StepReport, total


class LoggedProgress:
    """Progress for a run without a terminal: beginnings and notes become log lines of the task."""

    def __init__(self) -> None:
        self._log = get_run_logger()

    def start(self, name: str, total: int | None = None) -> None:
        """Log what begins."""
        self._log.info("%s: %s to do", name, "unknown" if total is None else total)

    def advance(self, count: int = 1) -> None:
        """Say nothing: a log is no progress bar."""

    def note(self, message: str) -> None:
        """Log the note."""
        self._log.info(message)

    def finish(self, name: str) -> None:
        """Log what ended."""
        self._log.info("%s: done", name)


@task(cache_policy=NO_CACHE, persist_result=False)
def run_named(project_file: str, name: str) -> StepReport:
    """Run one step of the project; the ledger, not Prefect, knows what is done already."""
    path = Path(project_file)
    project = Project(path.resolve().parent, load_settings(path, {}), command=f"prefect flywheel {name}")
    project.parent_run = str(flow_run.id or "")
    progress: Progress = LoggedProgress()
    return run_step(project, step_named(name), progress)


@flow(name="flywheel", persist_result=False, validate_parameters=False)
def flywheel(project_file: str = "curate.toml", watched: bool = False) -> None:
    """Walk the loop once over what is new, and publish what each step did as an artifact.

    Where the sources are `watched`, whoever watches them ingests, and the walk begins behind that step.

    Rejected rows are a warning, for a stream is never clean; the table `rejects` has their reasons.

    Raises:
        PartlyDoneError: some items failed; the rest is committed.
    """
    steps = [step for step in STEPS if not (watched and step.name == IngestStep.name)]
    reports = [run_named.with_options(name=step.name)(project_file, step.name) for step in steps]
    create_table_artifact([_row(report) for report in reports], key="flywheel", description="What each step did")
    if rejected := total(reports, "rejected"):
        get_run_logger().warning("%s rows were rejected; see the table rejects", rejected)
    if failed := total(reports, "failed"):
        recorded = failed > total(reports, "unreached")
        hint = "curate sql 'FROM failures'" if recorded else "the next run tries again what could not be reached"
        raise PartlyDoneError(f"{failed} items failed; the rest is committed", hint=hint)


def _row(report: StepReport) -> dict[str, Any]:
    return {
        "step": report.step,
        "done": report.done,
        "skipped": report.skipped,
        "rejected": report.rejected,
        "failed": report.failed,
        "seconds": round(report.seconds, 2),
        "notes": "; ".join(report.notes),
    }
