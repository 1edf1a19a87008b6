"""The verbs `gate`, `calibrate` and `consensus`: how far annotators are right, sure, and of one mind."""

from typing import TYPE_CHECKING

import click

from curate.cli.invocation import Invocation
from curate.cli.output import emit_json, emit_lines
from curate.cli.reports import exit_code, narrate_next, show_plans
from curate.cli.steps import carry_out_work, run_named, show_report
from curate.cli.verb import WRITES, dry_run_option, pass_invocation, setting_option, verb
from curate.console import table_lines
from curate.errors import ConfigurationError

if TYPE_CHECKING:
    from curate.flows.steps.gate_plan import Need

_COLUMNS = ("attribute", "annotator", "audits", "right", "accuracy", "at accuracy", "audits needed")


def _run(invocation: Invocation, name: str, dry_run: bool) -> int:
    report = run_named(invocation, name, dry_run=dry_run)
    if report is None:
        return 0
    narrate_next(invocation, [report])
    return exit_code([report])


@verb(
    "gate", examples=["curate gate --plan", "curate gate --dry-run", "curate gate", "curate gate --now"], exits=WRITES
)
@setting_option("--bar", "gate.bar", metavar="SHARE", help="The accuracy that annotators must show.")
@setting_option("--answers", "gate.answers", metavar="N", help="Ask so many questions in a round.")
@click.option("--plan", is_flag=True, help="Say how many audits it takes to decide, and write nothing.")
@click.option("--now", is_flag=True, help="Do not wait for the answers that are missing in this round.")
@dry_run_option()
@pass_invocation
def gate_verb(invocation: Invocation, /, plan: bool, now: bool, dry_run: bool) -> int:
    """Judge annotators by audits, and queue questions for people.

    Audits are items drawn at random that people answer without seeing a proposal and that train nothing. An attribute
    passes when the lower bound of an annotator's accuracy clears the bar. Each call is one turn: the audits of the last
    round are looked at, and a new round goes to the labelling page. [gate] switches it on; the table gates has the
    verdicts, queue the questions.
    """
    from curate.flows.steps.gate import GateStep, is_on

    project = invocation.project()
    if plan:
        if not is_on(project):
            raise ConfigurationError("the gate is off, or the protocol asks nothing", hint="enabled = true in [gate]")
        from curate.flows.steps.gate_plan import audits_to_decide

        _show(invocation, audits_to_decide(project))
        return 0
    if dry_run:
        show_plans(invocation, [GateStep().plan(project, invocation.progress())])
        return 0
    report = carry_out_work(
        invocation, project, "gate", lambda project, progress: GateStep().run(project, progress, now=now)
    )
    show_report(invocation, report)
    narrate_next(invocation, [report])
    return exit_code([report])


@verb("consensus", examples=["curate consensus --dry-run", "curate consensus --method majority"], exits=WRITES)
@setting_option(
    "--method", "consensus.method", metavar="NAME", help="bayesian, crowdlab, dawid-skene, majority or none."
)
@setting_option("--model", "consensus.model", metavar="NAME", help="An annotator whose confidences are probabilities.")
@dry_run_option()
@pass_invocation
def consensus_verb(invocation: Invocation, dry_run: bool) -> int:
    """Draw one value with a posterior from what several annotators claim.

    Every question that at least two annotators have answered gets a row for each item in the table consensus; a
    snapshot whose annotators begin with "consensus" takes its labels from there.
    """
    return _run(invocation, "consensus", dry_run)


@verb("calibrate", examples=["curate calibrate --dry-run", "curate calibrate --method isotonic"], exits=WRITES)
@setting_option("--method", "calibration.method", metavar="NAME", help="temperature, isotonic or none.")
@dry_run_option()
@pass_invocation
def calibrate_verb(invocation: Invocation, dry_run: bool) -> int:
    """Compare annotators' confidences with people's answers.

    For each annotator with probabilities, and each attribute: how far its confidence is from how often it is right
    (expected calibration error) before and after a map that is fitted to people's answers about items that trained
    nothing, and the least confidence from which on its claims clear the gate's bar. They are rows of the table metrics.
    """
    return _run(invocation, "calibrate", dry_run)


def _show(invocation: Invocation, needs: "list[Need]") -> None:
    if invocation.as_json:
        for need in needs:
            emit_json(need)
        return
    rows = [
        (
            need.attribute,
            need.annotator or "any",
            need.audited,
            need.right,
            f"{need.accuracy:.1%}" if need.audited else "",
            f"{need.supposed:.0%}",
            "no number" if need.needed is None else f"{need.needed:,}",
        )
        for need in needs
    ]
    emit_lines(table_lines(_COLUMNS, rows))
    invocation.narrate("nothing was written; audits needed are for a chance of 80 % to pass at the next look")
