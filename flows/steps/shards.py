"""Alignment of files that are in no store: each shard is scored alone, on any machine, and the best of all are merged.

Everything here is plain: `curate.flows.shards` schedules the same two functions on Ray through Prefect.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import BadDataError
from curate.flows.steps.align import read_target_at
from curate.flows.steps.shard_samples import Beside, ShardSample, judged_sample
from curate.select.alignment import AlignmentSelector, Method, Reduction
from curate.select.racing import TEXTS_AT_ONCE
from curate.select.similarity import LengthControl
from curate.select.top import TopK
from curate.store.ingestion.files import list_files
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.read import read_file
from curate.store.ingestion.source_file import SourceFile

_FIGURES = b"curate.shard"
_NAMED = 3
_BEST = pa.schema([("item_id", pa.string()), ("score", pa.float64()), ("locator", pa.string())])


@dataclass(frozen=True, slots=True)
class ShardScoring:
    """What is asked of every shard: the best `top` texts of its column `text` by their alignment to `target`.

    `target` is a file or folder and `folder` is where each shard's best are kept: both must be reachable under the same
    path from every machine that scores. The shards may lie behind any address that `curate ingest` reads.

    A `confidence` below 1 lets each shard's texts race: those that can hardly be among its best are not measured
    against the whole target, and one that belongs there is found with that probability.

    With `baselines` a sample of each shard's texts is kept beside its best, for `judged_shards`.
    """

    target: str
    folder: str
    top: int
    text: str = "text"
    compressor: str = "lz4-block"
    length_control: LengthControl = "none"
    reduce: Reduction = "mean"
    top_m: int = 8
    sampled: int | None = None
    confidence: float = 1.0
    baselines: bool = True

    @property
    def method(self) -> Method:
        """How texts are held against the target."""
        return Method(self.compressor, self.reduce, self.top_m, self.length_control, self.sampled)


@dataclass(frozen=True, slots=True)
class ShardFigures:
    """What became of the rows that were read: scored, without a score, or rejected, the first with its reason.

    `outrun` texts left the race before they had a score. `nodes` counts the machines (of Ray: nodes) that took part.
    """

    shards: int = 0
    scored: int = 0
    without_score: int = 0
    rejected: int = 0
    first_reject: str = ""
    nodes: int = 1
    outrun: int = 0

    def plus(self, other: ShardFigures) -> ShardFigures:
        """Return the sum of both."""
        return ShardFigures(
            self.shards + other.shards,
            self.scored + other.scored,
            self.without_score + other.without_score,
            self.rejected + other.rejected,
            self.first_reject or other.first_reject,
            outrun=self.outrun + other.outrun,
        )


def list_shards(address: str, scoring: ShardScoring) -> list[SourceFile]:
    """Return the files at a path, glob or address, sorted; `curate.store.ingestion.files.list_files` says which.

    Raises:
        BadDataError: there is none.
    """
    return list_files(address, _mapping(scoring))


def score_shard(shard: SourceFile, scoring: ShardScoring) -> str:
    """Score one shard and return the path of the file that holds its best texts.

    A shard that was scored before under the same target, compressor and K, and has not changed since, is not read
    again. The file appears whole or not at all. Memory: one batch of texts and 2 K rows. Cost: texts x targets.

    Raises:
        BadDataError: the target is not there, or holds no text.
    """
    selector = AlignmentSelector(read_target_at(scoring.target).texts, scoring.method)
    to = Path(scoring.folder) / f"{_name(shard, scoring, selector.version)}.parquet"
    if not to.exists():
        sample = ShardSample() if scoring.baselines else None
        best, figures = _best_of(shard, scoring, selector, sample)
        if sample:
            _write(sample.table(), _sample_beside(to), {})
        raced = f" raced-{scoring.confidence}-top-{scoring.top}" if scoring.confidence < 1 else ""
        _write(best, to, {"selector": selector.version + raced, "figures": asdict(figures)})
    return str(to)


def merge_shards(results: Iterable[str], top: int, to: Path) -> ShardFigures:
    """Write the best `top` texts of all shards to one Parquet file, best first, and say what became of every row.

    The columns are `item_id`, `score` and `locator` (file and row). The result is what one pass over all shards
    would give: equal scores go by item id, and a text in several shards counts once. Memory: 2 K rows and one shard's
    best.

    Raises:
        BadDataError: there is no result, or every row was rejected, or the results come from different targets or
            compressors, or from a race and from exact scores.
    """
    results = list(results)
    best, figures, versions = TopK(top), ShardFigures(), set()
    for result in results:
        table = pq.read_table(result)
        noted = json.loads((table.schema.metadata or {})[_FIGURES])
        versions.add(noted["selector"])
        figures = figures.plus(ShardFigures(**noted["figures"]))
        best.offer(table.replace_schema_metadata(None))
    if len(versions) != 1:
        what = "there is no shard" if not versions else f"the shards were scored by {len(versions)} different selectors"
        raise BadDataError(what, unchanged="nothing was written", hint="score all of them with one target")
    if figures.rejected and not (figures.scored or figures.without_score or figures.outrun):
        what = f"all {figures.rejected:,} rows were rejected; the first is {figures.first_reject}"
        raise BadDataError(
            what, unchanged="nothing was written", hint="look at that shard, or name its column of texts with --column"
        )
    noted = {
        "selector": versions.pop(),
        "figures": asdict(figures),
        "shards": [Path(result).name for result in results],
    }
    _write(best.table(), to, noted)
    return figures


def judged_shards(to: Path, scoring: ShardScoring) -> Beside:
    """Return what each way to choose made of texts that were drawn from the shards behind a merged result.

    They choose the share that the best are of all. Nobody is judged without `baselines`. A shard of which no sample is
    kept (it was scored without `baselines`, or before samples were kept) takes no part, and the notes say so. See
    `judged_sample`.
    """
    if not scoring.baselines:
        return Beside(0)
    noted = json.loads((pq.read_schema(to).metadata or {})[_FIGURES])
    results = [Path(scoring.folder) / name for name in noted["shards"]]
    bare = [result for result in results if not _sample_beside(result).exists()]
    notes = _without_sample(bare, len(results))
    if len(bare) == len(results):
        return Beside(0, notes=notes)
    figures = ShardFigures(**noted["figures"])
    share = scoring.top / max(figures.scored + figures.outrun, 1)
    samples = [sample for sample in map(_sample_beside, results) if sample.exists()]
    beside = judged_sample(samples, scoring.target, scoring.method, min(share, 1.0))
    return beside._replace(notes=(*beside.notes, *notes))


def _without_sample(bare: list[Path], shards: int) -> tuple[str, ...]:
    """Say how many shards no sample is kept of, and which files to remove to get one."""
    if not bare:
        return ()
    named = ", ".join(str(result) for result in bare[:_NAMED])
    more = f" and {len(bare) - _NAMED} more there without a .sample.parquet beside" if len(bare) > _NAMED else ""
    counted = f"no sample is kept of {len(bare)} of {shards} shards, which are not compared"
    return (f"{counted}; to score them again with one, remove {named}{more}",)


def _sample_beside(result: Path) -> Path:
    return result.with_suffix(".sample.parquet")


def _best_of(
    file: SourceFile, scoring: ShardScoring, selector: AlignmentSelector, sample: ShardSample | None
) -> tuple[pa.Table, ShardFigures]:
    best, rejected, first, outrun = TopK(scoring.top), 0, "", 0
    best.offer(_BEST.empty_table())
    race = selector.race(scoring.top, scoring.confidence) if scoring.confidence < 1 else None
    for part in read_file(file, _mapping(scoring)):
        records = part.records
        if sample:
            sample.offer(records)
        scores = race.scores(records["text"], records["item_id"]) if race else selector.score(records)
        scored = pa.table([records["item_id"], pa.array(scores, pa.float64()), records["locator"]], schema=_BEST)
        finished = scored.filter(pa.array(scores != -np.inf))
        best.offer(finished)
        outrun += len(scored) - len(finished)
        rejected += part.rejects.num_rows
        if part.rejects.num_rows and not first:
            row = part.rejects.slice(0, 1).to_pylist()[0]
            first = f"{row['locator']}: {row['reason']}"
    return best.table(), ShardFigures(1, best.scored, best.without_score, rejected, first, outrun=outrun)


def _mapping(scoring: ShardScoring) -> Mapping:
    mapping = Mapping(source="shards", modality="text", text=scoring.text)
    return replace(mapping, batch_rows=TEXTS_AT_ONCE) if scoring.confidence < 1 else mapping


def _name(file: SourceFile, scoring: ShardScoring, version: str) -> str:
    parts = [file.locator, file.fingerprint, str(file.size), scoring.text, str(scoring.top), version]
    parts += [str(scoring.confidence)] if scoring.confidence < 1 else []
    return sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _write(table: pa.Table, to: Path, figures: dict[str, object]) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    scratch = to.with_name(f".{to.name}.{os.getpid()}")
    pq.write_table(table.replace_schema_metadata({_FIGURES: json.dumps(figures)}), scratch)
    with scratch.open("rb") as file:
        os.fsync(file.fileno())
    scratch.replace(to)
