"""Telling of a step while it runs: START before, then COMPLETE, FAIL or ABORT; never at the step's expense."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from curate.errors import CurateError, InterruptedRunError
from curate.flows.lineage.datasets import found_inputs, found_outputs, known_inputs
from curate.flows.lineage.events import EventType, StepRun, run_event
from curate.flows.project import Project
from curate.types import Progress, StepReport

_FIGURES = ("done", "skipped", "rejected", "failed")


def with_lineage(
    project: Project, progress: Progress, step: str, work: Callable[[], StepReport], *, idle: bool = True
) -> StepReport:
    """Do the work of a step, and tell the outlets of the settings of it; without outlets, just do the work.

    With `idle` false, nothing is told of work that brought nothing: a watch looks every few seconds.

    Cost: where there are outlets, a look at the store before and after, and each outlet's time up to its time-out.
    """
    if not project.outlets:
        return work()
    told = _Told(project, progress, step)
    told.begin(send=idle)
    try:
        report = work()
    except BaseException as error:
        told.end_badly(error)
        raise
    if idle or report.done or report.rejected:
        told.complete(report)
    return report


class _Told:
    """The events of one execution of a step."""

    def __init__(self, project: Project, progress: Progress, step: str) -> None:
        self._project = project
        self._progress = progress
        self._step = step
        project.executions += 1
        self._run = StepRun(
            project.settings.lineage.namespace,
            project.folder.resolve().name,
            step,
            project.run_id,
            project.executions,
            project.parent_run,
        )
        self._after = 0
        self._waiting: list[Mapping[str, Any]] = []

    def begin(self, *, send: bool) -> None:
        """Tell of the beginning now, or with the end."""

        def start() -> None:
            with self._project.reader() as reader:
                self._after = reader.commit_number
                inputs = known_inputs(self._project, reader, self._step, self._after)
            self._waiting = [self._event("START", inputs=inputs)]
            if send:
                self._send()

        self._guarded(start)

    def complete(self, report: StepReport) -> None:
        figures = {name: getattr(report, name) for name in _FIGURES}
        self._guarded(lambda: self._end("COMPLETE", report, figures=figures))

    def end_badly(self, error: BaseException) -> None:
        stopped = isinstance(error, KeyboardInterrupt | InterruptedRunError)
        message = error.message if isinstance(error, CurateError) else f"{type(error).__name__}: {error}"
        self._guarded(lambda: self._end("ABORT" if stopped else "FAIL", None, error=message))

    def _end(self, kind: EventType, report: StepReport | None, **more: Any) -> None:
        with self._project.reader() as reader:
            given = (self._project, reader, self._step, report, self._after)
            event = self._event(kind, inputs=found_inputs(*given), outputs=found_outputs(*given), **more)
        self._waiting.append(event)
        self._send()

    def _event(self, kind: EventType, **more: Any) -> dict[str, Any]:
        return run_event(kind, self._run, datetime.now(UTC), **more)

    def _send(self) -> None:
        for event in self._waiting:
            self._project.outlets.send(event, self._progress.note)
        self._waiting = []

    def _guarded(self, tell: Callable[[], None]) -> None:
        """Whatever is wrong with the telling, the step goes on."""
        try:
            tell()
        except Exception as error:  # any fault in the telling, which is beside the point, costs a note only
            self._progress.note(f"lineage of {self._step}: {type(error).__name__}: {error}")
