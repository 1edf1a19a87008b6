"""The verbs that walk all steps: `run` once, `serve` on a schedule."""

import sys
from typing import TYPE_CHECKING

import click

from curate.cli.invocation import Invocation
from curate.cli.output import emit, emit_json
from curate.cli.reports import exit_code, narrate_report, show_plans, summarise
from curate.cli.verb import WRITES, dry_run_option, pass_invocation, setting_option, verb
from curate.errors import UsageError
from curate.types import Progress, SilentProgress, StepReport

if TYPE_CHECKING:
    from curate.flows.project import Project
    from curate.flows.steps.base import Plan, Step
    from curate.settings import Settings


class _Narrated:
    """A step that tells a person what it did as soon as it has done it."""

    def __init__(self, step: "Step", invocation: Invocation) -> None:
        self.name = step.name
        self._step = step
        self._invocation = invocation

    def plan(self, project: "Project", progress: Progress) -> "Plan":
        return self._step.plan(project, progress)

    def run(self, project: "Project", progress: Progress) -> StepReport:
        report = self._step.run(project, progress)
        narrate_report(self._invocation, report)
        return report


@verb("run", examples=["curate run", "curate run --dry-run", "curate run --json"], exits=(4, 5, 6, 7))
@dry_run_option()
@pass_invocation
def run_verb(invocation: Invocation, dry_run: bool) -> int:
    """Walk all steps once over what is new.

    A second run on the same input does nothing and says so. A run that was stopped goes on where it stood.
    With --dry-run, each step's plan counts what is there now, without what the steps before it would bring.
    """
    from curate.console import close_progress
    from curate.flows.sequence import run_sequence
    from curate.flows.steps import STEPS

    project, progress = invocation.project(), invocation.progress()
    try:
        if dry_run:
            show_plans(invocation, [step.plan(project, progress) for step in STEPS])
            invocation.narrate("each step counts what is there now, without what the steps before it would bring")
            return 0
        reports = run_sequence(project, progress, [_Narrated(step, invocation) for step in STEPS])
    finally:
        close_progress(progress)
    summarise(invocation, reports)
    return exit_code(reports)


@verb(
    "serve",
    examples=[
        "curate serve",
        "curate serve --cron '0 * * * *'",
        "curate serve --watch --cron ''",
        "curate serve --dry-run",
    ],
    exits=WRITES,
)
@setting_option("--cron", "schedule.cron", metavar="EXPRESSION", help="When: minute, hour, day, month, weekday.")
@click.option("--watch", is_flag=True, help="Watch the sources too, and start when enough has come in.")
@dry_run_option()
@pass_invocation
def serve_verb(invocation: Invocation, watch: bool, dry_run: bool) -> None:
    """Walk all steps on a schedule, in this process (needs Prefect).

    With --watch, or [watch] enabled, what comes into the sources is taken in as it comes, and the steps behind ingest
    run when [watch] items have come in or [watch] after seconds have passed; an empty schedule leaves it at that.
    """
    from curate.console import LineProgress
    from curate.flows.deployment import check_occasions, serve

    file = invocation.find_project_file()
    if file is None:
        raise UsageError("a schedule needs a project, and --store alone is none", hint="curate init")
    if "store" in invocation.overrides:
        raise UsageError(
            "--store does not reach the runs that a schedule starts", hint="CURATE_STORE=… curate serve, or curate.toml"
        )
    if watch:
        invocation.overrides["watch.enabled"] = "true"
    loaded, folder = invocation.load()
    if dry_run:
        check_occasions(loaded.settings)
        plan = {"project": str(file), "schedule": loaded.settings.schedule.cron, "watch": loaded.settings.watch.enabled}
        if invocation.as_json:
            emit_json(plan)
        else:
            emit(f"would serve {file} {_occasions(loaded.settings)}")
        return
    invocation.narrate(f"serving {file} {_occasions(loaded.settings)}; stop with Ctrl-C")
    # Lines even on a terminal: Prefect writes there as well.
    progress = SilentProgress() if invocation.quiet else LineProgress(sys.stderr)
    serve(file, loaded.settings, invocation.store_folder or folder, progress)


def _occasions(settings: "Settings") -> str:
    cron, watch = settings.schedule.cron, settings.watch
    watched = f"whenever {watch.items:,} items have come in or {watch.after:g} s after the first"
    return " and ".join([f"at {cron!r}"] * bool(cron or not watch.enabled) + [watched] * watch.enabled)
