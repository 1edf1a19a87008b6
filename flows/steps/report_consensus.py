"""What the report shows of consensus: how far annotators agree, and how right each of them is."""

import math
from collections import defaultdict
from typing import Any

from curate.flows.steps.consensus import SUBJECT
from curate.flows.steps.consensus_kappas import COHEN, FLEISS
from curate.report.data import ConsensusSummary
from curate.store import summaries
from curate.store.reader import Reader


def consensus_summaries(reader: Reader) -> tuple[ConsensusSummary, ...]:
    """Return the newest figures of every question, the best annotator first."""
    newest: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in summaries.metrics(reader):
        if row["subject"].startswith(SUBJECT):
            kept = newest[row["subject"]]
            if kept and kept[0]["number"] < row["number"]:
                kept.clear()
            kept.append(row)
    return tuple(_summary(subject.removeprefix(SUBJECT), rows) for subject, rows in sorted(newest.items()))


def _summary(question: str, rows: list[dict[str, Any]]) -> ConsensusSummary:
    figures = {(row["name"], row["slice"]): row["value"] for row in rows}
    alpha = figures["Krippendorff's alpha", "all"]
    names = [name for figure, name in figures if figure == "accuracy"]
    annotators = [(name, figures["accuracy", name], int(figures["claims", name])) for name in names]
    kappas = [(*key, value) for key, value in figures.items() if key[0] in (FLEISS, COHEN)]
    return ConsensusSummary(
        attribute=question,
        method=rows[0]["checkpoint"],
        alpha=None if alpha is None or math.isnan(alpha) else alpha,
        annotators=tuple(sorted(annotators, key=lambda entry: (-entry[1], entry[0]))),
        kappas=tuple(sorted(kappas, key=lambda entry: (entry[0] == COHEN, entry[1]))),
    )
