"""Making learners forget items by the codes that they fetch, and measuring what is left of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import UsageError
from curate.flows.project import Project
from curate.flows.steps.base import step_report
from curate.flows.steps.codes import KeptCodes
from curate.flows.steps.embeddings import Features, KeptEncoder
from curate.flows.steps.increments import (
    ROWS_AT_ONCE,
    Increment,
    Lesson,
    Pupil,
    evaluate,
    told_rightly,
)
from curate.flows.steps.judged import Evaluation
from curate.flows.steps.lesson_metrics import Measure
from curate.flows.steps.promoting import Ruling, changed_meanwhile, lesson_write, named_pupil
from curate.learners.bottleneck.learner import KeyValueBottleneck
from curate.learners.factory import BASELINES
from curate.learners.key_value_ridge import KeyValueRidge
from curate.store.checkpoints import Checkpoint, load_checkpoint, newest_checkpoint
from curate.store.promotions import FORGOT, served_checkpoint
from curate.store.reader import Reader
from curate.store.snapshots import find_snapshot, labelled_content, taught_where
from curate.store.work import batches, cursor
from curate.store.write import LedgerKey, Write
from curate.types import Progress, StepReport

_FORGETS = (KeyValueBottleneck, KeyValueRidge)
_WEAK = (
    "this is weak unlearning: the values that the items wrote are emptied, with what others wrote into the same pairs;"
    " keys and encoder may still betray that the items were there"
)
_REPLAYED = (
    "the values are those of a learner with the same keys that was taught all other items alone, in the order of their"
    " ids; keys and encoder may still betray that the items were there"
)
_EXACT = (
    "the values become those of all other items, but for rounding; keys, whitening and encoder may still betray that"
    " the items were there"
)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a forgetting did: items by their label, pairs emptied of those written, and answers before and after.

    No pairs are written where the learner took the items out of sums in place of emptying what they fetch.

    `probe` are the forgotten items themselves, `tests` the snapshot's test items: pairs of before and after.
    """

    labels: Sequence[str]
    pairs: int
    written: int
    probe: tuple[Evaluation, Evaluation]
    tests: tuple[Evaluation, Evaluation]
    classes: int

    def _shares(self) -> dict[str, tuple[float, float]]:
        """Accuracy before and after on the forgotten, on test items of their classes, and on those of other classes."""
        known = set(self.labels)
        others = set(self.tests[0].labels) - known
        parts = {
            "forgotten items": self.probe,
            "test items of their classes": (self.tests[0].of(known), self.tests[1].of(known)),
            "test items of other classes": (self.tests[0].of(others), self.tests[1].of(others)),
        }
        return {name: (one.accuracy, other.accuracy) for name, (one, other) in parts.items() if one.items}

    def measures(self) -> list[Measure]:
        """Return what goes into the table `metrics`."""
        found = [Measure("chance", "all", 1.0 / self.classes, "1 / classes")]
        if self.written:
            emptied = "written pairs that are written no more"
            found.append(Measure("pairs emptied", "all", float(self.pairs), emptied))
            found.append(
                Measure("pairs written before", "all", float(self.written), "pairs that some item had fetched")
            )
        for name, (before, after) in self._shares().items():
            found.append(Measure("accuracy before forgetting", name, before, f"correct / {name}"))
            found.append(Measure("accuracy after forgetting", name, after, f"correct / {name}"))
        return found

    def lines(self) -> list[str]:
        """Return what a person should read."""
        counts = {label: list(self.labels).count(label) for label in sorted(set(self.labels))}
        named = ", ".join(f"{count:,} {label}" for label, count in counts.items())
        share = (
            f"{self.pairs:,} of {self.written:,} written pairs ({self.pairs / max(self.written, 1):.1%}) are emptied"
        )
        lines = [f"{named}: {share if self.written else 'taken out of the values'}"]
        for name, (before, after) in self._shares().items():
            lines.append(f"accuracy on {name}: {before:.1%} before, {after:.1%} after")
        lines.append(f"chance is {1.0 / self.classes:.1%} with {self.classes} classes")
        return lines


