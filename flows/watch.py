"""Watching the sources: a look at each every few seconds, and the loop when enough has come in. No Prefect here."""

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event

from curate.errors import BadDataError, ConfigurationError, ServiceError, StoreBusyError
from curate.flows.project import Project
from curate.flows.sequence import run_step
from curate.flows.steps.ingest import Choice, IngestStep
from curate.settings import Settings, WatchSettings
from curate.store.ingestion.files import STANDARD_INPUT
from curate.store.ingestion.source_file import SourceFile
from curate.types import Progress, StepReport


class QuietFiles(Choice):
    """Chooses the files that two looks in a row found alike, each once until it changes.

    What is still being written changes from look to look. Only listings are compared, so this holds for folders and
    fsspec addresses alike; a file of which nobody can tell whether it changed is read once.

    Memory: name and fingerprint of every file that was listed.
    """

    # A source that is not there, or a store that another process holds, is looked at again.
    tolerated = (ServiceError, BadDataError, StoreBusyError)

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._seen: dict[str, dict[str, str]] = {}
        self._chosen: dict[str, dict[str, str]] = {}
        self._settled: dict[str, dict[str, str]] = {}

    def choose(self, source: str, files: list[SourceFile]) -> list[SourceFile]:
        """Return the files that are quiet and have not been read as they are."""
        before, settled = self._seen.get(source, {}), self._settled.get(source, {})
        self._seen[source] = {file.locator: file.fingerprint for file in files}
        quiet = [file for file in files if before.get(file.locator) == file.fingerprint]
        chosen = [file for file in quiet if settled.get(file.locator) != file.fingerprint]
        self._chosen[source] = {file.locator: file.fingerprint for file in chosen}
        return chosen

    def settle(self, source: str) -> None:
        """Remember that what was chosen has been read, as long as it is listed."""
        listed = self._seen[source]
        kept = {name: mark for name, mark in self._settled.get(source, {}).items() if name in listed}
        self._settled[source] = kept | self._chosen.pop(source, {})

    def stopped(self) -> bool:
        """Whether the watch has been stopped."""
        return self._stop.is_set()


class Watch:
    """Looks at every source of a project, and ingests what is new and quiet.

    It needs no signal from the operating system and keeps no state that a restart would miss: the store's cursors say
    what has been read. Two watchers of one store do no harm.
    """

    def __init__(self, project: Project, progress: Progress) -> None:
        self.stop = Event()
        self._project = project
        self._progress = progress
        self._step = IngestStep(QuietFiles(self.stop))
        self._notes: tuple[str, ...] = ()

    def look(self) -> StepReport:
        """Look once, take in what is new, and report it; only notes that the last look did not have are in it.

        Raises:
            CurateError: the store or the settings are broken. A source that fails, or a store that another process
                holds, is a note, and the next look tries again.
        """
        try:
            report = run_step(self._project, self._step, self._progress, idle=False)
        except StoreBusyError as error:
            report = StepReport(self._step.name, failed=1, unreached=1, notes=(error.message,))
        fresh = tuple(note for note in report.notes if note not in self._notes)
        self._notes = report.notes
        return replace(report, notes=fresh)


class Backlog:
    """Counts what has come in since the loop was last started, and says when that is enough.

    A new one takes for granted that something waits: nobody knows what an earlier watch had taken in.
    """

    def __init__(self, settings: WatchSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._items = 0
        self._since: float | None = clock()

    def add(self, items: int) -> None:
        """Count new items."""
        self._items += items
        if items and self._since is None:
            self._since = self._clock()

    @property
    def is_due(self) -> bool:
        """Whether so many items have come in, or so many seconds have passed since the first of them."""
        waited = self._since is not None and self._clock() - self._since >= self._settings.after
        return waited or self._items >= self._settings.items

    def clear(self) -> None:
        """Begin anew: the loop has been started."""
        self._items, self._since = 0, None


def keep_watching(
    watch: Watch,
    settings: WatchSettings,
    tell: Callable[[StepReport], None],
    start_loop: Callable[[], bool] | None = None,
) -> None:
    """Look again and again until the watch is told to stop; `tell` hears of each that found something or has news.

    `start_loop` is called when enough has come in, and again with each look until it returns True.
    """
    backlog = Backlog(settings)
    while not watch.stop.is_set():
        report = watch.look()
        if report.done or report.rejected or report.notes:
            tell(report)
        backlog.add(report.done)
        if start_loop and backlog.is_due and start_loop():
            backlog.clear()
        watch.stop.wait(settings.every)


def check_watchable(settings: Settings) -> None:
    """Refuse sources that cannot be looked at twice.

    Raises:
        ConfigurationError: there is no source, or one is standard input.
    """
    if not settings.source:
        raise ConfigurationError("there is no source to watch", hint="write a [[source]], or name a path")
    for source in settings.source:
        if source.path == STANDARD_INPUT:
            raise ConfigurationError(
                f"source {source.name!r} is standard input, which cannot be watched",
                hint="leave --watch out: standard input is read to its end, however long that takes",
            )
