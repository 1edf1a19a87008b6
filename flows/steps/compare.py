"""The step `compare`: put every new selection by alignment beside what the baselines would have chosen."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from curate.errors import BadDataError
from curate.flows.project import Project
from curate.flows.steps.align import AlignStep, read_target_at
from curate.flows.steps.base import Plan, step_report
from curate.flows.steps.fuse import SELECTOR
from curate.flows.steps.mix import MixStep
from curate.flows.steps.ranking_samples import alignment_method, named_ranking, sample_scores, targets_of
from curate.select.rivals import OWN, Judged, Ranker, beaten_by, judge_selectors
from curate.settings import SnapshotSettings
from curate.statistics import Interval
from curate.store.candidates import Candidates, sampled_candidates
from curate.store.snapshots import Numbered, latest_snapshot
from curate.store.work import cursor
from curate.store.write import CursorMove, Write, rows
from curate.types import Progress, StepReport

SUBJECT = "selection of "
SELECTOR_TARGETS = {SELECTOR: AlignStep.name}
"""Selectors that have another's target, and score the same texts."""
SAMPLE = 2_000
_LEAST = 50
_MOST_CHARACTERS = 2_000_000
_FORMULAS = {
    "KL reduction": "KL(target || candidates) - KL(target || chosen) over hashed words and pairs, nats",
    "bits per character": "of held-out targets, under byte 5-grams of the chosen texts",
    "length bias": "Spearman's correlation of score and length",
    "overlap": "share of the chosen that alignment chooses too",
}
_OFF = "no snapshot is ordered by align, fused, mix or a ranking that has a target, or baselines = false in [align]"


@dataclass(frozen=True, slots=True)
class Sought:
    """What a snapshot's order is judged by: its own selector, what that is called, and its targets' addresses.

    What is `made_anew` on the sample, a ranking or a mix, chooses beside the selectors that every comparison has.
    `itself` is the baseline that the order is nothing but, if any.
    """

    own: str
    called: str
    addresses: tuple[str, ...]
    made_anew: bool = False
    itself: str = ""


class CompareStep:
    """The newest number of each snapshot that is ordered by alignment, `fused`, `mix` or a ranking, into `metrics`.

    A ranking or a mix chooses as the others do: made anew of the sample and of the half of the targets that it may see,
    with all its parts, and with the scores in the store only where nothing can be made anew
    (`curate.flows.steps.ranking_samples`).

    Figures are of a sample of 2,000 candidates, the same in every run, of at most 2 million characters in all. Where
    there are more candidates, at least 50 are chosen: the best one of 2,000 says nothing of the best five of 10,000.
    Memory: some 200 bytes for each character of the sample.
    """

    name = "compare"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the selections that no baseline was put beside."""
        waiting = len(list(_waiting(project)))
        ranked = len(_ranked(project))
        return Plan(self.name, waiting, ranked - waiting, notes=() if ranked else (_OFF,))

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Compare each, and say where a baseline is as good."""
        began = time.perf_counter()
        notes: list[str] = []
        done = 0
        orders = {settings.name: settings.order_by for settings in _ranked(project)}
        for snapshot, move in list(_waiting(project)):
            with project.reader() as reader:
                scored_by = _scored_by(orders[snapshot.snapshot])
                found = sampled_candidates(reader, snapshot, scored_by, SAMPLE, _MOST_CHARACTERS)
            sought = _sought(project, orders[snapshot.snapshot])
            judged = _judged(project, found, sought)
            if project.store.commit(Write(self.name, {"metrics": _metrics(snapshot, judged)}, [move])).stale:
                continue
            done += 1
            notes += [*_too_long(snapshot, found), *_remarks(snapshot, found, judged, sought)]
        return step_report(self.name, began, done=done, notes=tuple(notes))


def _ranked(project: Project) -> list[SnapshotSettings]:
    if not project.settings.align.baselines:
        return []
    return [settings for settings in project.settings.snapshot if _sought(project, settings.order_by).addresses]


