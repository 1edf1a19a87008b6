"""The step `embed`: every encoder of `[embed]` encodes the items that it has not seen."""

import time
from collections.abc import Callable, Iterator

import pyarrow as pa

from curate.errors import BadDataError
from curate.flows.project import Project, parameters_hash
from curate.flows.steps.base import ItemWork, Outcome, Plan, count_pending, run_over_items, step_report
from curate.flows.steps.embeddings import ROWS_AT_ONCE, KeptEncoder
from curate.learners.encoders.factory import encoder_named
from curate.store.work import count_settled
from curate.store.write import LedgerKey, rows
from curate.types import Encoder, Progress, StepReport


class EmbedStep:
    """Batches of 512 items are committed one by one; an item that cannot be encoded is a failure of its own."""

    name = "embed"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the items that the encoders have left to do."""
        to_do = done = 0
        for encoder in _encoders(project):
            to_do += count_pending(project, _ledger(encoder), encoder.modalities)
            with project.reader() as reader:
                done += count_settled(reader, _ledger(encoder))
        notes = () if project.settings.embed.encoders else ("no encoders in [embed]",)
        return Plan(self.name, to_do, done, notes=notes)

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Encode what is new; features, ledger and cursor commit together."""
        began = time.perf_counter()
        done = failed = 0
        details: dict[str, int] = {}
        for name, encoder in zip(project.settings.embed.encoders, _encoders(project), strict=True):
            compute = _computation(project, encoder)
            work = ItemWork(_ledger(encoder), encoder.modalities, compute, rows=ROWS_AT_ONCE, most=ROWS_AT_ONCE)
            details[name], unable = run_over_items(project, progress, work)
            done, failed = done + details[name], failed + unable
        return step_report(self.name, began, done=done, failed=failed, details=details)


def _encoders(project: Project) -> Iterator[Encoder]:
    for name in project.settings.embed.encoders:
        yield encoder_named(name, project.folder)


def _ledger(encoder: Encoder) -> LedgerKey:
    return LedgerKey("embed", "1", parameters_hash([encoder.version]))


def _computation(project: Project, encoder: Encoder) -> Callable[[pa.Table], Outcome]:
    def compute(items: pa.Table) -> Outcome:
        with project.reader() as reader:
            kept = KeptEncoder(encoder, reader, keep=True)
            failures = _encode(kept, items)
        columns = {"item_id": list(failures), "step": "embed", "actor": encoder.version, "reason": [*failures.values()]}
        tables = {"embeddings": kept.fresh_rows(), "failures": rows("failures", columns, len(failures))}
        return Outcome(tables, len(failures))

    return compute


def _encode(kept: KeptEncoder, items: pa.Table) -> dict[str, str]:
    """Encode a batch, or its items one by one where that fails; return why items failed, by their ids."""
    try:
        kept.encode(items)
        return {}
    except BadDataError:
        failures = {}
    for place, item_id in enumerate(items["item_id"].to_pylist()):
        try:
            kept.encode(items.slice(place, 1))
        except BadDataError as error:
            failures[item_id] = error.message
    return failures
