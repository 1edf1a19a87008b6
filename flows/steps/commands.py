"""Sources that are commands: run one, hand out what it printed, and keep the cursor that it left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from curate.errors import ServiceError
from curate.flows.project import Project
from curate.settings import SourceSettings
from curate.store.ingestion.command import CommandOutput, run_command
from curate.store.work import cursor
from curate.store.write import CursorMove, Write
from curate.types import Progress


@contextmanager
def command_output(
    project: Project, progress: Progress, source: SourceSettings, stopped: Callable[[], bool]
) -> Iterator[CommandOutput]:
    """Run the source's command in the project's folder and yield what it printed, whole or not.

    The cursor that it left is committed after the block, so that a killed run asks for the same records again.

    Raises:
        ServiceError: after the block, where the command failed or took too long; what it had printed counts.
    """
    consumer = f"ingest/{source.name}/command"
    with project.reader() as reader:
        before = cursor(reader, consumer)
    ran = run_command(
        source.command,
        folder=project.folder.resolve(),
        timeout=source.timeout,
        cursor=before,
        say=lambda line: progress.note(f"{source.name}: {line}"),
        stopped=stopped,
    )
    yield ran.output
    if ran.problem:
        raise ServiceError(f"its command {source.command[0]!r} {ran.problem}", unchanged="what it had printed is kept")
    if ran.cursor != before:
        project.store.commit(Write("ingest", cursors=[CursorMove(consumer, "", before, ran.cursor)]))
