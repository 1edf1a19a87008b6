"""The step `annotate`: every `[[annotator]]` says what it thinks of the items that it has not seen."""

import time
from collections.abc import Callable

import pyarrow as pa

from curate.errors import RefusedRequestError, ServiceError
from curate.flows.project import Project, parameters_hash
from curate.flows.steps.annotators import Annotating, annotatings
from curate.flows.steps.base import ItemWork, Outcome, Plan, count_pending, run_over_items, step_report
from curate.store.work import batches, count_settled, pending_sample
from curate.store.write import LedgerKey, Write, rows
from curate.types import Annotated, Progress, StepReport

SAMPLE_ROWS = 8
MODALITIES = ("text",)


class AnnotateStep:
    """One annotator that cannot be reached, or is refused, does not keep the others from their work."""

    name = "annotate"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the items that annotators have left to do, and what their requests would cost."""
        to_do = done = calls = tokens = 0
        cost = 0.0
        for annotating in annotatings(project):
            ledger = _ledger(project, annotating)
            pending = _count_pending(project, annotating)
            with project.reader() as reader:
                done += count_settled(reader, ledger)
            estimate = annotating.estimate(pending)
            to_do, calls, tokens = to_do + pending, calls + estimate.calls, tokens + estimate.tokens
            cost += estimate.cost
        return Plan(self.name, to_do, done, calls, tokens, cost)

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Let each annotator work through what it has not seen; its claims and its requests commit together."""
        began = time.perf_counter()
        done = failed = unreached = 0
        notes: list[str] = []
        details: dict[str, int] = {}
        for annotating in annotatings(project):
            with annotating:
                try:
                    finished, unable = _annotate(project, progress, annotating)
                except (ServiceError, RefusedRequestError) as error:
                    notes.append(f"{annotating.name}: {error.message}; {error.hint}".rstrip("; "))
                    finished, unable = 0, _count_pending(project, annotating)
                    unreached += unable
                done, failed = done + finished, failed + unable
                details[annotating.name] = finished
                if finished and annotating.description:
                    notes.append(f"{annotating.name}: {annotating.description}")
        return step_report(
            self.name, began, done=done, failed=failed, unreached=unreached, notes=tuple(notes), details=details
        )


def _annotate(project: Project, progress: Progress, annotating: Annotating) -> tuple[int, int]:
    ledger = _ledger(project, annotating)
    compute = _computation(project, annotating)
    if annotating.sample:
        return _annotate_sample(project, progress, annotating, ledger, compute)
    work = ItemWork(
        ledger, MODALITIES, compute, annotating.rows, finish=annotating.forget_committed, begin=annotating.begin
    )
    return run_over_items(project, progress, work)


def _annotate_sample(
    project: Project,
    progress: Progress,
    annotating: Annotating,
    ledger: LedgerKey,
    compute: Callable[[pa.Table], Outcome],
) -> tuple[int, int]:
    """Annotate the sample in the order of a hash, a few items a commit, so that a kill costs little."""
    with project.reader() as reader:
        sample = pending_sample(reader, ledger, MODALITIES, annotating.sample)
    if not len(sample):
        return 0, 0
    done = failed = 0
    progress.start(f"annotate {annotating.name}", len(sample))
    parts = list(batches(sample, max(SAMPLE_ROWS, annotating.under_way)))
    for items, following in zip(parts, [*parts[1:], None], strict=True):
        began = time.perf_counter()
        annotating.begin(items)
        if following is not None:
            annotating.begin(following)
        outcome = compute(items)
        ids = items["item_id"].to_pylist()
        project.store.commit(Write("annotate", outcome.tables, (), ledger, ids, time.perf_counter() - began))
        annotating.forget_committed()
        done, failed = done + len(items) - outcome.failed, failed + outcome.failed
        progress.advance(len(items))
    progress.finish(f"annotate {annotating.name}")
    return done, failed


def _count_pending(project: Project, annotating: Annotating) -> int:
    ledger = _ledger(project, annotating)
    if not annotating.sample:
        return count_pending(project, ledger, MODALITIES)
    with project.reader() as reader:
        return len(pending_sample(reader, ledger, MODALITIES, annotating.sample))


def _ledger(project: Project, annotating: Annotating) -> LedgerKey:
    protocol = project.settings.protocol
    identity = [annotating.name, annotating.annotator.version, protocol.name, protocol.version, annotating.sample]
    return LedgerKey("annotate", "1", parameters_hash(identity))


def _computation(project: Project, annotating: Annotating) -> Callable[[pa.Table], Outcome]:
    def compute(items: pa.Table) -> Outcome:
        answer = annotating.annotate(items)
        tables = {
            "annotations": _claim_rows(project, annotating, answer),
            "failures": _failure_rows(annotating, answer),
            "requests": annotating.drained(),
            **annotating.protocol_rows(),
        }
        return Outcome(tables, len({failure.item_id for failure in answer.failures}))

    return compute


def _claim_rows(project: Project, annotating: Annotating, answer: Annotated) -> pa.Table:
    columns = {
        "item_id": [claim.item_id for claim in answer.claims],
        "protocol": project.settings.protocol.name,
        "protocol_version": project.settings.protocol.version,
        "attribute": [claim.attribute for claim in answer.claims],
        "value": [claim.value for claim in answer.claims],
        "confidence": [claim.confidence for claim in answer.claims],
        "annotator": annotating.name,
        "annotator_kind": annotating.annotator.kind,
        "annotator_version": annotating.annotator.version,
    }
    return rows("annotations", columns, len(answer.claims))


def _failure_rows(annotating: Annotating, answer: Annotated) -> pa.Table:
    columns = {
        "item_id": [failure.item_id for failure in answer.failures],
        "step": "annotate",
        "actor": annotating.name,
        "reason": [failure.reason for failure in answer.failures],
    }
    return rows("failures", columns, len(answer.failures))