def forget(
    project: Project,
    progress: Progress,
    condition: str,
    names: Sequence[str] = (),
    *,
    exact: bool = False,
    dry: bool = False,
) -> StepReport:
    """Make learners forget the items that taught them and that an SQL condition fits; each commits by itself.

    The condition is over the columns of `items`, `origins` and `label`. Without `names`, every learner that can forget
    is asked. Items that a learner has forgotten already do not count again. The checkpoint that comes of it is served
    at once, whatever the gate would say. With `exact`, a bottleneck learns all other items again from their codes, in
    place of emptying what the forgotten ones fetch. Memory: the items, and features of `ROWS_AT_ONCE` of them at a
    time; with `exact` the content of all that it was taught, and their codes.

    Raises:
        UsageError: the condition is none, a named learner cannot forget, or none can.
        StoreBusyError: another process has changed a learner meanwhile.
    """
    began = time.perf_counter()
    pupils = [named_pupil(project, name) for name in names or [one.name for one in project.settings.learner]]
    able = [pupil for pupil in pupils if isinstance(pupil.make(), _FORGETS)]
    unable = [pupil for pupil in pupils if pupil not in able]
    if unable and (names or not able):
        raise UsageError(
            f"learner {unable[0].name!r} is a {unable[0].kind}, which cannot forget: its items lie in all of its state",
            unchanged="no learner was changed",
            hint="begin a new learner under another name, from a snapshot without these items",
        )
    done = 0
    notes: list[str] = []
    details: dict[str, dict[str, float]] = {}
    for pupil in able:
        count, said, measured = _forget(project, pupil, condition, exact=exact, dry=dry)
        done += count
        notes += said
        details |= {pupil.name: measured} if measured else {}
    notes += [f"{pupil.name}: a {pupil.kind} cannot forget; it still knows the items" for pupil in unable]
    return step_report("forget", began, done=0 if dry else done, notes=tuple(notes), details=details)


def _forget(
    project: Project, pupil: Pupil, condition: str, *, exact: bool, dry: bool
) -> tuple[int, list[str], dict[str, float] | None]:
    """Let one learner forget; return how many items, notes and figures."""
    learner = pupil.make()
    assert isinstance(learner, _FORGETS)
    ledger = LedgerKey("forget", learner.version, pupil.consumer())
    with project.reader() as reader:
        newest = newest_checkpoint(reader, *pupil.served.key)
        if newest is None:
            return 0, [f"{pupil.name}: it has no checkpoint yet, and nothing to forget"], None
        chosen = _chosen(reader, pupil, newest, condition, ledger)
        items = labelled_content(reader, chosen)
        if not len(items):
            return 0, [f"{pupil.name}: no item that taught it fits, or it has forgotten them already"], None
        learner.load(load_checkpoint(project.store_folder, newest.name))
        others = _others(reader, pupil, newest, items, ledger) if exact else None
        lesson, found = _lesson(reader, pupil, learner, newest, items, others)
        last, served = cursor(reader, pupil.served.consumer), served_checkpoint(reader, pupil.served)
    lines = [f"{pupil.name}: {line}" for line in [*found.lines(), *_what_stays(pupil, newest), _how(learner, exact)]]
    if not dry:
        reason = f"{len(items)} items"
        ruling = Ruling(last, served.name if served else "", FORGOT, reason, tuple(found.measures()))
        write = lesson_write(project.store_folder, pupil, learner, lesson, ruling)
        ids = items["item_id"].to_pylist()
        if project.store.commit(Write("forget", write.tables, write.cursors, ledger, ids)).stale:
            raise changed_meanwhile(pupil.name)
    return len(items), lines, {f"{one.name}, {one.slice}": one.value for one in found.measures()}


