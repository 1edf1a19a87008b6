"""The step `snapshot`: freeze every `[[snapshot]]` of the project whose content has changed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from curate.errors import UnknownNameError
from curate.flows.project import Project
from curate.flows.steps.base import Plan, step_report
from curate.select.tokens import find_tokenizer
from curate.settings import SnapshotSettings
from curate.store.reader import Reader
from curate.store.snapshots import (
    Draft,
    Numbered,
    Quota,
    ScoreRange,
    SnapshotSpec,
    commit_as_of,
    count_changes,
    count_relicensed,
    draft_snapshot,
    latest_snapshot,
    snapshot_write,
    spec_hash,
    token_scores,
    what_hurries,
)
from curate.store.write import Write
from curate.types import Progress, StepReport, Tokenizer

_TRIES = 3
_COUNTING = "tokens"


class SnapshotStep:
    """Equal content is never numbered twice, unless the licence of an item was put right.

    `as_of` (a commit's number or a time, "" for now) freezes what the store knew then; `names` are the snapshots to
    look at, all by default. A snapshot whose `wait` is not over gets no number; with `now`, or `as_of`, none waits.
    """

    name = "snapshot"

    def __init__(self, as_of: str = "", names: Sequence[str] = (), *, now: bool = False) -> None:
        self._as_of = as_of
        self._names = tuple(names)
        self._waits = not now and not as_of

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the snapshots that would get a new number."""
        wanted = self._wanted(project)
        found = [change for settings in wanted if (change := self._changed(project, settings))]
        changed = [change.draft for change in found if not change.waiting]
        filled = [draft for draft in changed if len(draft.items)]
        notes = [_planned(draft) for draft in filled] + [change.waiting for change in found if change.waiting]
        notes += [note for draft in changed for note in _remarks(draft)]
        return Plan(self.name, len(filled), len(wanted) - len(changed), notes=tuple(notes))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Draft each snapshot and commit those that differ from their newest number."""
        began = time.perf_counter()
        details: dict[str, Mapping[str, int]] = {}
        notes: list[str] = []
        skipped = 0
        for settings in self._wanted(project):
            change, number = self._freeze(project, settings, progress)
            if change is None or change.waiting:
                skipped += 1
                notes += [change.waiting] if change else []
                continue
            draft = change.draft
            notes += [*_remarks(draft), *([change.hurried] if number and change.hurried else [])]
            if number:
                details[f"{settings.name} {number}"] = draft.funnel
            elif len(draft.items):
                notes.append(f"snapshot {settings.name!r}: other runs froze snapshots meanwhile; run again")
        return step_report(self.name, began, done=len(details), skipped=skipped, notes=tuple(notes), details=details)

    def _wanted(self, project: Project) -> list[SnapshotSettings]:
        """The snapshots asked for, those that train on the smallest share first.

        They evaluate with what the others would also evaluate with, and more: so that none takes an item from the
        training set of one that was frozen before it, and a second run finds nothing to do.
        """
        known = {settings.name: settings for settings in project.settings.snapshot}
        for name in self._names:
            if name not in known:
                raise UnknownNameError("snapshot", name, known)
        wanted = [settings for name, settings in known.items() if name in (self._names or known)]
        return sorted(wanted, key=lambda settings: settings.splits.get("train", 0.0))

    def _freeze(self, project: Project, settings: SnapshotSettings, progress: Progress) -> tuple["_Change | None", int]:
        """Return what has changed (None for nothing) and the number that it got, 0 for none."""
        for _ in range(_TRIES):
            change = self._changed(project, settings, progress)
            if change is None or change.waiting or not len(change.draft.items):
                return change, 0
            number = change.before + 1
            if not project.store.commit(snapshot_write(change.draft, number, change.before)).stale:
                return change, number
            # Another run has frozen a snapshot meanwhile: what it evaluates with must be known here.
        return change, 0

    def _changed(
        self, project: Project, settings: SnapshotSettings, progress: Progress | None = None
    ) -> "_Change | None":
        """Return what has changed, if anything; without `progress` nothing is written, and no token counted."""
        tokenizer = _tokenizer(project, settings)
        counting = _Counting(project, tokenizer, progress) if tokenizer and progress else None
        with project.reader() as reader:
            as_of = commit_as_of(reader, self._as_of) if self._as_of else None
            draft = draft_snapshot(
                reader, snapshot_spec(settings, tokenizer, _reserve(project, settings)), as_of, counting
            )
            latest = latest_snapshot(reader, settings.name)
            if latest is None:
                return _Change(draft, 0)
            relicensed = count_relicensed(reader, draft, latest)
            if _same(draft, latest) and not relicensed:
                return None
            if not settings.wait or not self._waits or spec_hash(draft.spec) != latest.spec_hash:
                return _Change(draft, latest.number)
            return _due(reader, project, settings, draft, latest, relicensed)


@dataclass(frozen=True, slots=True)
class _Change:
    """A draft that differs from the number `before`, why it waits ("" = it does not), and what did not let it wait."""

    draft: Draft
    before: int
    waiting: str = ""
    hurried: str = ""


def _due(
    reader: Reader, project: Project, settings: SnapshotSettings, draft: Draft, latest: Numbered, relicensed: int
) -> _Change:
    changes = count_changes(reader, draft, latest) + relicensed
    if changes >= settings.wait:
        return _Change(draft, latest.number)
    protocol = project.settings.protocol
    asked = settings.label in {attribute.name for attribute in protocol.attribute}
    reason = what_hurries(reader, latest, protocol.name, protocol.version, settings.label) if asked else ""
    if reason:
        return _Change(draft, latest.number, hurried=f"snapshot {settings.name!r} did not wait: {reason}")
    waiting = f"snapshot {settings.name!r} waits: {changes} of {settings.wait} changes"
    return _Change(draft, latest.number, waiting=waiting)


class _Counting:
    """Counts tokens, and commits the counts batch by batch, so that no run counts again what an earlier one did."""

    def __init__(self, project: Project, tokenizer: Tokenizer, progress: Progress) -> None:
        self._project = project
        self._tokenizer = tokenizer
        self._progress = progress
        self._begun = False

    def __call__(self, texts: pa.RecordBatch, left: int) -> pa.Array:
        if not self._begun:
            self._progress.start(_COUNTING, left)
            self._begun = True
        tokens = pa.array(self._tokenizer.count(texts.column("text").to_pylist()), pa.int64())
        scores = token_scores(texts.column("item_id"), tokens, self._tokenizer.version)
        self._project.store.commit(Write("snapshot", {"scores": scores}))
        self._progress.advance(len(texts))
        if len(texts) == left:
            self._progress.finish(_COUNTING)
        return tokens


def _tokenizer(project: Project, settings: SnapshotSettings) -> Tokenizer | None:
    return find_tokenizer(settings.budget.tokenizer, project.path) if settings.budget.tokens else None


def _reserve(project: Project, settings: SnapshotSettings) -> float:
    """The share of items that audits of the snapshot's label come from: nothing learns from them."""
    asked = {attribute.name for attribute in project.settings.protocol.attribute}
    gate = project.settings.gate
    return gate.reserve if gate.enabled and settings.label in asked else 0.0


def snapshot_spec(settings: SnapshotSettings, tokenizer: Tokenizer | None = None, reserve: float = 0.0) -> SnapshotSpec:
    """Turn a `[[snapshot]]` section into the store's spec; a budget of tokens needs its tokenizer."""
    return SnapshotSpec(
        name=settings.name,
        modality=settings.modality,
        sources=tuple(settings.sources),
        order_by=settings.order_by,
        limit=settings.limit,
        label=settings.label,
        annotators=tuple(settings.annotators),
        strict=settings.strict,
        splits=dict(settings.splits.items()),
        values=dict(settings.values),
        scores=tuple(ScoreRange(entry.selector, entry.min, entry.max) for entry in settings.scores),
        decisions={step: tuple(allowed) for step, allowed in settings.decisions.items()},
        quotas=tuple(Quota(entry.attribute, entry.most, dict(entry.values)) for entry in settings.quotas),
        characters=settings.budget.characters,
        tokens=settings.budget.tokens,
        tokenizer=tokenizer.version if tokenizer else "",
        reserve=reserve,
    )


def _same(draft: Draft, latest: Numbered) -> bool:
    return draft.content_hash == latest.content_hash and spec_hash(draft.spec) == latest.spec_hash


def _planned(draft: Draft) -> str:
    name = draft.spec.name
    if draft.uncounted:
        return f"{name}: the tokens of {draft.uncounted:,} texts are to be counted first; what fits is known then"
    return f"{name}: {len(draft.items):,} items"


def _remarks(draft: Draft) -> list[str]:
    name = draft.spec.name
    if not len(draft.items):
        funnel = ", ".join(f"{count:,} {stage}" for stage, count in draft.funnel.items())
        return [f"snapshot {name!r} would be empty: {funnel}"]
    if draft.staying:
        return [
            f"snapshot {name!r}: {draft.staying} items stay in the split of an earlier number; a new name divides anew"
        ]
    return []
