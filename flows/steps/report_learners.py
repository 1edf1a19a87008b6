"""What the report shows of learning: accuracy before and after each increment, per class, beside trivial baselines."""

from collections import defaultdict
from typing import Any

from curate.report.data import Accuracy, Increment, LearnerSummary
from curate.store import summaries
from curate.store.reader import Reader

Metrics = dict[tuple[str, str], float]


def learner_summaries(reader: Reader) -> tuple[LearnerSummary, ...]:
    """Return the history of every learner that is not itself a baseline of another."""
    measured: dict[tuple[str, str, int], Metrics] = defaultdict(dict)
    for row in summaries.metrics(reader):
        measured[row["subject"], row["checkpoint"], row["number"]][row["name"], row["slice"]] = row["value"]
    histories: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in summaries.checkpoints(reader):
        row["metrics"] = measured[row["learner"], row["checkpoint"], row["number"]]
        histories[row["learner"]].append(row)
    turns: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in summaries.promotions(reader):
        turns[row["learner"]].append(row)
    return tuple(_summary(name, histories, turns[name]) for name in histories if "/" not in name)


def _summary(name: str, histories: dict[str, list[dict[str, Any]]], turns: list[dict[str, Any]]) -> LearnerSummary:
    history = histories[name]
    last = history[-1]
    baselines = [
        (other.split("/", 1)[1], rows[-1]) for other, rows in histories.items() if other.startswith(f"{name}/")
    ]
    return LearnerSummary(
        name=name,
        snapshot=last["snapshot"],
        encoder=last["encoder_version"],
        checkpoint=last["checkpoint"],
        increments=tuple(_increment(row, before) for row, before in zip(history, [None, *history], strict=False)),
        classes=tuple((label, _accuracy(last["metrics"], f"class:{label}")) for label in _classes(last["metrics"])),
        baselines=tuple((other, _accuracy(row["metrics"], "all")) for other, row in sorted(baselines)),
        forgetting=_forgetting(history),
        served=turns[0]["checkpoint"] if turns else last["checkpoint"],
        kept=turns[-1]["reason"] if turns and turns[-1]["action"] == "kept" else "",
    )


def _increment(row: dict[str, Any], before: dict[str, Any] | None) -> Increment:
    known = before["classes"] if before else []
    return Increment(
        number=row["number"],
        items=row["items"],
        before=_accuracy(row["metrics"], "all", "accuracy before"),
        after=_accuracy(row["metrics"], "all"),
        new_classes=tuple(label for label in row["classes"] if label not in known),
    )


def _accuracy(metrics: Metrics, slice_name: str, name: str = "accuracy") -> Accuracy:
    return Accuracy(metrics[name, slice_name], int(metrics["test items", slice_name]))


def _classes(metrics: Metrics) -> list[str]:
    return sorted(s.removeprefix("class:") for name, s in metrics if name == "accuracy" and s.startswith("class:"))


def _forgetting(history: list[dict[str, Any]]) -> float | None:
    """Mean over classes met before the last increment of (best earlier accuracy - last accuracy)."""
    if len(history) < 2:
        return None
    last = history[-1]["metrics"]
    falls = []
    for label in history[-2]["classes"]:
        key = ("accuracy", f"class:{label}")
        earlier = [row["metrics"][key] for row in history[:-1] if label in row["classes"] and key in row["metrics"]]
        if earlier and key in last:
            falls.append(max(earlier) - last[key])
    return sum(falls) / len(falls) if falls else None
