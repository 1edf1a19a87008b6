"""How plans and step reports are shown, and which exit code they mean."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.cli.invocation import Invocation
from curate.cli.output import emit, emit_json, emit_lines
from curate.console import table_lines
from curate.types import StepReport, total

if TYPE_CHECKING:
    from curate.flows.steps.base import Plan

_COLUMNS = ("step", "to do", "already done", "calls", "tokens", "cost")


def show_plans(invocation: Invocation, plans: Sequence["Plan"]) -> None:
    """Print what steps would do: data on standard output, their notes beside it."""
    if invocation.as_json:
        for plan in plans:
            emit_json(plan)
        return
    rows = [(plan.step, plan.to_do, plan.already_done, plan.calls, plan.tokens, plan.cost) for plan in plans]
    emit_lines(table_lines(_COLUMNS, rows))
    for plan in plans:
        for note in plan.notes:
            invocation.narrate(f"{plan.step}: {note}")
    invocation.narrate("nothing was written")


def narrate_report(invocation: Invocation, report: StepReport) -> None:
    """Tell a person in one line what a step did, with its notes below."""
    invocation.narrate(report_line(report))
    for note in report.notes:
        invocation.narrate(f"  {note}")


def report_line(report: StepReport) -> str:
    """Say in one line what a step did.

    >>> report_line(StepReport("ingest", done=3, rejected=1, seconds=0.25))
    'ingest: 3 done, 1 rejected (0.2 s)'
    >>> report_line(StepReport("dedup", skipped=3))
    'dedup: nothing to do, 3 already there'
    """
    figures = [("done", report.done), ("rejected", report.rejected), ("failed", report.failed)]
    parts = [f"{count:,} {name}" for name, count in figures if count] or ["nothing to do"]
    if report.skipped:
        parts.append(f"{report.skipped:,} already there")
    seconds = "" if report.idle else f" ({report.seconds:.1f} s)"
    return f"{report.step}: {', '.join(parts)}{seconds}"


def summarise(invocation: Invocation, reports: Sequence[StepReport]) -> None:
    """Print the result of a walk: one line for a person, one object a step for a program."""
    if invocation.as_json:
        for report in reports:
            emit_json(report)
    elif all(report.idle for report in reports):
        emit(f"nothing to do: {len(reports)} steps looked, and nothing is new")
    else:
        busy = sum(not report.idle for report in reports)
        rejected, failed = total(reports, "rejected"), total(reports, "failed")
        seconds = sum(report.seconds for report in reports)
        emit(f"{busy} of {len(reports)} steps had work: {rejected:,} rejected, {failed:,} failed, {seconds:.1f} s")
        narrate_next(invocation, reports)


def narrate_next(invocation: Invocation, reports: Sequence[StepReport]) -> None:
    """Tell a person where to look for what was rejected or failed, if anything was."""
    unreached = total(reports, "unreached")
    counts = {"rejects": total(reports, "rejected"), "failures": total(reports, "failed") - unreached}
    actions = [f"curate sql 'FROM {table}'" for table, count in counts.items() if count]
    actions += ["run again when what could not be reached is there"] if unreached else []
    if actions:
        invocation.narrate("next: " + " and ".join(actions))


def exit_code(reports: Sequence[StepReport]) -> int:
    """Return 6 when the spending ceiling stopped a step, 7 when items failed or were rejected, else 0.

    >>> exit_code([StepReport("ingest", done=3, rejected=1)])
    7
    """
    if any(report.spent for report in reports):
        return 6
    return 7 if total(reports, "rejected") or total(reports, "failed") else 0


def ingest_exit_code(report: StepReport) -> int:
    """Return 4 when all that came was rejected, 7 when a part was, else 0.

    >>> [ingest_exit_code(StepReport("ingest", done=done, rejected=1)) for done in (0, 1)]
    [4, 7]
    """
    accepted = report.done or report.skipped
    return 4 if report.rejected and not accepted else exit_code([report])