def _sought(project: Project, order_by: str) -> Sought:
    """Return how an order is judged; without addresses it is not, for it has no target of text."""
    ranking = named_ranking(project, order_by)
    if ranking is not None:
        return Sought(order_by, f"the ranking {ranking.name!r}", targets_of(project, [order_by]), True, ranking.by)
    align = project.settings.align
    if order_by == MixStep.name:
        parts = tuple(project.settings.mix.parts)
        only = named_ranking(project, parts[0]) if len(parts) == 1 else None
        addresses = targets_of(project, parts) if parts else ()
        return Sought(MixStep.name, "the mix", addresses, True, only.by if only else "")
    known = {AlignStep.name: align.target} | {f"{AlignStep.name}:{one.name}": one.target for one in align.more}
    target = known.get(SELECTOR_TARGETS.get(order_by, order_by), "")
    called = "the fused selector" if order_by == SELECTOR else "alignment"
    return Sought(SELECTOR if order_by == SELECTOR else OWN, called, (target,) if target else ())


def _scored_by(order_by: str) -> str:
    """Return the selector whose scores tell which texts the snapshot chose from."""
    return SELECTOR_TARGETS.get(order_by, order_by)


def _waiting(project: Project) -> Iterator[tuple[Numbered, CursorMove]]:
    with project.reader() as reader:
        for settings in _ranked(project):
            snapshot = latest_snapshot(reader, settings.name)
            consumer = f"compare:{settings.name}"
            position = cursor(reader, consumer)
            if snapshot and snapshot.number > int(position or 0):
                yield snapshot, CursorMove(consumer, "", position, str(snapshot.number))


def _judged(project: Project, found: Candidates, sought: Sought) -> tuple[Judged, ...]:
    """Return nothing where the sample or the target has too little text to compare anything."""
    parts = [read_target_at(str(project.path(address)), address).texts for address in sought.addresses]
    count = how_many(found)
    own: dict[str, Ranker] = {}
    if sought.made_anew:
        own[sought.own] = lambda seen: sample_scores(
            project, found, dict(zip(sought.addresses, seen, strict=True)), sought.own
        )
    try:
        return judge_selectors(found.item_ids, found.texts, parts, count, method=alignment_method(project), own=own)
    except BadDataError:
        return ()


def how_many(found: Candidates) -> int:
    """Return how many each selector chooses: the snapshot's share; of a sample at least 50, or half of a small one."""
    count = max(1, round(found.selected_share * len(found.texts)))
    return max(count, min(_LEAST, len(found.texts) // 2)) if _is_sample(found) else count


def _is_sample(found: Candidates) -> bool:
    return found.pool > len(found.texts)


def _metrics(snapshot: Numbered, judged: tuple[Judged, ...]) -> pa.Table:
    found = [(name, one.selector, value) for one in judged for name, value in _figures(one)]
    names, slices, values = zip(*found, strict=True) if found else ((), (), ())
    columns = {
        "subject": SUBJECT + snapshot.snapshot,
        "checkpoint": "",
        "snapshot": snapshot.snapshot,
        "number": snapshot.number,
        "name": list(names),
        "slice": list(slices),
        "value": list(values),
        "formula": [_FORMULAS[name.split(",")[0]] for name in names],
    }
    return rows("metrics", columns, len(found))


def _figures(one: Judged) -> Iterator[tuple[str, float]]:
    yield from _with_bounds("KL reduction", one.kl_reduction)
    if one.bits:
        yield from _with_bounds("bits per character", one.bits)
    yield from _with_bounds("length bias", one.length_bias)
    yield from _with_bounds("overlap", one.overlap)


def _with_bounds(name: str, interval: Interval) -> Iterator[tuple[str, float]]:
    yield name, interval.value
    yield f"{name}, low", interval.low
    yield f"{name}, high", interval.high


def _too_long(snapshot: Numbered, found: Candidates) -> list[str]:
    if not found.passed_over:
        return []
    name = f"{snapshot.snapshot} {snapshot.number}"
    return [
        f"{name}: {found.passed_over} long texts are not among the {len(found.texts)} that selectors were compared on"
    ]


def _remarks(snapshot: Numbered, found: Candidates, judged: tuple[Judged, ...], sought: Sought) -> list[str]:
    name = f"{snapshot.snapshot} {snapshot.number}"
    if not judged:
        return [f"{name}: too little text to compare selectors"]
    if _is_sample(found) and len(found.texts) < 2 * _LEAST:
        return [f"{name}: {len(found.texts)} of {found.pool:,} texts are too few to say whether a baseline is as good"]
    beaten = [one for one in beaten_by(judged, sought.own) if one != sought.itself]
    return [f"{name}: choosing by {one} is as good as {sought.called}" for one in beaten]
