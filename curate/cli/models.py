"""The verb `models` and those below it: list checkpoints, and take fitted adapters out of the store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from curate.cli.invocation import Invocation
from curate.cli.look import as_of
from curate.cli.output import emit_json, emit_lines
from curate.cli.steps import carry_out_work, show_report
from curate.cli.verb import WRITES, Verb, dry_run_option, pass_invocation, verb_group
from curate.console import table_lines

_SHOWN = ("model", "snapshot", "number", "checkpoint", "items", "bytes", "served", "accuracy", "loss", "test_items")
_CHECKPOINT = click.option(
    "--checkpoint", default="", metavar="CHECKPOINT", help="This one, not the served one: the beginning of its name."
)


@verb_group(
    "models",
    examples=[
        "curate models",
        "curate models --name adapter:topics --json",
        "curate models export adapter:topics exported",
        "curate models merge adapter:topics merged --dry-run",
    ],
    exits=(4,),
)
@click.option("--name", default="", metavar="NAME", help="This learner only, or adapter:NAME.")
@click.pass_context
def models_verb(context: click.Context, /, name: str) -> None:
    """List what was learned and fitted, or take an adapter out of the store.

    Each line is a checkpoint: what it saw, its bytes, whether it is the served one, and its accuracy, or a language
    model's loss, on the test items of its snapshot. Only figures of the same snapshot and number can be compared.
    """
    if context.invoked_subcommand:
        return
    from curate.store.models import list_models
    from curate.store.reader import Reader

    invocation = context.ensure_object(Invocation)
    with Reader(invocation.existing_store()) as reader:
        found = list_models(reader, name)
        state = as_of(reader.commit_number, reader.committed_at)
    if invocation.as_json:
        for row in found:
            emit_json(row)
    elif found:
        emit_lines(table_lines([column.replace("_", " ") for column in _SHOWN], [_line(row) for row in found]))
    invocation.narrate(state)


def _line(row: dict[str, Any]) -> list[Any]:
    figures = {name: "" if row[name] is None else f"{row[name]:.4g}" for name in ("accuracy", "loss", "test_items")}
    short = {"checkpoint": row["checkpoint"][:12], "served": "yes" if row["served"] else ""}
    return [{**row, **figures, **short}[name] for name in _SHOWN]


@models_verb.command(
    "export",
    cls=Verb,
    examples=[
        "curate models export adapter:topics exported",
        "curate models export adapter:topics old --checkpoint 3f",
    ],
    exits=WRITES,
)
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@_CHECKPOINT
@dry_run_option()
@pass_invocation
def export_verb(invocation: Invocation, name: str, folder: Path, checkpoint: str, dry_run: bool) -> None:
    """Write an adapter into a new folder as peft keeps it.

    peft.PeftModel.from_pretrained(network, folder) loads it, with nothing of ours.
    """
    from curate.flows.steps.models import export_model

    _take_out(invocation, "export", lambda project, progress: export_model(
        project, progress, name, folder, checkpoint, dry=dry_run))  # fmt: skip
    _say_dry(invocation, dry_run)


@models_verb.command(
    "merge",
    cls=Verb,
    examples=["curate models merge adapter:style merged", "curate models merge adapter:style merged --dry-run"],
    exits=WRITES,
)
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@_CHECKPOINT
@dry_run_option()
@pass_invocation
def merge_verb(invocation: Invocation, name: str, folder: Path, checkpoint: str, dry_run: bool) -> None:
    """Write the base model with an adapter worked into its weights into a new folder.

    transformers loads it as any model. Virtual tokens (prompt, prefix, p-tuning) are no weights, and cannot be merged.
    """
    from curate.flows.steps.models import merge_model

    _take_out(invocation, "merge", lambda project, progress: merge_model(
        project, progress, name, folder, checkpoint, dry=dry_run))  # fmt: skip
    _say_dry(invocation, dry_run)


def _take_out(invocation: Invocation, name: str, work: Callable[..., Any]) -> None:
    invocation.existing_store()
    show_report(invocation, carry_out_work(invocation, invocation.project(), f"models {name}", work))


def _say_dry(invocation: Invocation, dry_run: bool) -> None:
    if dry_run:
        invocation.narrate("nothing was written")
