"""What the report shows of choosing: funnels, scores and snapshots."""

from collections import Counter, defaultdict
from hashlib import sha256

import numpy as np

from curate.flows.steps.align import UNCONTROLLED
from curate.flows.steps.compare import SUBJECT
from curate.report.data import Alignment, Drop, Funnel, Histogram, Rival, Sample, SnapshotSummary, SourceShare, Stage
from curate.statistics import spearman, wilson_interval
from curate.store import summaries
from curate.store.reader import Reader
from curate.store.snapshots import SnapshotRow, latest_snapshot, snapshot_row, stage_of
from curate.types import is_rank

_EXAMPLES = 5
_PAST = "in the split of its past"
_STAGES = (
    ("decided", "kept by every decision"),
    ("claimed", "labelled and scored"),
    ("placed", _PAST),
    ("cut", "selected"),
)


def snapshot_summaries(reader: Reader) -> tuple[SnapshotSummary, ...]:
    """Return every snapshot with its splits and labels."""
    splits: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    labels: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for row in summaries.snapshot_counts(reader):
        key = (row["snapshot"], row["number"])
        splits[key][row["split"]] += row["items"]
        if row["label"] is not None:
            labels[key][row["label"]] += row["items"]
    return tuple(
        SnapshotSummary(
            name=row["snapshot"],
            number=row["number"],
            size=row["size"],
            content_hash=row["content_hash"],
            splits=tuple(sorted(splits[row["snapshot"], row["number"]].items())),
            labels=tuple(sorted(labels[row["snapshot"], row["number"]].items())),
            added=row["added"],
            removed=row["removed"],
        )
        for row in summaries.snapshots(reader)
    )


def funnels(reader: Reader, listed: tuple[SnapshotSummary, ...]) -> tuple[Funnel, ...]:
    """Return the newest funnel of each snapshot."""
    return tuple(_funnel(reader, name, row) for name, row in _newest_rows(reader, listed))


def alignments(reader: Reader, listed: tuple[SnapshotSummary, ...]) -> tuple[Alignment, ...]:
    """Return the scores behind each snapshot that is ranked by a selector."""
    found = []
    for name, row in _newest_rows(reader, listed):
        selector = str(row.spec["order_by"])
        if selector and (alignment := _alignment(reader, selector, name, row)) is not None:
            found.append(alignment)
    return tuple(found)


def _newest_rows(reader: Reader, listed: tuple[SnapshotSummary, ...]) -> list[tuple[str, SnapshotRow]]:
    names = dict.fromkeys(snapshot.name for snapshot in listed)
    found = [(name, latest_snapshot(reader, name)) for name in names]
    return [(name, snapshot_row(reader, snapshot)) for name, snapshot in found if snapshot is not None]


def _funnel(reader: Reader, name: str, row: SnapshotRow) -> Funnel:
    counts = {line: count for line, count in row.funnel.items() if line not in ("arrived", "selected")}
    arrived = row.funnel["arrived"]
    samples = {drop["reason"]: drop["samples"] for drop in summaries.dropped(reader, row.modality)}
    stages = [Stage("arrived", arrived)]
    groups = [(title, [line for line in counts if stage_of(line) == stage]) for stage, title in _STAGES]
    left = arrived
    for title, reasons in groups:
        if title == _PAST and not reasons:
            continue
        drops = tuple(
            _drop(reason, counts[reason], samples.get(reason.removeprefix("dropped: "), [])) for reason in reasons
        )
        left -= sum(drop.count for drop in drops)
        stages.append(Stage(title, left, drops))
    return Funnel(name, tuple(stages))


def _drop(reason: str, count: int, samples: list[dict[str, str | None]]) -> Drop:
    shown = tuple(Sample(s["item_id"] or "", s["locator"] or "", s["excerpt"] or "") for s in samples)
    return Drop(reason.removeprefix("dropped: "), count, shown)


