"""The watch beside a served flow: a thread that takes in what comes, and has Prefect start the loop when it is due."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from curate.flows.project import Project
from curate.flows.watch import Watch, keep_watching
from curate.settings import Settings, load_settings
from curate.types import Progress, StepReport

_LAST_LOOK_SECONDS = 10.0


@contextmanager
def watcher(project_file: Path, settings: Settings, deployment: str, progress: Progress) -> Iterator[None]:
    """Watch the project's sources for as long as the block lasts; what breaks the watch ends the block and is raised.

    Must be entered once Prefect's server has an address. `deployment` is the name under which the flow is served.
    """
    thread = _Watcher(project_file, settings, deployment, progress)
    thread.start()
    try:
        yield
    finally:
        thread.watch.stop.set()
        thread.join(_LAST_LOOK_SECONDS)
        if thread.error is not None:
            raise thread.error


class ServedLoop:
    """Starts the loop as a run of the deployment, one at a time; True says that Prefect has taken the order."""

    def __init__(self, deployment: str, progress: Progress) -> None:
        self._deployment = deployment
        self._progress = progress
        self._run_id: Any = None
        self._complained = False

    def __call__(self) -> bool:
        """Order a run, unless the last one has not ended or the server does not answer."""
        from prefect.deployments import run_deployment

        try:
            if self._run_id is not None and not self._has_ended():
                return False
            self._run_id = run_deployment(self._deployment, timeout=0, as_subflow=False).id  # type: ignore[union-attr]
        except Exception as error:  # whatever Prefect's client raises: the next look tries again
            self._complain(error)
            return False
        self._complained = False
        self._progress.note("the loop was started: enough has come in")
        return True

    def _has_ended(self) -> bool:
        from prefect.client.orchestration import get_client
        from prefect.exceptions import ObjectNotFound

        with get_client(sync_client=True) as client:
            try:
                state = client.read_flow_run(self._run_id).state
            except ObjectNotFound:
                return True
        return state is None or state.is_final()

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            self._progress.note(f"the loop could not be started yet, and will be tried again: {what}")
        self._complained = True


class _Watcher(Thread):
    def __init__(self, project_file: Path, settings: Settings, deployment: str, progress: Progress) -> None:
        super().__init__(name="curate-watch", daemon=True)
        self.error: Exception | None = None
        self._settings = settings
        self._progress = progress
        # As the flow does: the file and the environment, without the flags of this call.
        project = Project(
            project_file.resolve().parent, load_settings(project_file, {}), command="curate serve --watch"
        )
        self.watch = Watch(project, progress)
        self._start_loop = ServedLoop(deployment, progress)

    def run(self) -> None:
        try:
            keep_watching(self.watch, self._settings.watch, self._tell, self._start_loop)
        except Exception as error:  # to be raised where the process waits
            self.error = error
            os.kill(os.getpid(), signal.SIGTERM)

    def _tell(self, report: StepReport) -> None:
        if report.done or report.rejected:
            self._progress.note(f"{report.step}: {report.done:,} done, {report.rejected:,} rejected")
        for note in report.notes:
            self._progress.note(f"  {note}")
