"""What annotating has left to do, and what that would cost: only what will really be asked is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from curate.annotate.protocol import Protocol
from curate.flows.project import Project, parameters_hash
from curate.flows.steps.annotators import Annotating, Estimate, project_protocol
from curate.flows.steps.base import count_pending
from curate.store.unasked import Answers, pending_by_answers
from curate.store.work import pending_sample
from curate.store.write import LedgerKey


@dataclass(frozen=True, slots=True)
class Left:
    """What an annotator has left: items to ask about, those that need no question any more, and what it costs."""

    items: int
    answered: int
    estimate: Estimate


def ledger_of(annotating: Annotating, *attribute: str) -> LedgerKey:
    """Return the key of what an annotator asks of every item, or of one attribute that depends on others."""
    identity = [*annotating.identity, *annotating.asked, annotating.sample]
    return LedgerKey("annotate", "1", parameters_hash([*identity, *attribute]))


def count_left(project: Project, annotating: Annotating) -> int:
    """Return how many items an annotator has not gone through."""
    ledger = ledger_of(annotating)
    if not annotating.sample:
        return count_pending(project, ledger, annotating.modalities)
    with project.reader() as reader:
        return len(pending_sample(reader, ledger, annotating.modalities, annotating.sample))


def what_is_left(project: Project, annotating: Annotating, carried: pa.Table) -> Left:
    """Say what a run would ask, given the claims that it would first carry over from older versions of the protocol.

    Who is not paid by the question is asked about everything. Of the others' questions those are left out that they
    have answered, and those that their own answers say do not apply.
    """
    pending = count_left(project, annotating)
    speaker = annotating.speaker
    if speaker is None or not pending:
        return Left(pending, 0, annotating.estimate(pending))
    with project.reader() as reader:
        scope = annotating.asked, tuple(annotating.modalities)
        found = pending_by_answers(reader, ledger_of(annotating), scope, speaker, carried, pending)
    asked = _asked(project_protocol(project), annotating.attributes, found)
    answered = asked.pop((), 0)
    estimate = Estimate()
    for attributes, items in asked.items():
        estimate = estimate.plus(annotating.estimate(items, attributes))
    return Left(pending - answered, answered, estimate)


def _asked(
    protocol: Protocol, attributes: Sequence[str], found: Sequence[tuple[Answers, int]]
) -> Counter[tuple[str, ...]]:
    """Count items by what they are asked for."""
    asked: Counter[tuple[str, ...]] = Counter()
    for answers, items in found:
        said: dict[str, set[str]] = {}
        for name, value in answers:
            said.setdefault(name, set()).update(protocol.attribute(name).parts(value))
        names = (name for name in attributes if name not in said and _may_apply(protocol, name, said))
        asked[tuple(names)] += items
    return asked


def _may_apply(protocol: Protocol, attribute: str, said: Mapping[str, set[str]]) -> bool:
    conditions = protocol.attribute(attribute).when
    return all(parent not in said or said[parent] & set(values) for parent, values in conditions.items())
