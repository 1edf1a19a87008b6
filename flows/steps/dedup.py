"""The step `dedup`: decide which items say or show the same, against all that is kept, and keep one of each group."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from curate.flows.project import Project
from curate.flows.steps.base import ItemWork, Outcome, Plan, count_pending, run_over_items, step_report
from curate.flows.steps.comparison import Comparison
from curate.flows.steps.likeness import ImageSimilarity, Likeness, TextEquality, TextSimilarity
from curate.store.clusters import cluster_members, dropped_for, moved_items, standings
from curate.store.reader import Reader
from curate.store.signatures import contents
from curate.store.work import cursor
from curate.store.write import CursorMove, LedgerKey, Write, rows
from curate.types import Progress, StepReport

_OFF = "switched off in [dedup]"


class DedupStep:
    """Texts that are equal after normalisation or nearly so, and images that look alike.

    Identical content has been one item since it came in. Memory: one batch and the kept items that it may duplicate.
    """

    name = "dedup"

    def plan(self, project: Project, progress: Progress) -> Plan:
        """Count the items that have not been compared yet."""
        likenesses = _likenesses(project)
        if not likenesses:
            return Plan(self.name, 0, 0, notes=(_OFF,))
        with project.reader() as reader:
            ledgers = {one.modality: _Rule.now(reader, one).ledger for one in likenesses}
            arrived = sum(reader.manifest.figures.get(f"items:{modality}", 0) for modality in ledgers)
        to_do = sum(count_pending(project, ledger, [modality]) for modality, ledger in ledgers.items())
        return Plan(self.name, to_do, arrived - to_do)

    def run(self, project: Project, progress: Progress) -> StepReport:
        """Draw groups anew that superseded items leave, then compare new items with each other and with all kept."""
        began = time.perf_counter()
        likenesses = _likenesses(project)
        if not likenesses:
            return step_report(self.name, began, notes=(_OFF,))
        tally = _Tally()
        done = failed = 0
        for likeness in likenesses:
            with project.reader() as reader:
                rule = _Rule.now(reader, likeness)
            _redraw(project, rule, tally)
            compute = _compute(project, rule, tally)
            work = ItemWork(rule.ledger, [likeness.modality], compute, likeness.batch, finish=tally.settle)
            counts = run_over_items(project, progress, work)
            done, failed = done + counts[0], failed + counts[1]
        return step_report(self.name, began, done=done, failed=failed, details={"dropped": tally.dropped})


@dataclass(slots=True)
class _Tally:
    """How many items this run dropped, less those that it took back; `pending` is what is not committed yet."""

    dropped: int = 0
    pending: int = 0

    def propose(self, decisions: pa.Table) -> None:
        actions = decisions["action"].to_pylist()
        self.pending = actions.count("drop") - actions.count("keep")

    def settle(self) -> None:
        self.dropped += self.pending


@dataclass(frozen=True, slots=True)
class _Rule:
    """A likeness in force, and how many rules the modality had before and with it.

    Who goes back to earlier settings has everything judged once more, as with any others.
    """

    likeness: Likeness
    number: int

    @classmethod
    def now(cls, reader: Reader, likeness: Likeness) -> "_Rule":
        number, _, version = cursor(reader, f"dedup/{likeness.modality}").partition(" ")
        return cls(likeness, int(number or 0) + (version != likeness.version))

    @property
    def ledger(self) -> LedgerKey:
        return LedgerKey("dedup", "2", f"{self.number} {self.likeness.version}")

    @property
    def superseded(self) -> str:
        """The cursor over the decisions that change which items count."""
        return f"{self.ledger.consumer}/superseded"

    def guards(self, reader: Reader) -> list[CursorMove]:
        """Put the rule in force, and refuse a batch if meanwhile other rules came, or groups were drawn anew."""
        name, position = f"dedup/{self.likeness.modality}", cursor(reader, self.superseded)
        return [
            CursorMove(name, "", cursor(reader, name), self.ledger.parameters),
            CursorMove(self.superseded, "", position, position),
        ]


def _likenesses(project: Project) -> list[Likeness]:
    settings = project.settings.dedup
    if not settings.enabled:
        return []
    texts: Likeness = TextSimilarity(settings) if settings.near else TextEquality()
    return [texts, ImageSimilarity(settings)] if settings.images else [texts]


def _compute(project: Project, rule: _Rule, tally: _Tally) -> Callable[[pa.Table], Outcome]:
    def compute(items: pa.Table) -> Outcome:
        features = rule.likeness.features(items)
        with project.reader() as reader:
            tables = Comparison(reader, rule.likeness, rule.ledger.parameters, features).tables()
            guards = rule.guards(reader)
        tally.propose(tables["decisions"])
        return Outcome(tables, guards=guards)

    return compute


def _redraw(project: Project, rule: _Rule, tally: _Tally) -> None:
    """Draw the groups anew of compared items that were superseded, or came back, since this was done last."""
    stale = True
    while stale:
        with project.reader() as reader:
            write = _redrawn(reader, rule)
        if write is None:
            return
        tally.propose(write.tables["decisions"])
        stale = project.store.commit(write).stale
    tally.settle()


def _redrawn(reader: Reader, rule: _Rule) -> Write | None:
    position = cursor(reader, rule.superseded)
    moved = moved_items(reader, rule.ledger, int(position or 0))
    if not moved:
        return None
    name = rule.ledger.parameters
    touched = {*moved, *dropped_for(reader, moved)}
    heads = {one.representative for one in standings(reader, name, sorted(touched)).values()}
    known = standings(reader, name, sorted({*cluster_members(reader, name, sorted(heads)), *touched}))
    living = [item_id for item_id, one in known.items() if not one.gone]
    features = rule.likeness.features(contents(reader, living).read_all())
    tables = Comparison(reader, rule.likeness, name, features, anew=True).tables()
    alone = [item_id for item_id, one in known.items() if one.gone and one.shown != item_id]
    apart = rows("clusters", {"item_id": alone, "representative": alone, "method": name}, len(alone))
    stand = cursor(reader, rule.ledger.consumer)
    moves = [
        CursorMove(rule.superseded, "", position, str(reader.commit_number)),
        CursorMove(rule.ledger.consumer, "", stand, stand),
    ]
    return Write("dedup", tables | {"clusters": pa.concat_tables([tables["clusters"], apart])}, moves)
