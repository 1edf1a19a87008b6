"""The verb `discover`: subpopulations, and the structure that a person edits."""

import click

from curate.cli.invocation import Invocation
from curate.cli.reports import exit_code
from curate.cli.steps import carry_out
from curate.cli.verb import dry_run_option, pass_invocation, setting_option, verb


@verb(
    "discover",
    examples=["curate discover --dry-run", "curate discover", "curate discover --edit"],
    exits=(4, 5, 6, 7),
)
@setting_option("--of-class", "discover.of_class", metavar="ATTRIBUTE", help="The attribute that is an item's class.")
@setting_option("--sample", "discover.sample", metavar="N", help="Discover in so many items.")
@setting_option("--assigned", "discover.assigned", metavar="N", help="Let the model assign so many items, 0 for all.")
@click.option("--edit", is_flag=True, help="Read the structure's file back before anything else.")
@dry_run_option()
@pass_invocation
def discover_verb(invocation: Invocation, /, edit: bool, dry_run: bool) -> int:
    """Find the subpopulations that the items have, and who belongs to which.

    A language model finds the dimensions in which items differ and the attributes of each; the table dimensions has the
    structure, memberships has who has what, with the words that show it. The structure is written to a TOML file: edit,
    merge, rename, lock or pin there, and --edit reads it back; what was only renamed or merged is not asked again.
    Snapshots take quotas on the attribute that is called like the structure. With --dry-run it prints the most calls
    and tokens that it may take.
    """
    from curate.flows.steps.discover import DiscoverStep

    settings = invocation.load()[0].settings
    discover = settings.discover.model_copy(update={"enabled": True})
    step = DiscoverStep(edit=edit)
    report = carry_out(invocation, step, dry_run=dry_run, settings=settings.model_copy(update={"discover": discover}))
    return exit_code([report]) if report else 0
