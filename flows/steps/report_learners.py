"""What the report shows of learning: accuracy before and after each increment, per class, beside trivial baselines."""

from collections import defaultdict
from typing import Any

from curate.report.learned import Accuracy, Increment, LearnerSummary, SliceSummary
from curate.settings import ADAPTER_PREFIX
from curate.store import summaries
from curate.store.reader import Reader

Metrics = dict[tuple[str, str], float]
_CLASS, _NUMBER = "class:", "number:"
_OVER_TIME = (
    "final accuracy", "average incremental accuracy", "forgetting", "backward transfer", "forward transfer",
    "minimum accuracy",
)  # fmt: skip


def learner_summaries(reader: Reader) -> tuple[LearnerSummary, ...]:
    """Return the history of every learner that is not itself a baseline of another."""
    measured: dict[tuple[str, str, int], Metrics] = defaultdict(dict)
    formulas: dict[str, str] = {}
    for row in summaries.metrics(reader):
        measured[row["subject"], row["checkpoint"], row["number"]][row["name"], row["slice"]] = row["value"]
        formulas[row["name"]] = row["formula"] if row["slice"] == "over time" else formulas.get(row["name"], "")
    histories: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in summaries.checkpoints(reader):
        row["metrics"] = measured[row["learner"], row["checkpoint"], row["number"]]
        histories[row["learner"]].append(row)
    turns: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in summaries.promotions(reader):
        turns[row["learner"]].append(row)
    return tuple(_summary(name, histories, turns[name], formulas) for name in histories if not _is_beside(name))


def _is_beside(name: str) -> bool:
    """Whether it is a baseline of a learner, or an adapter, which takes no increments."""
    return "/" in name or name.startswith(ADAPTER_PREFIX)


def _summary(
    name: str, histories: dict[str, list[dict[str, Any]]], turns: list[dict[str, Any]], formulas: dict[str, str]
) -> LearnerSummary:
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
        classes=_slices(last["metrics"], _CLASS),
        slices=_slices(last["metrics"]),
        baselines=tuple((other, _accuracy(row["metrics"], "all")) for other, row in sorted(baselines)),
        matrix=_matrix(history),
        over_time=_over_time(last["metrics"], formulas),
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
        lowest=_lowest(row["metrics"], "all"),
        seconds=row["seconds"] or 0.0,
        size=row["size"],
        parameters=int(row["metrics"].get(("parameters", "all"), 0)),
    )


def _accuracy(metrics: Metrics, slice_name: str, name: str = "accuracy") -> Accuracy:
    return Accuracy(metrics[name, slice_name], int(metrics["test items", slice_name]))


def _lowest(metrics: Metrics, slice_name: str) -> Accuracy | None:
    if ("minimum accuracy", slice_name) not in metrics:
        return None
    return _accuracy(metrics, slice_name, "minimum accuracy")


def _slices(metrics: Metrics, prefix: str = "") -> tuple[SliceSummary, ...]:
    """Classes where their prefix is given, else what is neither a class nor a number of the snapshot nor all."""
    found = sorted(part for name, part in metrics if name == "accuracy" and part != "all")
    chosen = [part for part in found if part.startswith(prefix or "") and not (_is_built_in(part) and not prefix)]
    return tuple(
        SliceSummary(part.removeprefix(prefix), _accuracy(metrics, part), _lowest(metrics, part)) for part in chosen
    )


def _is_built_in(part: str) -> bool:
    return part.startswith((_CLASS, _NUMBER))


def _matrix(history: list[dict[str, Any]]) -> tuple[tuple[int, tuple[float | None, ...]], ...]:
    numbers = [row["number"] for row in history]
    rows = []
    for row in history:
        known = [row["metrics"].get(("accuracy", f"{_NUMBER}{number}")) for number in numbers]
        rows.append((row["number"], tuple(known)))
    return tuple(rows) if any(value is not None for _, values in rows for value in values) else ()


def _over_time(metrics: Metrics, formulas: dict[str, str]) -> tuple[tuple[str, float, str], ...]:
    known = [name for name in _OVER_TIME if (name, "over time") in metrics]
    return tuple((name, metrics[name, "over time"], formulas[name]) for name in known)


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
