"""The verb `snapshot` and those below it: freeze training sets, list them, tell two numbers of one apart."""

from dataclasses import asdict

import click

from curate.cli.invocation import Invocation
from curate.cli.look import as_of
from curate.cli.output import emit_json, emit_lines
from curate.cli.reports import exit_code
from curate.cli.steps import carry_out
from curate.cli.verb import WRITES, Verb, dry_run_option, pass_invocation, verb_group
from curate.console import table_lines


@verb_group(
    "snapshot",
    examples=[
        "curate snapshot",
        "curate snapshot --dry-run",
        "curate snapshot --name notes --as-of 57",
        "curate snapshot --as-of 2026-11-23T08:30+01:00",
        "curate snapshot list",
        "curate snapshot diff notes 1 2 --json",
    ],
    exits=WRITES,
)
@click.option("--name", "names", multiple=True, metavar="NAME", help="Look at this snapshot only; may be repeated.")
@click.option("--as-of", "moment", default="", metavar="MOMENT", help="Build from the store as it was at MOMENT.")
@click.option("--now", is_flag=True, help="Do not wait for so many changes as the settings say.")
@dry_run_option()
@click.pass_context
def snapshot_verb(
    context: click.Context, /, names: tuple[str, ...], moment: str, now: bool, dry_run: bool
) -> int | None:
    """Freeze the training sets whose content has changed, or look at frozen ones.

    MOMENT is a commit's number or a time (ISO 8601, in UTC unless it says otherwise): items, claims, scores and
    decisions count up to the last commit at or before it. What was ever held out to evaluate is not trained on,
    whatever the moment.
    """
    if context.invoked_subcommand:
        return None
    from curate.flows.steps.snapshot import SnapshotStep

    invocation = context.ensure_object(Invocation)
    report = carry_out(invocation, SnapshotStep(moment, names, now=now), dry_run=dry_run)
    return exit_code([report]) if report else 0


@snapshot_verb.command("list", cls=Verb, examples=["curate snapshot list", "curate snapshot list notes"], exits=(4,))
@click.argument("name", default="")
@pass_invocation
def list_verb(invocation: Invocation, name: str) -> None:
    """List the frozen training sets: number, size, and the commit that each shows."""
    from curate.store.reader import Reader
    from curate.store.snapshots import snapshot_overview

    with Reader(invocation.existing_store()) as reader:
        found = snapshot_overview(reader, name)
        state = as_of(reader.commit_number, reader.committed_at)
    if invocation.as_json:
        for row in found:
            emit_json(row)
    elif found:
        shown = [[row[column] for column in found[0]] for row in found]
        emit_lines(table_lines([column.replace("_", " ") for column in found[0]], shown))
    invocation.narrate(state)


@snapshot_verb.command(
    "diff", cls=Verb, examples=["curate snapshot diff notes 1 2", "curate snapshot diff notes 1 2 --json"], exits=(4,)
)
@click.argument("name")
@click.argument("first", type=int)
@click.argument("second", type=int)
@pass_invocation
def diff_verb(invocation: Invocation, name: str, first: int, second: int) -> None:
    """Count what came, what went and what changed its label or split from one number to another.

    With --json: one line for each such item, with its label and split before and after.
    """
    from curate.store.reader import Reader
    from curate.store.snapshots import count_differences, differing_items, find_snapshot

    with Reader(invocation.existing_store()) as reader:
        pair = find_snapshot(reader, name, first), find_snapshot(reader, name, second)
        if invocation.as_json:
            for batch in differing_items(reader, *pair):
                for row in batch.to_pylist():
                    emit_json(row)
            return
        emit_lines(table_lines(("items", "count"), asdict(count_differences(reader, *pair)).items()))
