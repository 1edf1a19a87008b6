"""What a step reads and writes, as OpenLineage datasets: sources, tables, snapshots, exports, checkpoints."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from curate.flows.lineage.events import Dataset
from curate.flows.lineage.places import StorePlace, store_place
from curate.flows.project import Project
from curate.settings import SourceSettings
from curate.store.ingestion.files import STANDARD_INPUT, is_path
from curate.store.reader import Reader
from curate.store.schema import CURSORS, LEDGER, table
from curate.types import StepReport

# The tables that each step asks for its work; any other step reads items.
_READS: Mapping[str, tuple[str, ...]] = {
    "ingest": (),
    "dedup": ("items", "signatures", "bands", "decisions"),
    "align": ("items", "decisions"),
    "annotate": ("items", "decisions", "requests"),
    "snapshot": ("items", "origins", "annotations", "scores", "decisions", "clusters", "snapshot_items"),
    "export": ("snapshots", "snapshot_items", "items", "origins"),
    "learn": ("snapshots", "snapshot_items", "items", "embeddings"),
    "train": ("snapshots", "snapshot_items", "items"),
    "embed": ("items", "decisions", "embeddings"),
    "report": ("commits", "items", "origins", "rejects", "decisions", "scores", "snapshots", "metrics"),
    "label": ("items",),
}
_BOOKKEEPING = {LEDGER.name, CURSORS.name}


def known_inputs(project: Project, reader: Reader, step: str, commit: int) -> list[Dataset]:
    """Return what a step will look at, before it does: sources and target by name, tables as of a commit."""
    place = store_place(project.store_address, reader)
    tables = [_table(place, name, commit) for name in _READS.get(step, ("items",))]
    if step == "ingest":
        return [_source(project, source, {}) for source in project.settings.source]
    if step == "align" and project.settings.align.target:
        return [*tables, _file(project.path(project.settings.align.target))]
    return tables


def found_inputs(project: Project, reader: Reader, step: str, report: StepReport | None, after: int) -> list[Dataset]:
    """Return what a step has read, with what the store knows about it: rows for each source, snapshots by number."""
    if step == "ingest":
        counts = _origins_by_source(project, reader, after)
        return [_source(project, source, counts) for source in project.settings.source]
    return [*known_inputs(project, reader, step, after), *_read_snapshots(project, reader, step, report, after)]


def found_outputs(project: Project, reader: Reader, step: str, report: StepReport | None, after: int) -> list[Dataset]:
    """Return what a run of a step has committed since commit `after`, and the files that it wrote."""
    place = store_place(project.store_address, reader)
    outputs = [
        _table(place, name, reader.commit_number, {"rowCount": count})
        for name, count in _rows_by_table(project, reader, after).items()
    ]
    outputs += _snapshots(project, reader, after)
    outputs += _checkpoints(project, reader, after)
    if step == "export" and report:
        outputs += [_file(project.path(str(folder)), number) for _, number, folder in _exported(report)]
    if step == "report" and report and report.done:
        outputs.append(_file(project.path(project.settings.report.path)))
    return outputs


def _rows_by_table(project: Project, reader: Reader, after: int) -> dict[str, int]:
    question = 'SELECT "rows" FROM commits WHERE run_id = ? AND commit_number > ?'
    counts: Counter[str] = Counter()
    for text in reader.query(question, [project.run_id, after])["rows"].to_pylist():
        counts.update(json.loads(text))
    return {name: count for name, count in sorted(counts.items()) if count > 0 and name not in _BOOKKEEPING}


def _origins_by_source(project: Project, reader: Reader, after: int) -> dict[str, int]:
    question = """
        SELECT source, count(*) AS "rows" FROM origins WHERE run_id = ? AND commit_number > ? GROUP BY source"""
    found = reader.query(question, [project.run_id, after])
    return dict(zip(found["source"].to_pylist(), found["rows"].to_pylist(), strict=True))


def _snapshots(project: Project, reader: Reader, after: int) -> Iterator[Dataset]:
    place = store_place(project.store_address, reader)
    question = "SELECT snapshot, number, size FROM snapshots WHERE run_id = ? AND commit_number > ? ORDER BY ALL"
    for row in reader.query(question, [project.run_id, after]).to_pylist():
        yield _snapshot(place, row["snapshot"], row["number"], {"rowCount": row["size"]})


def _checkpoints(project: Project, reader: Reader, after: int) -> Iterator[Dataset]:
    place = store_place(project.store_address, reader)
    question = """
        SELECT learner, checkpoint, size FROM checkpoints WHERE run_id = ? AND commit_number > ?
        ORDER BY commit_number, learner"""
    for row in reader.query(question, [project.run_id, after]).to_pylist():
        figures = {"size": row["size"], "fileCount": 1}
        name = f"{place.prefix}checkpoints/{row['learner']}"
        yield Dataset(place.namespace, name, row["checkpoint"], statistics=figures)


def _read_snapshots(
    project: Project, reader: Reader, step: str, report: StepReport | None, after: int
) -> Iterator[Dataset]:
    place = store_place(project.store_address, reader)
    if step == "export" and report:
        yield from (_snapshot(place, name, int(number), {}) for name, number, _ in _exported(report))
    if step in ("learn", "train"):
        question = """
            SELECT DISTINCT snapshot, number FROM checkpoints WHERE run_id = ? AND commit_number > ? ORDER BY ALL"""
        for row in reader.query(question, [project.run_id, after]).to_pylist():
            yield _snapshot(place, row["snapshot"], row["number"], {})


def _exported(report: StepReport) -> Iterator[tuple[str, str, object]]:
    """Name, number and folder of every snapshot that an export wrote."""
    for written, folder in report.details.items():
        name, _, number = written.rpartition(" ")
        if number.isdigit():
            yield name, number, folder


def _table(place: StorePlace, name: str, commit: int, statistics: Mapping[str, int] | None = None) -> Dataset:
    return Dataset(
        place.namespace,
        f"{place.prefix}{name}",
        str(commit),
        table(name).schema,
        statistics or {},
        place.symlink(name),
    )


def _snapshot(place: StorePlace, name: str, number: int, statistics: Mapping[str, int]) -> Dataset:
    return Dataset(place.namespace, f"{place.prefix}snapshots/{name}", str(number), statistics=statistics)


def _source(project: Project, source: SourceSettings, counts: Mapping[str, int]) -> Dataset:
    statistics = {"rowCount": counts[source.name]} if source.name in counts else {}
    if source.command or source.path == STANDARD_INPUT:
        kind = "command" if source.command else "stdin"
        return Dataset(kind, f"{project.folder.resolve().name}/{source.name}", statistics=statistics)
    if is_path(source.path):
        return _file(project.path(source.path), statistics=statistics)
    parts = urlsplit(source.path)
    return Dataset(f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/") or "/", statistics=statistics)


def _file(path: Path, version: str = "", statistics: Mapping[str, int] | None = None) -> Dataset:
    return Dataset("file", path.absolute().as_posix(), version, statistics=statistics or {})
