"""Scheduling: the flow `flywheel` as a Prefect deployment, served by this process."""

from pathlib import Path

from curate.errors import ConfigurationError, MissingExtraError


def serve(project_file: Path, cron: str) -> None:
    """Run the project's flow on a cron schedule until the process is stopped.

    One run at a time: an overlapping one waits for its turn, and then finds little to do.

    Raises:
        MissingExtraError: Prefect is not installed.
        ConfigurationError: the schedule is no cron expression.
    """
    try:
        from prefect.client.schemas.schedules import CronSchedule

        from curate.flows.flywheel import flywheel
    except ImportError as error:
        raise MissingExtraError("curate serve", "prefect") from error
    try:
        CronSchedule(cron=cron)
    except ValueError as error:
        raise ConfigurationError(
            f"{cron!r} is no cron expression", hint="for instance '*/10 * * * *': every ten minutes"
        ) from error
    name = project_file.resolve().parent.name
    flywheel.serve(name=name, cron=cron, parameters={"project_file": str(project_file.resolve())}, limit=1)
