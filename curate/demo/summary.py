"""What a person reads at the end of the demo, in plain text."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.report import text
from curate.report.data import Agreement, Alignment, ReportData
from curate.report.learned import Accuracy, LearnerSummary
from curate.report.render import interval
from curate.types import StepReport, total

_ON_PURPOSE = {
    "broken-json": "a line that breaks off, as in a download that was cut",
    "missing-text": "a line without a text",
    "missing-column": "a line without a text",
    "binary": "a picture under the name of a text file",
    "not-utf-8": "a picture under the name of a text file",
    "image-does-not-decode": "half of an image",
}
_WHY_DROPPED = {"duplicate": " (they differ in case, white space or Unicode form only)"}
_LEFT_OUT = frozenset({"no label", "no score", "below the cut"})
_EXPORT = {"python-like": "texts", "digits": "images"}


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk through all steps: what had been added before it, and what each step reports."""

    what: str
    reports: tuple[StepReport, ...]

    @property
    def seconds(self) -> float:
        """How long its steps took."""
        return sum(report.seconds for report in self.reports)

    @property
    def idle(self) -> bool:
        """Whether no step found anything to do."""
        return all(report.idle for report in self.reports)


@dataclass(frozen=True, slots=True)
class Summary:
    """What the demo did: the walks of this run, and the state of the store after them."""

    folder: Path
    data: ReportData
    walks: tuple[Walk, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def idle(self) -> bool:
        """Whether this run found nothing new."""
        return all(walk.idle for walk in self.walks)


def format_summary(summary: Summary) -> str:
    """Write the summary for a person, at most 100 characters wide where the machine's own paths are not longer."""
    parts = (
        _section("What came in", _arrived(summary.data)),
        _section("What was refused, and why (the demo broke these on purpose)", _refused(summary.data)),
        _section("What the selection picked", _picked(summary.data)),
        _section("Who labelled the texts", _labelled(summary.data)),
        _section("What the learner can do", _learned(summary.data.learners)),
        _section("The walks of this run", _walked(summary.walks)),
        _section(f"Where it lies, in {summary.folder}", _places(summary)),
        _section(f"Try next: cd {summary.folder}, then", _next_commands(summary)),
    )
    notes = [f"Note: {note}" for note in summary.notes]
    return "\n".join([*(part for part in parts if part), *notes, _last_line(summary)])


def _section(heading: str, lines: Iterator[str]) -> str:
    body = [f"  {text.clean(line)}" for line in lines]
    return "\n".join([heading, *body, ""]) if body else ""


def _arrived(data: ReportData) -> Iterator[str]:
    rows = [
        (
            arrival.source,
            f"{text.count(arrival.origins)} {arrival.modality}s",
            f"{text.count(arrival.items)} different",
            f"{text.count(arrival.origins - arrival.items)} repeated",
            f"{text.count(arrival.rejects)} refused",
        )
        for arrival in data.arrivals
    ]
    yield from _columns(rows)
    yield "by kind: " + ", ".join(f"{name} {text.count(count)}" for name, count in _known_kinds(data).items())
    for reason, count in _drops(data):
        yield f"dropped as {reason}: {text.count(count)}{_WHY_DROPPED.get(reason, '')}"


def _known_kinds(data: ReportData) -> dict[str, int]:
    sources = {arrival.source for arrival in data.arrivals}
    counts: Counter[str] = Counter()
    for label in data.labels:
        if label.annotator in sources and label.attribute == "kind":
            counts[label.value] += label.count
    return dict(counts)


def _drops(data: ReportData) -> list[tuple[str, int]]:
    """What decisions dropped, by reason; what a snapshot left out for other reasons is no drop."""
    drops = [drop for funnel in data.funnels for stage in funnel.stages for drop in stage.drops]
    return [(drop.reason, drop.count) for drop in drops if drop.reason not in _LEFT_OUT]


def _refused(data: ReportData) -> Iterator[str]:
    rows = [
        (text.count(reject.count), reject.reason, reject.samples[0][0], _ON_PURPOSE.get(reject.reason, ""))
        for reject in data.rejects
    ]
    return _columns(rows)


def _picked(data: ReportData) -> Iterator[str]:
    for alignment in data.alignments:
        candidates, chosen = sum(alignment.histogram.counts), sum(alignment.histogram.selected)
        yield f"{text.count(chosen)} of {text.count(candidates)} texts, by their alignment to {alignment.target}"
        yield from _shares(alignment, _known_kinds(data))
        if alignment.spearman_length is not None:
            correlation = text.score(alignment.spearman_length)
            yield f"rank correlation of score and length: {correlation} (0 would be no length bias)"


def _shares(alignment: Alignment, kinds: dict[str, int]) -> Iterator[str]:
    if alignment.selected_share is None or alignment.random_share is None:
        return
    pool = kinds.get(alignment.share_of, 0) / max(sum(kinds.values()), 1)
    yield (
        f"{alignment.share_of} among the picked: {text.percent(alignment.selected_share)}; "
        f"in the pool: {text.percent(pool)}; in a random draw of the same size: {text.percent(alignment.random_share)}"
    )


def _labelled(data: ReportData) -> Iterator[str]:
    sources = {arrival.source for arrival in data.arrivals}
    made: Counter[str] = Counter()
    for label in data.labels:
        if label.annotator not in sources:
            made[label.annotator] += label.count
    for annotator, count in made.items():
        known = _agreement(data.agreements, annotator, sources)
        right = f", right in {text.percent(known.agreed / known.both)} ({interval(known)})" if known.both else ""
        yield f"{annotator}: {text.count(count)} labels{right}"
    for request in data.requests:
        tokens = text.count(request.prompt_tokens + request.completion_tokens)
        yield f"{request.model}: {text.count(request.calls)} requests, {tokens} tokens, {text.seconds(request.seconds)}"


def _agreement(agreements: Sequence[Agreement], annotator: str, sources: set[str]) -> Agreement:
    named = [(pair, {pair.first, pair.second}) for pair in agreements]
    pairs = [pair for pair, names in named if annotator in names and names & sources]
    return Agreement("kind", annotator, "source", sum(pair.agreed for pair in pairs), sum(pair.both for pair in pairs))


def _learned(learners: Sequence[LearnerSummary]) -> Iterator[str]:
    for learner in learners:
        rows = [("increment", "new digits", "learned", "accuracy before", "and after (95% interval)")]
        for increment in learner.increments:
            before = _share(increment.before)
            after = f"{_share(increment.after)} ({interval(increment.after)})" if increment.after else "-"
            classes = ", ".join(increment.new_classes)
            rows.append((str(increment.number), classes, text.count(increment.items), before, after))
        yield from _columns(rows)
        yield from _beside(learner)
        if learner.forgetting is not None:
            yield f"forgetting: the earlier digits lost {text.percent(learner.forgetting)} since their best, on average"


def _share(accuracy: Accuracy | None) -> str:
    """An accuracy in percent; nothing is said of no items."""
    return text.percent(accuracy.value) if accuracy and accuracy.is_known else "-"


def _beside(learner: LearnerSummary) -> Iterator[str]:
    """Name the baselines, and admit it when one of them is better."""
    if not learner.baselines:
        return
    yield "simpler ones: " + ", ".join(f"{name} {_share(accuracy)}" for name, accuracy in learner.baselines)
    reached = learner.increments[-1].after if learner.increments else None
    better = [name for name, accuracy in learner.baselines if reached and accuracy.value > reached.value]
    if better:
        yield f"better than the learner here: {', '.join(better)}"


def _walked(walks: Sequence[Walk]) -> Iterator[str]:
    for walk in walks:
        idle = [report.step for report in walk.reports if report.idle]
        waiting = f"; nothing to do for {', '.join(idle)}" if idle else ""
        items = total([report for report in walk.reports if report.step == "ingest"], "done")
        told = f"{walk.what}: {text.count(items)} new items, {text.seconds(walk.seconds)}{waiting}"
        yield from textwrap.wrap(told, 110, subsequent_indent="  ")


def _places(summary: Summary) -> Iterator[str]:
    rows = [(f"training set of {_EXPORT.get(one.snapshot, one.snapshot)}", one.path) for one in summary.data.exports]
    return _columns([*rows, ("report", "report.html (open it in a browser)"), ("store", "curate-store")])


def _next_commands(summary: Summary) -> Iterator[str]:
    curate = _command(summary.folder)
    best = [sample.item_id[:12] for alignment in summary.data.alignments for sample in alignment.top[:1]]
    yield from (f"{curate} why {item}    # everything about the text that came closest" for item in best)
    yield f"{curate} sql 'SELECT source, reason, count(*) FROM rejects GROUP BY ALL'"
    yield f"{curate} status"


def _command(folder: Path) -> str:
    """How to call curate from the demo's folder: by its name where the shell finds it, else by its path."""
    own = Path(sys.executable).with_name("curate")
    if shutil.which("curate") or not own.is_file():
        return "curate"
    return min(os.path.relpath(own, folder), str(own), key=len)


def _last_line(summary: Summary) -> str:
    duration = text.seconds(summary.seconds)
    if summary.idle:
        return f"Nothing new: everything was there already ({duration}). Delete {summary.folder} to start again."
    return f"Done in {duration}."


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Pad the cells of each column but the last to the same width."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        yield "  ".join([*padded, row[-1]]).rstrip()
