"""The verb that fits adapters."""

import click

from curate.cli.invocation import Invocation
from curate.cli.reports import exit_code, narrate_next
from curate.cli.steps import run_named
from curate.cli.verb import WRITES, dry_run_option, pass_invocation, verb


@verb(
    "train",
    examples=["curate train --dry-run", "curate train", "curate train topics"],
    exits=WRITES,
)
@click.argument("adapter", default="")
@dry_run_option()
@pass_invocation
def train_verb(invocation: Invocation, adapter: str, dry_run: bool) -> int:
    """Fit adapters to the newest training sets.

    Each [[adapter]] names a snapshot, a base model on this machine, a task and a method (lora, dora, vera, …), which
    has a learning rate of its own. A fit that was stopped goes on where it was, and ends with the same weights. The
    table checkpoints has each adapter, the table metrics its loss by step. A new one is served where the promotion
    gate finds it no worse than the served one: see curate promote adapter:NAME.
    """
    settings = invocation.load()[0].settings
    if adapter:
        from curate.settings.adapting import named_adapter

        settings = settings.model_copy(update={"adapter": (named_adapter(settings, adapter),)})
    report = run_named(invocation, "train", dry_run=dry_run, settings=settings)
    if report is None:
        return 0
    narrate_next(invocation, [report])
    return exit_code([report])
