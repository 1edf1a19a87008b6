"""The verb `label`: the labelling page, and taking in what people answered there or in Label Studio."""

import os
from pathlib import Path

import click

from curate.cli.invocation import Invocation
from curate.cli.output import emit, emit_json, flush_output
from curate.cli.reports import exit_code, ingest_exit_code, narrate_next, show_plans
from curate.cli.steps import carry_out_work, run_named, show_report
from curate.cli.verb import WRITES, dry_run_option, pass_invocation, setting_option, verb
from curate.errors import UsageError


@verb(
    "label",
    examples=[
        "curate label",
        "curate label --port 0 --people 2",
        "CURATE_LABEL_TOKEN=… curate label --host 0.0.0.0",
        "curate label --take-in",
        "curate label --import answers.json --dry-run",
    ],
    exits=WRITES,
)
@setting_option("--host", "label.host", metavar="ADDRESS", help="Listen there; on others than loopback with a token.")
@setting_option("--port", "label.port", metavar="PORT", help="Listen at this port; 0 takes any free one.")
@setting_option("--people", "label.people", metavar="N", help="Let so many people answer each question.")
@setting_option("--budget", "label.budget", metavar="N", help="Take no more answers than that; 0 takes any number.")
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
    """Serve the labelling page, or take in people's answers.

    The page never waits for the store and never writes to it: answers lie in an inbox, on disk at once, until --take-in
    or the next curate run. With --dry-run, say what waits there. --import takes in Label Studio's export instead.

    Answers become annotations of the kind human, so a snapshot trusts them first. What cannot be used is in the table
    rejects with its reason. Tasks for Label Studio come from: [export] formats = ["label-studio"]. Who labels from
    another machine needs the token of the address: CURATE_LABEL_TOKEN, or a new one each time.
    """
    if file is not None and take_in:
        raise UsageError("--import and --take-in are two different places to take answers from")
    if file is not None:
        return _import(invocation, file, dry_run)
    if not take_in and not dry_run:
        return _serve(invocation)
    report = run_named(invocation, "label", dry_run=dry_run)
    if report is None:
        return 0
    narrate_next(invocation, [report])
    return exit_code([report])


def _serve(invocation: Invocation) -> int:
    from curate.flows.labelling import Addresses, serve_page

    def ready(addresses: Addresses) -> None:
        if invocation.as_json:
            emit_json({"page": addresses.page, "owner": addresses.owner})
        else:
            emit(addresses.page)
        flush_output()
        invocation.narrate(f"agreement, for the owner of the data: {addresses.owner}\nstop with Ctrl-C")

    token, owner_token = (os.environ.get(f"CURATE_LABEL_{name}", "") for name in ("TOKEN", "OWNER_TOKEN"))
    serve_page(invocation.project(), token, owner_token, ready)
    return 0


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
