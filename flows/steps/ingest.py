"""The step `ingest`: take in what is new in every source, and say what was refused and why."""

import hashlib
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace

import pyarrow as pa

from curate.errors import BadDataError, CurateError, ServiceError, StoreError
from curate.flows.project import Project
from curate.flows.steps.ahead import read_ahead
from curate.flows.steps.arrivals import Arrivals, arrival_tables
from curate.flows.steps.base import Plan, step_report
from curate.flows.steps.commands import command_output
from curate.flows.steps.listed_labels import refuse_unlisted
from curate.flows.steps.positions import Reading
from curate.flows.steps.unsaid import Unsaid
from curate.settings import SourceSettings
from curate.store.care.tombstones import refuse_erased
from curate.store.ingestion.command import CommandOutput, steady_locators
from curate.store.ingestion.files import is_path, list_files
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.read import Part, read_files
from curate.store.ingestion.source_file import EmptySourceError, SourceFile
from curate.store.summaries import source_addresses
from curate.store.work import cursors
from curate.store.write import CursorMove, Write
from curate.types import Progress, StepReport

BATCH_ROWS = 400_000
BATCH_BYTES, LARGE_ROWS_BYTES, LARGE_ROW = 48 * 2**20, 32 * 2**20, 2**10
"""What a commit takes; less of rows of a kilobyte and more, of which DuckDB holds several times as much: a file of 5 GB
peaks at 0.95 GiB with 48 MiB, at 0.82 with 32."""
PART_ROWS = 10_000


@dataclass(slots=True)
class Batch:
    """Parsed parts of consecutive files that make one commit, with the cursors that move with them."""

    parts: list[Part] = field(default_factory=list)
    moves: dict[str, CursorMove] = field(default_factory=dict)
    rows: int = 0
    bytes: int = 0
    again: bool = False

    @property
    def full(self) -> bool:
        """Whether the batch is large enough to be committed."""
        most = LARGE_ROWS_BYTES if self.bytes >= LARGE_ROW * self.rows else BATCH_BYTES
        return self.rows >= BATCH_ROWS or self.bytes >= most


class Choice:
    """Which of a source's files are read now: all of them. Who watches a source may choose otherwise."""

    tolerated: tuple[type[CurateError], ...] = (ServiceError,)
    """What one source may raise without keeping the others from being read."""

    def choose(self, source: str, files: list[SourceFile]) -> list[SourceFile]:
        """Return those of the listed files that shall be read."""
        return files

    def settle(self, source: str) -> None:
        """Hear that everything chosen of this source has been read."""

    def stopped(self) -> bool:
        """Whether a command that still runs shall be stopped."""
        return False


class IngestStep:
    """Reads every `[[source]]` of the project; what a cursor has passed is not read again.

    A source that cannot be reached counts as failed and is named in the notes; the others are read all the same.
    """

    name = "ingest"

    def __init__(self, choice: Choice | None = None) -> None:
        self._choice = choice or Choice()

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the files that are new or changed; reads no content."""
        new = known = 0
        notes: list[str] = []
        with project.reader() as reader:
            for source in project.settings.source:
                if source.command:
                    new += 1
                    notes.append(f"source {source.name!r}: only a run of its command tells what is new")
                    continue
                files, note = _files(project, source)
                notes += note
                reading = Reading.of(source, cursors(reader, _consumer(source)))
                done = sum(reading.is_done(file) for file in files)
                new, known = new + len(files) - done, known + done
        return Plan(self.name, new, known, notes=(*notes, "counted in files"))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Ingest the sources in their order, batch by batch."""
        began = time.perf_counter()
        arrivals = Arrivals()
        notes: list[str] = []
        failed = 0
        for source in project.settings.source:
            try:
                notes += self._take_in(project, progress, source, arrivals)
            except self._choice.tolerated as error:
                if isinstance(error, StoreError):
                    raise
                failed += 1
                notes.append(_told(source, error))
        return step_report(
            self.name,
            began,
            done=arrivals.added,
            skipped=arrivals.repeated,
            rejected=arrivals.rejected,
            failed=failed,
            unreached=failed,
            notes=tuple(notes),
            details={"files": arrivals.files, **arrivals.reasons},
        )

    def _take_in(self, project: Project, progress: Progress, source: SourceSettings, arrivals: Arrivals) -> list[str]:
        arrivals.unsaid = unsaid = Unsaid(source)
        if source.command:
            with command_output(project, progress, source, self._choice.stopped) as output:
                _ingest_source(project, progress, source, [output], arrivals)
            return unsaid.notes()
        files, notes = _files(project, source)
        chosen = self._choice.choose(source.name, files)
        notes += _moved(project, source) if chosen else []
        _ingest_source(project, progress, source, chosen, arrivals)
        self._choice.settle(source.name)
        return notes + unsaid.notes()


