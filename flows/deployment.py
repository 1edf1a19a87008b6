"""Scheduling: the flow `flywheel` as a Prefect deployment, served by this process."""

from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from curate.errors import ConfigurationError, MissingExtraError, ServiceError
from curate.flows.prefect_server import prefect_server

LOG = "prefect-server.log"


def serve(project_file: Path, cron: str, store_folder: Path) -> None:
    """Run the project's flow on a cron schedule until the process is stopped.

    One run at a time: an overlapping one waits for its turn, and then finds little to do. Where PREFECT_API_URL names
    no server, one is started on loopback for as long as this lasts.

    Raises:
        MissingExtraError: Prefect is not installed.
        ConfigurationError: the schedule is no cron expression.
        ServiceError: Prefect's server cannot be reached or does not start.
    """
    if find_spec("prefect") is None:
        raise MissingExtraError("curate serve", "prefect")
    _check_cron(cron)
    with prefect_server(store_folder / LOG):
        from curate.flows.flywheel import flywheel

        try:
            parameters = {"project_file": str(project_file.resolve())}
            flywheel.serve(name=project_file.resolve().parent.name, cron=cron, parameters=parameters, limit=1)
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