def _chosen(reader: Reader, pupil: Pupil, newest: Checkpoint, condition: str, ledger: LedgerKey) -> pa.Table:
    """The items that fit and are not forgotten yet."""
    fitting = taught_where(reader, pupil.snapshot, newest.number, condition)
    reader.register("fitting_items", fitting)
    return reader.query(
        "SELECT item_id, label FROM fitting_items ANTI JOIN (SELECT item_id FROM ledger WHERE step = ?"
        " AND step_version = ? AND parameters = ?) USING (item_id) ORDER BY item_id",
        [ledger.step, ledger.step_version, ledger.parameters],
    )


def _others(reader: Reader, pupil: Pupil, newest: Checkpoint, items: pa.Table, ledger: LedgerKey) -> pa.Table:
    """What else taught the learner, without what it has forgotten already."""
    taught = _chosen(reader, pupil, newest, "true", ledger)
    gone = pc.is_in(taught["item_id"], value_set=items["item_id"].combine_chunks())
    return labelled_content(reader, taught.filter(pc.invert(gone)))


def _lesson(
    reader: Reader,
    pupil: Pupil,
    learner: KeyValueBottleneck | KeyValueRidge,
    newest: Checkpoint,
    items: pa.Table,
    others: pa.Table | None,
) -> tuple[Lesson, Forgotten]:
    """Take the items out, with answers to them and to the test items before and after."""
    snapshot = find_snapshot(reader, pupil.snapshot, newest.number)
    increment = Increment(pupil.snapshot, newest.number, newest.number, snapshot.content_hash)
    probe, tests = told_rightly(reader, pupil, learner, items), evaluate(reader, pupil, learner, increment)
    written = int(np.count_nonzero(learner.values.written)) if isinstance(learner, KeyValueBottleneck) else 0
    encoder = KeptEncoder(pupil.encoder, reader)
    if others is not None and isinstance(learner, KeyValueBottleneck):
        pairs = _replay(learner, KeptCodes(learner, encoder, reader), others)
    else:
        pairs = sum(_take_out(learner, encoder.encode(batch), batch) for batch in batches(items, ROWS_AT_ONCE))
    after = told_rightly(reader, pupil, learner, items), evaluate(reader, pupil, learner, increment)
    found = Forgotten(
        items["label"].to_pylist(), pairs, written, (probe, after[0]), (tests, after[1]), len(learner.classes)
    )
    return Lesson(increment, newest.name, -len(items), tests, after[1]), found


def _take_out(learner: KeyValueBottleneck | KeyValueRidge, features: Features, items: pa.Table) -> int:
    """Take a batch of items out of a learner; return how many pairs that emptied."""
    if isinstance(learner, KeyValueBottleneck):
        return learner.forget_codes(learner.codes(features))
    learner.forget(features, items["label"].to_pylist())
    return 0


def _replay(learner: KeyValueBottleneck, codes: KeptCodes, others: pa.Table) -> int:
    """Teach a bottleneck all other items again, from their codes; return how many pairs are written no more."""
    before = learner.values.written
    learner.relearn_codes([(codes.of(batch), batch["label"].to_pylist()) for batch in batches(others, ROWS_AT_ONCE)])
    return int(np.count_nonzero(before & ~learner.values.written))


def _how(learner: KeyValueBottleneck | KeyValueRidge, exact: bool) -> str:
    if isinstance(learner, KeyValueBottleneck):
        return _REPLAYED if exact else _WEAK
    return _EXACT


def _what_stays(pupil: Pupil, newest: Checkpoint) -> list[str]:
    baselines = ", ".join(f"{pupil.name}/{kind}" for kind in BASELINES if kind != pupil.kind)
    return [
        f"checkpoint {newest.name[:12]} and those before it still hold their influence, and so do {baselines};"
        " the items stay in the store (curate erase)"
    ]