def _moved(project: Project, source: SourceSettings) -> list[str]:
    """Say so where the store has the source from another address: its files count as the same ones, in a new place."""
    with project.reader() as reader:
        known = source_addresses(reader, source.name)
    if not known or source.address in known:
        return []
    return [f"source {source.name!r} was read from {known[-1]} before; what {source.address} says counts as newer"]


def _told(source: SourceSettings, error: CurateError) -> str:
    """Say what is wrong with a source, once."""
    where = f"source {source.name!r}: "
    return error.message if error.message.startswith(where) else where + error.message


def _files(project: Project, source: SourceSettings) -> tuple[list[SourceFile], list[str]]:
    """List a source's files; an empty folder is a note, for data may still come, a missing one an error."""
    try:
        address = str(project.path(source.path)) if is_path(source.path) else source.path
        return list_files(address, _mapping(source)), []
    except EmptySourceError as error:
        return [], [f"source {source.name!r}: {error.message}"]
    except BadDataError as error:
        hint = error.hint or f"make the path or change it in [[source]] {source.name!r}"
        raise BadDataError(f"source {source.name!r}: {error.message}", unchanged=error.unchanged, hint=hint) from error


def _mapping(source: SourceSettings) -> Mapping:
    return Mapping(
        source=source.name,
        modality=source.modality,
        format=source.format,
        text=source.text,
        image=source.image,
        events=source.events,
        label=source.label,
        identifier=source.id,
        metadata=tuple(source.meta),
        licence=source.licence,
        licence_column=source.licence_column,
        time_unit=source.time_unit,
        batch_rows=PART_ROWS,
    )


def _consumer(source: SourceSettings) -> str:
    return f"ingest/{source.name}"


def _ingest_source(
    project: Project, progress: Progress, source: SourceSettings, files: list[SourceFile], arrivals: Arrivals
) -> None:
    """Read what is new; when another process moved the cursors meanwhile, look again and go on from there.

    A file of which nobody can tell whether it changed, such as standard input, has no cursor and is read once a run.
    """
    changing = [file for file in files if not file.fingerprint]
    if changing:
        _ingest_files(project, progress, source, changing, {}, arrivals)
    lasting = [file for file in files if file.fingerprint]
    while lasting and (waiting := _waiting(project, source, lasting)):
        positions, unread = waiting
        _ingest_files(project, progress, source, unread, positions, arrivals)


def _waiting(
    project: Project, source: SourceSettings, files: list[SourceFile]
) -> tuple[dict[str, str], list[SourceFile]] | None:
    with project.reader() as reader:
        positions = cursors(reader, _consumer(source))
    reading = Reading.of(source, positions)
    unread = [file for file in files if not reading.is_done(file)]
    return (positions, unread) if unread else None


