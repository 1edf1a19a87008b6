"""The step `annotate`: every `[[annotator]]` says what it thinks of the items that it has not seen."""

import time
from collections.abc import Callable, Sequence

import pyarrow as pa

from curate.annotate.protocol import Attribute
from curate.errors import RefusedRequestError, ServiceError
from curate.flows.project import Project
from curate.flows.steps.annotators import Annotating, Estimate, annotatings
from curate.flows.steps.base import ItemWork, Outcome, Plan, run_over_items, step_report
from curate.flows.steps.carry import carry_over, unversioned_change, would_carry
from curate.flows.steps.estimates import count_left, ledger_of, what_is_left
from curate.flows.steps.silences import Silences
from curate.store.applicable import applicable_items
from curate.store.work import batches, count_settled, pending_sample
from curate.store.write import Write, rows
from curate.types import Annotated, Progress, StepReport

SAMPLE_ROWS = 8
DEPENDENT_ROWS = 1_000


class AnnotateStep:
    """One annotator that cannot be reached, or is refused, does not keep the others from their work."""

    name = "annotate"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the items that annotators have left to do, and what their requests would cost."""
        to_do = done = 0
        estimate = Estimate()
        notes: list[str] = []
        carried = would_carry(project)
        for annotating in annotatings(project):
            if annotating.waiting:
                notes.append(annotating.waiting)
                continue
            left = what_is_left(project, annotating, carried)
            with project.reader() as reader:
                done += count_settled(reader, ledger_of(annotating))
            to_do, estimate = to_do + left.items, estimate.plus(left.estimate)
            if left.answered:
                notes.append(f"{annotating.name}: {left.answered:,} items need no question, their answers still hold")
        return Plan(self.name, to_do, done, estimate.calls, estimate.tokens, estimate.cost, tuple(notes))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Let each annotator work through what it has not seen; its claims and its requests commit together."""
        began = time.perf_counter()
        done = failed = unreached = 0
        spent = False
        notes: list[str] = []
        details: dict[str, int] = {}
        if carried := carry_over(project):
            notes.append(f"{carried} answers to older versions of the protocol were carried over")
        if changed := unversioned_change(project):
            notes.append(changed)
        for annotating in annotatings(project):
            if annotating.waiting:
                notes.append(annotating.waiting)
                continue
            with annotating:
                try:
                    finished, unable = _annotate(project, progress, annotating)
                except (ServiceError, RefusedRequestError) as error:
                    notes.append(f"{annotating.name}: {error.message}; {error.hint}".rstrip("; "))
                    finished, unable = 0, count_left(project, annotating)
                    unreached += unable
                done, failed = done + finished, failed + unable
                details[annotating.name] = finished
                if finished and annotating.description:
                    notes.append(f"{annotating.name}: {annotating.description}")
                notes += annotating.account()
                spent = spent or annotating.stopped is not None
        figures = {"done": done, "failed": failed, "unreached": unreached, "spent": spent}
        return step_report(self.name, began, notes=tuple(notes), details=details, **figures)


def _annotate(project: Project, progress: Progress, annotating: Annotating) -> tuple[int, int]:
    """Ask what is asked of every item, then what depends on those answers, attribute by attribute."""
    dependent = annotating.dependent
    always = [name for name in annotating.attributes if name not in {one.name for one in dependent}]
    done = failed = 0
    if always:
        done, failed = _annotate_all(project, progress, annotating, always)
    for attribute in dependent if annotating.stopped is None else ():
        more, unable = _annotate_dependent(project, annotating, attribute, among=bool(always))
        done, failed = done + more, failed + unable
    return done, failed


def _annotate_all(
    project: Project, progress: Progress, annotating: Annotating, attributes: Sequence[str]
) -> tuple[int, int]:
    ledger = ledger_of(annotating)
    compute = _computation(project, annotating, attributes)
    if annotating.sample:
        return _annotate_sample(project, progress, annotating, attributes)

    def begin(items: pa.Table) -> None:
        annotating.begin(items, attributes)

    sizes = {"rows": annotating.rows, "most": annotating.most}
    finish = annotating.forget_committed
    work = ItemWork(ledger, annotating.modalities, compute, **sizes, finish=finish, begin=begin)
    return run_over_items(project, progress, work)


def _annotate_dependent(
    project: Project, annotating: Annotating, attribute: Attribute, *, among: bool
) -> tuple[int, int]:
    """Ask for one attribute of the items that it applies to by now; the claims about its parents are committed."""
    protocol = project.settings.protocol
    ledger = ledger_of(annotating, attribute.name)
    compute = _computation(project, annotating, [attribute.name])
    within = ledger_of(annotating).parameters if among else ""
    done = failed = 0
    while True:
        with project.reader() as reader:
            items = applicable_items(
                reader, (protocol.name, protocol.version, attribute.name), {attribute.name: attribute.when},
                annotating.name, ledger, annotating.modalities, among=within,
                most=min(DEPENDENT_ROWS, annotating.most),
            )  # fmt: skip
        if not len(items):
            break
        began = time.perf_counter()
        outcome = compute(items)
        ids = outcome.settled(items)
        project.store.commit(Write("annotate", outcome.tables, (), ledger, ids, time.perf_counter() - began))
        annotating.forget_committed()
        done, failed = done + len(ids) - outcome.failed, failed + outcome.failed
        if outcome.left:
            break
    return done, failed


def _annotate_sample(
    project: Project,
    progress: Progress,
    annotating: Annotating,
    attributes: Sequence[str],
) -> tuple[int, int]:
    """Annotate the sample in the order of a hash, a few items a commit, so that a kill costs little."""
    ledger, compute = ledger_of(annotating), _computation(project, annotating, attributes)
    with project.reader() as reader:
        sample = pending_sample(reader, ledger, annotating.modalities, annotating.sample)
    if not len(sample):
        return 0, 0
    done = failed = 0
    progress.start(f"annotate {annotating.name}", len(sample))
    parts = list(batches(sample, max(SAMPLE_ROWS, annotating.under_way)))
    for items, following in zip(parts, [*parts[1:], None], strict=True):
        began = time.perf_counter()
        annotating.begin(items, attributes)
        if following is not None:
            annotating.begin(following, attributes)
        outcome = compute(items)
        ids = outcome.settled(items)
        project.store.commit(Write("annotate", outcome.tables, (), ledger, ids, time.perf_counter() - began))
        annotating.forget_committed()
        done, failed = done + len(ids) - outcome.failed, failed + outcome.failed
        if outcome.left:
            break
        progress.advance(len(items))
    progress.finish(f"annotate {annotating.name}")
    return done, failed


def _computation(project: Project, annotating: Annotating, attributes: Sequence[str]) -> Callable[[pa.Table], Outcome]:
    silences = Silences(annotating)

    def compute(items: pa.Table) -> Outcome:
        answer = annotating.annotate(items, attributes)
        with project.reader() as reader:
            silent = silences.of(reader, items, attributes, answer)
        tables = {
            "annotations": _claim_rows(annotating, answer),
            "abstentions": silent,
            "failures": _failure_rows(annotating, answer),
            "requests": annotating.drained(),
            **annotating.kept_rows(),
            **annotating.protocol_rows(),
        }
        return Outcome(tables, len({failure.item_id for failure in answer.failures}), left=frozenset(answer.left))

    return compute


def _claim_rows(annotating: Annotating, answer: Annotated) -> pa.Table:
    protocol, version = annotating.asked
    columns = {
        "item_id": [claim.item_id for claim in answer.claims],
        "protocol": protocol,
        "protocol_version": version,
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
