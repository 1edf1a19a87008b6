"""What every verb has: the common options, and a help that ends with examples and exit codes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from curate.cli.invocation import Invocation

EXIT_CODES = {
    0: "done, or nothing to do",
    1: "unexpected failure",
    2: "the command line is wrong",
    3: "settings or installation must be changed",
    4: "bad data: nothing could be used",
    5: "the store is held by another process",
    6: "the budget is spent",
    7: "partly done: some items failed or were rejected, the rest is committed",
    130: "interrupted: what was finished is committed",
}
_ALWAYS = (0, 1, 2, 3, 130)
WRITES = (4, 5, 7)
pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


class Verb(click.Command):
    """A verb: a command with the common options, examples and exit codes; its function may return an exit code."""

    def __init__(self, *args: Any, examples: Sequence[str], exits: Sequence[int], **options: Any) -> None:
        super().__init__(*args, **options)
        self.params += common_options()
        self.examples = examples
        self.exits = sorted({*_ALWAYS, *exits})

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples and exit codes below the options."""
        with formatter.section("Examples"):
            formatter.write_text("\b\n" + "\n".join(self.examples))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), EXIT_CODES[code]) for code in self.exits])


class VerbGroup(Verb, click.Group):
    """A verb that also has verbs below it, and does its own work where none of them is called."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, invoke_without_command=True, subcommand_metavar="[VERB …]", **options)


def verb(
    name: str, *, examples: Sequence[str], exits: Sequence[int] = ()
) -> Callable[[Callable[..., int | None]], Verb]:
    """Make a function the verb `name`; `exits` are its exit codes besides those that every verb has."""
    return click.command(name, cls=Verb, examples=examples, exits=exits)


def verb_group(
    name: str, *, examples: Sequence[str], exits: Sequence[int] = ()
) -> Callable[[Callable[..., int | None]], VerbGroup]:
    """Make a function the verb `name` with verbs below it; it is called before each of them, too."""
    return click.command(name, cls=VerbGroup, examples=examples, exits=exits)


def common_options() -> list[click.Parameter]:
    """Return the options that stand before or after the verb."""
    return [
        click.Option(
            ["--project"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The project's curate.toml or its folder; without it, the nearest one from here upwards.",
            expose_value=False,
            callback=_remember("project_file"),
        ),
        _setting("--store", "store", metavar="FOLDER", help="Use this store."),
        _switch("--json", "as_json", "Print data as JSON lines, errors as a JSON object."),
        _switch("--debug", "debug", "Show the traceback of an error."),
        _switch("--quiet", "quiet", "Print data and errors only."),
    ]


def setting_option(flag: str, key: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a flag that overrides the setting `key` for this call."""
    return click.option(flag, expose_value=False, callback=_override(key), **options)


def dry_run_option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the flag of every verb that writes: print the plan, write nothing."""
    return click.option("--dry-run", is_flag=True, help="Print what there is to do and what it costs; write nothing.")


def _setting(flag: str, key: str, **options: Any) -> click.Option:
    return click.Option([flag], expose_value=False, callback=_override(key), **options)


def _switch(flag: str, field: str, text: str) -> click.Option:
    return click.Option([flag], is_flag=True, help=text, expose_value=False, callback=_remember(field))


def _remember(field: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that keeps a given value in the invocation; an absent one leaves it as it was before the verb."""

    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value:
            setattr(context.ensure_object(Invocation), field, value)
        return value

    return callback


def _override(key: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is not None:
            context.ensure_object(Invocation).overrides[key] = str(value)
        return value

    return callback