def _alignment(reader: Reader, selector: str, name: str, row: SnapshotRow) -> Alignment | None:
    newest = latest_snapshot(reader, name)
    scored = summaries.scores(reader, selector, name, newest.number if newest else 0)
    if not scored:
        return None
    values = [entry["score"] for entry in scored]
    chosen = [entry["selected"] for entry in scored]
    best, worst = scored[:_EXAMPLES], scored[-_EXAMPLES:]
    texts = summaries.excerpts(reader, [entry["item_id"] for entry in (*best, *worst)])
    share_of, selected_share, random_share = _shares(reader, row, scored)
    uncontrolled = summaries.scores(reader, UNCONTROLLED, name, 0) if selector == "align" else []
    return Alignment(
        selector=selector,
        ranks=is_rank(selector, scored[0]["selector_version"]),
        target=scored[0]["target"],
        histogram=Histogram.of(values, chosen),
        cut=min((value for value, is_chosen in zip(values, chosen, strict=True) if is_chosen), default=None),
        top=tuple(_sample(entry, texts) for entry in best),
        bottom=tuple(_sample(entry, texts) for entry in worst),
        spearman_length=_length_bias(scored),
        uncontrolled_length=_length_bias(uncontrolled),
        share_of=share_of,
        selected_share=selected_share,
        random_share=random_share,
        rivals=_rivals(reader, name, newest.number) if newest else (),
        sources=_source_shares(reader, selector, name, newest.number) if newest else (),
    )


def _rivals(reader: Reader, snapshot: str, number: int) -> tuple[Rival, ...]:
    """Return what `compare` found for this number of a snapshot, the best bits per character first."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for row in summaries.metrics(reader):
        if row["subject"] == SUBJECT + snapshot and row["number"] == number:
            found[row["slice"]][row["name"]] = row["value"]
    rivals = [
        Rival(
            selector,
            _bounds(figures, "KL reduction"),
            _bounds(figures, "bits per character") if "bits per character" in figures else None,
            _bounds(figures, "length bias"),
            _bounds(figures, "overlap"),
        )
        for selector, figures in found.items()
    ]
    return tuple(sorted(rivals, key=lambda rival: rival.bits[1] if rival.bits else -rival.kl_reduction[1]))


def _bounds(figures: dict[str, float], name: str) -> tuple[float, float, float]:
    """Return a figure with its bounds, which the overlap has not in older stores."""
    value = figures[name]
    return figures.get(f"{name}, low", value), value, figures.get(f"{name}, high", value)


def _source_shares(reader: Reader, selector: str, name: str, number: int) -> tuple[SourceShare, ...]:
    """Return from where the selected come, and the candidates, the most frequent source of the selected first."""
    counts = summaries.source_counts(reader, selector, name, number)
    selected, candidates = (sum(row[part] for row in counts) for part in ("selected", "candidates"))
    found = []
    for row in counts:
        share = wilson_interval(row["selected"], selected)
        bounds = (share.low, share.value, share.high)
        found.append(SourceShare(row["source"], row["selected"], bounds, row["candidates"] / candidates))
    return tuple(found) if selected else ()


def _length_bias(scored: list[dict[str, object]]) -> float | None:
    """Return the rank correlation of score and text length, or None where fewer than two texts were scored.

    What is no text has no length, and a selector such as chance scores it too.
    """
    texts = [entry for entry in scored if entry["length"] is not None]
    columns = [np.array([entry[name] for entry in texts], float) for name in ("score", "length")]
    return spearman(*columns) if len(texts) > 1 else None


def _sample(entry: dict[str, object], texts: dict[str, dict[str, str]]) -> Sample:
    item_id = str(entry["item_id"])
    text = texts.get(item_id, {})
    return Sample(item_id, text.get("locator") or "", text.get("excerpt") or "", float(str(entry["score"])))


def _shares(
    reader: Reader, row: SnapshotRow, scored: list[dict[str, object]]
) -> tuple[str, float | None, float | None]:
    """How much of the selection bears its most frequent label, and of as many candidates drawn by a hash."""
    if not row.spec["label"]:
        return "", None, None
    labels = summaries.labels_of(reader, str(row.spec["label"]))
    chosen = [str(entry["item_id"]) for entry in scored if entry["selected"]]
    counts = Counter(labels[item] for item in chosen if item in labels)
    if not counts:
        return "", None, None
    wanted = counts.most_common(1)[0][0]
    drawn = sorted((str(entry["item_id"]) for entry in scored), key=_draw)[: len(chosen)]
    return wanted, counts[wanted] / len(chosen), sum(labels.get(item) == wanted for item in drawn) / len(drawn)


def _draw(item_id: str) -> str:
    return sha256(f"random:{item_id}".encode()).hexdigest()
