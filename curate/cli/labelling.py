"""The verb `label`: people's answers, from the labelling page's inbox or from a Label Studio export."""

from pathlib import Path

import click

from curate.cli.invocation import Invocation
from curate.cli.reports import exit_code, ingest_exit_code, narrate_next, show_plans
from curate.cli.steps import carry_out_work, run_named, show_report
from curate.cli.verb import WRITES, dry_run_option, pass_invocation, verb
from curate.errors import UsageError


@verb(
    "label",
    examples=[
        "curate label --take-in",
        "curate label --import answers.json",
        "curate label --import answers.json --dry-run",
    ],
    exits=WRITES,
)
@click.option("--take-in", is_flag=True, help="Take in the answers that wait in the inbox; curate run does so too.")
@click.option(
    "--import",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take in Label Studio's export in the format JSON.",
)
@dry_run_option()
@pass_invocation
def label_verb(invocation: Invocation, /, file: Path | None, take_in: bool, dry_run: bool) -> int:
    """Take in people's answers, from the inbox or from a Label Studio export.

    Answers become annotations of the kind human, so a snapshot trusts them first. What cannot be used is in the table
    rejects with its reason. Tasks for Label Studio come from: [export] formats = ["label-studio"].
    """
    if file is not None and take_in:
        raise UsageError("--import and --take-in are two different places to take answers from")
    if file is not None:
        return _import(invocation, file, dry_run)
    report = run_named(invocation, "label", dry_run=dry_run)
    if report is None:
        return 0
    narrate_next(invocation, [report])
    return exit_code([report])


def _import(invocation: Invocation, file: Path, dry_run: bool) -> int:
    from curate.flows.steps.answers import import_answers, plan_answers

    project = invocation.project()
    if dry_run:
        show_plans(invocation, [plan_answers(project, file)])
        return 0
    report = carry_out_work(
        invocation, project, "label", lambda project, progress: import_answers(project, file, progress)
    )
    show_report(invocation, report)
    narrate_next(invocation, [report])
    return ingest_exit_code(report)
