"""The group of all verbs: it knows their names and one-line purposes, and imports a verb's module when it is called."""

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from curate import __version__
from curate.cli.failure import end_with, listen_for_signals
from curate.cli.invocation import Invocation
from curate.cli.output import flush_output
from curate.cli.verb import common_options

# verb: (module, what it does); a test holds the text equal to the first line of the verb's own help
VERBS = {
    "init": ("begin", "Write a commented curate.toml and a small working example."),
    "demo": ("begin", "Walk the whole loop over real data of this machine, offline, and open the report."),
    "ingest": ("steps", "Take in what is new in the sources, or a path as a source for this call."),
    "dedup": ("steps", "Find texts that say the same and drop all but one."),
    "filter": ("steps", "Look for personal data, secrets and poor quality, and decide what becomes of them."),
    "filter-scores": ("steps", "Decide about items whose scores lie out of bounds."),
    "embed": ("steps", "Keep the features that frozen encoders give new items."),
    "align": ("steps", "Score every new text by its alignment to the target."),
    "annotate": ("steps", "Let the annotators answer the protocol's questions about new items."),
    "fuse": ("steps", "Order the best texts by alignment anew, by relevance and coverage."),
    "mix": ("steps", "Order items for several targets at once, by turns."),
    "consensus": ("gate", "Draw one value with a posterior from what several annotators claim."),
    "label": ("labelling", "Serve the labelling page, or take in people's answers."),
    "acquire": ("steps", "Watch the stream of items, and ask people where an answer teaches most."),
    "gate": ("gate", "Judge annotators by audits, and queue questions for people."),
    "calibrate": ("gate", "Compare annotators' confidences with people's answers."),
    "discover": ("discover", "Find the subpopulations that the items have, and who belongs to which."),
    "snapshot": ("snapshots", "Freeze the training sets whose content has changed, or look at frozen ones."),
    "compare": ("steps", "Put selections by alignment beside what the baselines would have chosen."),
    "export": ("steps", "Write the newest training sets as Parquet with a card."),
    "learn": ("steps", "Let the learners consume what is new in their snapshots."),
    "train": ("training", "Fit adapters to the newest training sets."),
    "promote": ("learning", "Serve a learner's newest checkpoint, or a named one, whatever the gate says of it."),
    "rollback": ("learning", "Serve the checkpoint again that a learner served before."),
    "forget": ("learning", "Take the influence of items out of key-value learners, and measure what is left of it."),
    "models": ("models", "List what was learned and fitted, or take an adapter out of the store."),
    "report": ("steps", "Write the report: one HTML file that needs no network."),
    "run": ("walk", "Walk all steps once over what is new."),
    "serve": ("walk", "Walk all steps on a schedule, in this process (needs Prefect)."),
    "status": ("look", "Show what the store holds, how old it is and who writes to it; never waits."),
    "why": ("look", "Explain one item: where it came from, who said what, why it is in or out."),
    "sql": ("query", "Ask the published snapshot a question in SQL; nothing can be changed."),
    "config": ("diagnose", "Print every setting with where its value comes from."),
    "doctor": ("diagnose", "Check installation, project and store."),
    "gc": ("care", "Free what nothing needs any more, and merge small segments."),
    "backup": ("care", "Copy the whole store while writers work, or put such a copy back."),
    "store": ("care", "Move a store between the embedded file and DuckLake."),
    "erase": ("care", "Erase items for good, and keep them from coming back."),
}
_EPILOG = """\b
Standard output is data, standard error is narration. Every verb has --help with examples and exit codes.
Settings come from flags, then CURATE_… variables, then curate.toml; `curate config` shows which.

\b
Completion, to be put into the shell's start-up file:
  bash: eval "$(_CURATE_COMPLETE=bash_source curate)"
  zsh:  eval "$(_CURATE_COMPLETE=zsh_source curate)"
  fish: _CURATE_COMPLETE=fish_source curate | source"""


class Application(click.Group):
    """A group whose verbs are imported on demand; an unknown verb is answered with the nearest known one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the walk."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return the verb."""
        if cmd_name not in VERBS:
            return None
        module = import_module(f"curate.cli.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_verb")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which is nearest."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            raise click.UsageError(f"no verb {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""), ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> int:
        """Call the verb and return the exit code; whatever goes wrong becomes a message."""
        invocation = ctx.ensure_object(Invocation)
        try:
            code = super().invoke(ctx) or 0
            flush_output()
        except (click.exceptions.Exit, click.ClickException, SystemExit):
            raise
        except BaseException as error:
            return end_with(error, invocation)
        return int(code)


def _version_option() -> click.Option:
    def show(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value:
            click.echo(f"curate {__version__}")
            context.exit()

    return click.Option(
        ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=show, help="Print the version."
    )


application = Application(
    "curate",
    help="Turn a stream of raw items into versioned training sets, and into models that keep learning from them.",
    epilog=_EPILOG,
    params=[*common_options(), _version_option()],
    subcommand_metavar="VERB …",
    context_settings={"max_content_width": 100},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code; without arguments, show the help."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    listen_for_signals()
    try:
        code = application.main(given, prog_name="curate", standalone_mode=False)
    except (click.ClickException, click.Abort) as error:
        code = end_with(error, Invocation(as_json="--json" in given, debug="--debug" in given))
    sys.exit(code)
