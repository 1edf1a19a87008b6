"""The verbs beside `learn`: which checkpoint of a learner is served, and what learners forget."""

import click

from curate.cli.invocation import Invocation
from curate.cli.steps import carry_out_work, show_report
from curate.cli.verb import WRITES, dry_run_option, pass_invocation, verb


@verb(
    "promote",
    examples=["curate promote topics --dry-run", "curate promote topics", "curate promote topics 3f9a"],
    exits=WRITES,
)
@click.argument("learner")
@click.argument("checkpoint", default="")
@dry_run_option()
@pass_invocation
def promote_verb(invocation: Invocation, learner: str, checkpoint: str, dry_run: bool) -> None:
    """Serve a learner's newest checkpoint, or a named one, whatever the gate says of it.

    The served checkpoint is the one that annotates. `curate learn` promotes a new one by itself where it is no worse on
    what [learner.promotion] guards; otherwise it is kept, and this verb serves it all the same. Table of all turns:
    promotions.
    """
    from curate.flows.steps.promoting import promote

    invocation.existing_store()
    show_report(
        invocation,
        carry_out_work(
            invocation,
            invocation.project(),
            "promote",
            lambda project, progress: promote(project, progress, learner, checkpoint, dry=dry_run),
        ),
    )
    _say_dry(invocation, dry_run)


@verb(
    "rollback",
    examples=["curate rollback topics --dry-run", "curate rollback topics", "curate rollback topics --to 3f9a"],
    exits=WRITES,
)
@click.argument("learner")
@click.option("--to", default="", metavar="CHECKPOINT", help="Go back to this one: the beginning of its name will do.")
@dry_run_option()
@pass_invocation
def rollback_verb(invocation: Invocation, learner: str, to: str, dry_run: bool) -> None:
    """Serve the checkpoint again that a learner served before.

    Learning goes on from the newest checkpoint, and the gate compares what comes of it with what is served now. A
    forgetting is not undone without --to.
    """
    from curate.flows.steps.promoting import roll_back

    invocation.existing_store()
    show_report(
        invocation,
        carry_out_work(
            invocation,
            invocation.project(),
            "rollback",
            lambda project, progress: roll_back(project, progress, learner, to, dry=dry_run),
        ),
    )
    _say_dry(invocation, dry_run)


@verb(
    "forget",
    examples=[
        "curate forget --where \"label = 'spam'\" --dry-run",
        "curate forget --where \"entity = 'user17/profile'\"",
        "curate forget --where \"label = 'spam'\" --exact",
        "curate forget --where \"source = 'old'\" --learner topics --json",
    ],
    exits=WRITES,
)
@click.option("--where", required=True, metavar="SQL", help="The items: a condition over items, origins and label.")
@click.option("--learner", "learners", multiple=True, metavar="NAME", help="This learner only; may be repeated.")
@click.option("--exact", is_flag=True, help="Let bottlenecks learn all other items again, from codes: others stay.")
@dry_run_option()
@pass_invocation
def forget_verb(invocation: Invocation, where: str, learners: tuple[str, ...], exact: bool, dry_run: bool) -> None:
    """Take the influence of items out of key-value learners, and measure what is left of it.

    The values that the items have written are emptied, or solved anew without them, and what comes of it is served at
    once. It tells the accuracy on the forgotten items, on test items of their classes and on others, before and after.
    Keys, encoder and older checkpoints stay as they were. Forget before you erase: an erased item has no codes.
    """
    from curate.flows.steps.forgetting import forget

    invocation.existing_store()
    project = invocation.project()
    project.command = "curate forget"  # the condition may name a person, and the record of runs keeps the command
    show_report(
        invocation,
        carry_out_work(
            invocation,
            project,
            "forget",
            lambda project, progress: forget(project, progress, where, learners, exact=exact, dry=dry_run),
        ),
    )
    _say_dry(invocation, dry_run)


def _say_dry(invocation: Invocation, dry_run: bool) -> None:
    if dry_run:
        invocation.narrate("nothing was written")
