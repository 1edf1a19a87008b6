"""Watching from the command line: one line of data for every look that found something, until somebody stops it."""

from typing import TYPE_CHECKING

from curate.cli.invocation import Invocation
from curate.cli.output import emit, emit_json, flush_output
from curate.cli.reports import report_line
from curate.types import StepReport

if TYPE_CHECKING:
    from curate.settings import Settings


def watch_sources(invocation: Invocation, settings: "Settings | None") -> None:
    """Ingest what comes into the sources until a signal ends it."""
    from curate.console import close_progress
    from curate.flows.watch import Watch, check_watchable, keep_watching

    project, progress = invocation.project(settings), invocation.progress()
    check_watchable(project.settings)
    names = ", ".join(source.name for source in project.settings.source)
    invocation.narrate(f"watching {names} every {project.settings.watch.every:g} s; stop with Ctrl-C")

    def tell(report: StepReport) -> None:
        if report.done or report.rejected:
            emit_json(report) if invocation.as_json else emit(report_line(report))
            flush_output()
        for note in report.notes:
            progress.note(note)

    try:
        keep_watching(Watch(project, progress), project.settings.watch, tell)
    finally:
        close_progress(progress)
