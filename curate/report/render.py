"""Writes a `ReportData` as one HTML file: style and charts inside, no script, nothing fetched from anywhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.report import charts, text
from curate.report.data import AcquireSummary, Agreement, Alignment, ReportData
from curate.report.learned import Accuracy, LearnerSummary
from curate.statistics import wilson_interval
from curate.types import rank_of

if TYPE_CHECKING:
    from jinja2 import Environment


def render(data: ReportData) -> str:
    """Return the report as one HTML document, the same for equal data.

    Whatever the items contain is escaped, and what a page cannot show (control characters, lone surrogates) becomes
    U+FFFD, so the result always encodes as UTF-8. It needs no network and no script, and says so in its own
    content security policy. Cost: one pass over `data`; about 20 ms for a project of ten snapshots.
    """
    return _environment().get_template("report.html").render(data=data)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=text.count, percent=text.percent, score=text.score, seconds=text.seconds)
    environment.filters.update(interval=interval, scored=text.scored)
    environment.globals.update(bar=charts.bar, alignment_chart=alignment_chart, learner_chart=learner_chart)
    environment.globals["labels_chart"] = labels_chart
    return environment


def _printable(value: Any) -> Any:
    return text.clean(value) if type(value) is str else value


def interval(counted: Accuracy | Agreement) -> str:
    """Write the 95 % Wilson interval of a counted share, with the number of items behind it.

    >>> interval(Accuracy(0.5, 40))
    '35.2 to 64.8%, n = 40'
    """
    hits, trials = _counts(counted)
    found = wilson_interval(hits, trials)
    return f"{100 * found.low:.1f} to {100 * found.high:.1f}%, n = {text.count(trials)}"


def _counts(counted: Accuracy | Agreement) -> tuple[int, int]:
    if isinstance(counted, Agreement):
        return counted.agreed, counted.both
    return round(counted.value * counted.total), counted.total


def alignment_chart(alignment: Alignment, name: str) -> str:
    """Draw an alignment's histogram; its description says the same in words."""
    bins = alignment.histogram
    every, chosen = sum(bins.counts), sum(bins.selected)
    ranks = alignment.ranks
    cut = alignment.cut
    last = "" if cut is None else f" The lowest selected has {text.scored(cut, ranks=ranks)}."
    return charts.histogram(
        bins.edges,
        bins.counts,
        bins.selected,
        alignment.cut,
        name=name,
        title=f"Alignment to {alignment.target}",
        description=(
            f"{text.count(every)} candidates by {'rank' if ranks else 'score'}, "
            f"of which {text.count(chosen)} were selected.{last}"
        ),
        axis="rank" if ranks else "score",
        tick=(lambda value: text.count(rank_of(value))) if ranks else "{:.2f}".format,
    )


def learner_chart(learner: LearnerSummary, name: str) -> str:
    """Draw a learner's accuracy before and after each increment with Wilson intervals."""
    before = tuple(_point(increment.before) for increment in learner.increments)
    after = tuple(_point(increment.after) for increment in learner.increments)
    lowest = tuple(_point(increment.lowest) for increment in learner.increments)
    last = learner.increments[-1].after
    reached = (
        "" if last is None or not last.is_known else f" After the last increment it is {text.percent(last.value)}."
    )
    return charts.line_chart(
        (
            charts.Series("lowest so far", "lowest", lowest),
            charts.Series("before", "before", before),
            charts.Series("after", "after", after),
        ),
        [str(increment.number) for increment in learner.increments],
        name=name,
        title=f"Accuracy of {learner.name}",
        description=f"Accuracy before and after each of {len(learner.increments)} increments.{reached}",
        axis="increment",
    )


def labels_chart(policy: AcquireSummary, name: str) -> str:
    """Draw how right a policy's learner was against the labels that it had asked for."""
    bought = policy.purchases
    return charts.line_chart(
        (charts.Series("accuracy", "after", tuple(charts.Point(one.accuracy, one.low, one.high) for one in bought)),),
        [text.count(one.labels) for one in bought],
        name=name,
        title=f"Accuracy of the learner of {policy.policy} by labels",
        description=f"From {text.percent(bought[0].accuracy)} to {text.percent(bought[-1].accuracy)}.",
        axis="labels spent",
    )


def _point(accuracy: Accuracy | None) -> charts.Point | None:
    if accuracy is None or not accuracy.is_known:
        return None
    found = wilson_interval(*_counts(accuracy))
    return charts.Point(accuracy.value, found.low, found.high)