def _ingest_files(
    project: Project,
    progress: Progress,
    source: SourceSettings,
    files: list[SourceFile],
    positions: dict[str, str],
    arrivals: Arrivals,
) -> None:
    """Commit batch after batch until the end, or until another process has moved a cursor."""
    progress.start(f"ingest {source.name}", len(files))
    batches = _batches(source, files, positions)
    lasting = all(file.fingerprint for file in files)
    # What is piped in must not be waited for by a thread that nobody can interrupt.
    with closing(read_ahead(batches) if lasting else batches) as ready:
        for batch in ready:
            stood = _commit(project, source, batch, arrivals)
            # Arrow keeps what the largest batch took: 40 MiB at the peak of a file of 5 GB.
            pa.default_memory_pool().release_unused()
            if not stood:
                break
            complete = sum(len(part.files) for part in batch.parts if part.parsed.complete)
            arrivals.files += complete
            progress.advance(complete)
    progress.finish(f"ingest {source.name}")


def _batches(
    source: SourceSettings, files: Iterable[SourceFile], positions: dict[str, str]
) -> Generator[Batch, None, None]:
    """Group parsed parts greedily; borders depend on the files and where the cursors stand, not on this process."""
    standing = dict(positions)

    def start_row(file: SourceFile) -> int:
        return Reading.of(source, standing).start(file).row

    batch = Batch()
    for part in read_files(files, _mapping(source), start_row):
        _put(batch, source, part, standing)
        if batch.full:
            yield batch
            batch = Batch()
    if batch.parts:
        yield batch


def _put(batch: Batch, source: SourceSettings, part: Part, standing: dict[str, str]) -> None:
    """Add a part to the batch, and the cursors that move with it to where the files now stand."""
    parsed = part.parsed
    batch.parts.append(part)
    reading = Reading.of(source, standing)
    for file in part.files:
        begun = reading.start(file)
        batch.again |= begun.again or bool(source.command) or not file.fingerprint
        if file.fingerprint:
            before = standing.get(file.locator, "")
            first = batch.moves[file.locator].before if file.locator in batch.moves else before
            standing[file.locator] = replace(begun, row=parsed.next_row, complete=parsed.complete).encode()
            batch.moves[file.locator] = CursorMove(_consumer(source), file.locator, first, standing[file.locator])
    batch.rows += len(parsed.records) + len(parsed.rejects)
    batch.bytes += parsed.records.nbytes


def _commit(project: Project, source: SourceSettings, batch: Batch, arrivals: Arrivals) -> bool:
    began = time.perf_counter()
    records = pa.concat_tables([part.parsed.records for part in batch.parts])
    if source.command:
        records = steady_locators(records, source.name)
    rejects = pa.concat_tables([_fingerprinted(part) for part in batch.parts])
    with project.reader() as reader:
        records, erased = refuse_erased(reader, records)
        records, unlisted = refuse_unlisted(project.settings, source, records)
        rejects = pa.concat_tables([rejects, erased, unlisted])
        tables = arrival_tables(reader, project.settings, source, records, rejects, again=batch.again)
    moves = [move for move in batch.moves.values() if move.before != move.after]
    commit = project.store.commit(Write("ingest", tables, moves, seconds=time.perf_counter() - began))
    if not commit.stale:
        arrivals.count(commit, records, rejects)
    return not commit.stale


def _fingerprinted(part: Part) -> pa.Table:
    """The part's rejects with their file's fingerprint, where it has none that of what was wrong with the row."""
    rejects = part.parsed.rejects
    if isinstance(part.files[0], CommandOutput):
        fingerprints = [""] * len(rejects)  # the output's would make every reject a new one with every record
    elif len(part.files) == 1:
        fingerprints = [part.files[0].fingerprint] * len(rejects)
    else:
        known = {file.locator: file.fingerprint for file in part.files}
        fingerprints = [known[locator] for locator in rejects["locator"].to_pylist()]
    details = rejects["detail"].to_pylist()
    told = [known or _hash(detail) for known, detail in zip(fingerprints, details, strict=True)]
    return rejects.append_column("fingerprint", pa.array(told, pa.string()))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
