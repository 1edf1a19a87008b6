"""Scheduling: the flow `flywheel` as a Prefect deployment, served by this process on a schedule, or by a watch."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from importlib.util import find_spec
from multiprocessing import active_children
from pathlib import Path

from curate.errors import ConfigurationError, MissingExtraError, ServiceError
from curate.flows.prefect_server import prefect_server
from curate.flows.watch import check_watchable
from curate.flows.watcher import watcher
from curate.settings import Settings
from curate.types import Progress

LOG = "prefect-server.log"
RUN_END_SECONDS = 20.0


def serve(project_file: Path, settings: Settings, store_folder: Path, progress: Progress) -> None:
    """Run the project's flow on its schedule, and when a watch of its sources has found enough, until stopped.

    One run at a time: an overlapping one waits for its turn, and then finds little to do. Where PREFECT_API_URL names
    no server, one is started on loopback for as long as this lasts. While the sources are watched, the watcher takes
    in what comes, and the flow begins behind it: it would not know which files are still being written.

    Raises:
        MissingExtraError: Prefect is not installed.
        ConfigurationError: the schedule is no cron expression, or a source cannot be watched.
        ServiceError: Prefect's server cannot be reached or does not start.
        CurateError: the watcher met a broken store.
    """
    check_occasions(settings)
    cron, watched = settings.schedule.cron, settings.watch.enabled
    name = project_file.resolve().parent.name
    with (
        prefect_server(store_folder / LOG),
        watcher(project_file, settings, f"flywheel/{name}", progress) if watched else nullcontext(),
        runs_ended(),
    ):
        _serve(project_file, name, cron, watched=watched)


def check_occasions(settings: Settings) -> None:
    """Look whether this machine and these settings can serve; starts nothing.

    Raises:
        MissingExtraError: Prefect is not installed.
        ConfigurationError: the schedule is no cron expression, or a source cannot be watched.
    """
    if find_spec("prefect") is None:
        raise MissingExtraError("curate serve", "prefect")
    if settings.schedule.cron or not settings.watch.enabled:
        _check_cron(settings.schedule.cron)
    if settings.watch.enabled:
        check_watchable(settings)


@contextmanager
def runs_ended() -> Iterator[None]:
    """End the runs that go on when the block ends: they would outlive it, asking a server that is gone, and hold it up.

    Like any killed run, they leave the store as their last commit left it.
    """
    try:
        yield
    finally:
        runs = active_children()
        for run in runs:
            run.terminate()
        for run in runs:
            run.join(RUN_END_SECONDS)
            run.kill()


def _serve(project_file: Path, name: str, cron: str, *, watched: bool) -> None:
    from curate.flows.flywheel import flywheel

    parameters = {"project_file": str(project_file.resolve()), "watched": watched}
    try:
        flywheel.serve(name=name, cron=cron or None, parameters=parameters, limit=1)
    except (RuntimeError, OSError) as error:
        raise ServiceError(
            f"Prefect's server is not to be had: {error}",
            unchanged="the store",
            hint="try again, or set PREFECT_API_URL to a server that runs",
        ) from error


def _check_cron(cron: str) -> None:
    # Prefect's own check would import Prefect before its server's address is known.
    from cronsim import CronSim, CronSimError

    try:
        CronSim(cron, datetime.now(UTC))
    except CronSimError as error:
        raise ConfigurationError(
            f"{cron!r} is no cron expression", hint="for instance '*/10 * * * *': every ten minutes"
        ) from error
