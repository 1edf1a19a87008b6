"""The verbs that begin: `init` writes a project, `demo` shows the whole loop."""

import sys
from pathlib import Path

import click

from curate.cli.invocation import Invocation
from curate.cli.output import emit, emit_json, emit_lines
from curate.cli.verb import WRITES, dry_run_option, pass_invocation, verb
from curate.errors import UsageError


@verb("init", examples=["curate init", "curate init my-project", "curate init --dry-run"])
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@dry_run_option()
@pass_invocation
def init_verb(invocation: Invocation, folder: Path, dry_run: bool) -> None:
    """Write a commented curate.toml and a small working example.

    The example runs at once, offline: `curate run` in the new FOLDER (default: here). Nothing is overwritten.
    """
    from curate.templates import template_files

    files = template_files()
    taken = [name for name in files if (folder / name).exists()]
    if taken:
        raise UsageError(
            f"{folder / taken[0]} is there already", unchanged="nothing was written", hint="curate init ANOTHER-FOLDER"
        )
    for name, content in files.items() if not dry_run else ():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if invocation.as_json:
        emit_json({"folder": str(folder.resolve()), "files": sorted(files)})
    else:
        for name in files:
            emit(str(folder / name))
    if dry_run:
        invocation.narrate("nothing was written")
        return
    invocation.narrate("next: " + (f"cd {folder} && curate run" if folder != Path() else "curate run"))


@verb("demo", examples=["curate demo", "curate demo --folder /tmp/demo", "curate demo --dry-run"], exits=WRITES)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("curate-demo"),
    show_default=True,
    help="Where the demo's project is made.",
)
@dry_run_option()
@pass_invocation
def demo_verb(invocation: Invocation, folder: Path, dry_run: bool) -> None:
    """Walk the whole loop over real data of this machine, offline, and open the report.

    The report is opened in a browser only when standard output is a terminal.
    """
    from curate.console import close_progress, is_terminal, table_lines
    from curate.demo.main import plan_demo, run_demo
    from curate.demo.summary import format_summary

    if dry_run:
        plan = plan_demo(folder)
        if invocation.as_json:
            emit_json(plan)
        else:
            emit_lines(table_lines(("what", "value"), plan.items(), 200))
        invocation.narrate("nothing was written")
        return
    progress = invocation.progress()
    try:
        summary = run_demo(folder, progress)
    finally:
        close_progress(progress)
    report = (folder / "report.html").resolve()
    if invocation.as_json:
        emit_json({"folder": folder, "report": report, "seconds": summary.seconds, "walks": summary.walks})
        return
    emit(format_summary(summary))
    if is_terminal(sys.stdout):
        import webbrowser

        webbrowser.open(report.as_uri())
