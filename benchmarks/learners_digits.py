"""Accuracy and forgetting of the continual learners on handwritten digits that arrive two classes at a time.

Features are the 64 pixels. Each seed draws another split (30 % held out), another order of the classes and another
start of the learners. All learners see the five increments in turn; the joint one sees everything at once. The
bottleneck's keys are placed on the unlabelled training images of all classes, unless the row says otherwise.

Below it, over fewer seeds, are rows with one part taken out (see `harness.bottleneck_ablations`): dead keys are not
replaced, in the paper's way of beginning; keys go on moving, 50 passes in every increment; values decay in each of 50
passes, beside 50 passes without. And rows whose keys are placed on other data than the task's: noise with the images'
mean and deviation, or the images of five classes only. The first three have to fall, as the specification's miniature
did: by 52, 63 and 12 points there. Without replacement the fall depends on how long keys are placed: three passes in
place of ten double it, fifty make it vanish.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness.bars import Bar
from benchmarks.harness.bottleneck_ablations import ablated
from benchmarks.harness.command import Options, Result, main
from curate.learners.factory import BASELINES, learner_named
from curate.learners.metrics import FORMULAS, AccuracyMatrix, accuracy
from curate.learners.numerics import Features
from curate.statistics import Interval, bootstrap_interval, paired_difference

PACKAGES = ("curate", "numpy", "scikit-learn")
BOTTLENECK, JOINT = "key-value-bottleneck", "joint linear"
SEEDS, QUICK_SEEDS = 20, 5
ABLATION_SEEDS, QUICK_ABLATION_SEEDS = 8, 2
INCREMENTS, CLASSES = 5, 10


@dataclass(frozen=True)
class Contender:
    """A row of the table: a kind of learner with parameters, what its keys are placed on, and which part it lacks."""

    kind: str
    parameters: Mapping[str, Any]
    keys_on: str = "all"
    lacks: str = ""


CONTENDERS: Mapping[str, Contender] = {
    BOTTLENECK: Contender(BOTTLENECK, {}),
    "  keys from the first increment": Contender(BOTTLENECK, {}, keys_on="first"),
    "  no reserved classes": Contender(BOTTLENECK, {"reserved_classes": 0}),
    "  no replacement of dead keys": Contender(BOTTLENECK, {"dead_share": 0.0}),
    "  16 heads of 64 pairs": Contender(BOTTLENECK, {"heads": 16, "pairs": 64}),
    "  rate 1000, 10 passes": Contender(BOTTLENECK, {"learning_rate": 1000.0, "passes": 10}),
    **{name: Contender(name, {}) for name in BASELINES},
    "sequential-linear": Contender("sequential-linear", {}),
}
_MANY = {"passes": 50, "batch_size": 64}
_FOLLOWED = {"batch_size": 64, "key_passes": 50}
FROZEN, MOVING = "  50 passes of the keys", "  50 passes of the keys, and in every increment"
KEPT, DECAYING = "  50 passes", "  50 passes, values decay"
UNREPLACED = "  no replacement, sums begun at random keys"
ABLATIONS: Mapping[str, Contender] = {
    UNREPLACED: Contender(BOTTLENECK, {}, lacks="without replacement"),
    FROZEN: Contender(BOTTLENECK, _FOLLOWED),
    MOVING: Contender(BOTTLENECK, _FOLLOWED, lacks="moving keys"),
    KEPT: Contender(BOTTLENECK, _MANY),
    DECAYING: Contender(BOTTLENECK, _MANY, lacks="decaying values"),
    "  keys from noise": Contender(BOTTLENECK, {}, keys_on="noise"),
    "  keys from five classes": Contender(BOTTLENECK, {}, keys_on="five"),
}
FALLS = ((UNREPLACED, BOTTLENECK, 10.0), (MOVING, FROZEN, 20.0), (DECAYING, KEPT, 3.0))
"""Rows that have to fall, below what, and by at least how many points."""


@dataclass(frozen=True)
class Split:
    """One seed's data: items to learn from, items held out, and the classes of each increment."""

    features: Features
    labels: Sequence[str]
    held_out: Features
    held_out_labels: Sequence[str]
    increments: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Outcome:
    """What one contender reached with one seed; accuracy and forgetting in percent, time in seconds."""

    accuracy: float
    forgetting: float
    seconds: float


def run(options: Options) -> Result:
    """Measure accuracy, forgetting and time of every contender over the seeds."""
    seeds = range(options.seed, options.seed + (QUICK_SEEDS if options.quick else SEEDS))
    found: dict[str, list[Outcome]] = {name: [] for name in (*CONTENDERS, JOINT, *ABLATIONS)}
    for number, seed in enumerate(seeds):
        split = _split(seed)
        more = ABLATIONS if number < (QUICK_ABLATION_SEEDS if options.quick else ABLATION_SEEDS) else {}
        for name, contender in {**CONTENDERS, **more}.items():
            found[name].append(_walk(contender, split, seed))
        found[JOINT].append(_joint(split))
        options.note(f"seed {seed}: {found[BOTTLENECK][-1].accuracy:.2f} %, joint {found[JOINT][-1].accuracy:.2f} %")
    return Result(
        bars=_bars(found),
        rows=[_row(name, outcomes) for name, outcomes in found.items()],
        details={"seeds": list(seeds), "formulas": FORMULAS, "outcomes": _record(found)},
        packages=PACKAGES,
    )


def _split(seed: int) -> Split:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, targets = load_digits(return_X_y=True)
    labels = [str(target) for target in targets]
    features = (images / 16).astype(np.float32)
    parts = train_test_split(features, labels, test_size=0.3, stratify=labels, random_state=seed)
    order = [str(digit) for digit in np.random.default_rng(seed).permutation(CLASSES)]
    width = CLASSES // INCREMENTS
    increments = [order[start : start + width] for start in range(0, CLASSES, width)]
    return Split(parts[0], parts[2], parts[1], parts[3], increments)


def _walk(contender: Contender, split: Split, seed: int) -> Outcome:
    learner = _made(contender, seed)
    matrix = AccuracyMatrix()
    start = time.perf_counter()
    if contender.keys_on != "first":
        learner.initialise(_unlabelled(contender, split, seed))
    seconds = time.perf_counter() - start
    for number, increment in enumerate(split.increments, start=1):
        start = time.perf_counter()
        learner.learn(*_of(split.features, split.labels, increment))
        seconds += time.perf_counter() - start
        matrix.add([_accuracy(learner, split, earlier) for earlier in split.increments[:number]])
    return Outcome(100 * matrix.final_accuracy, 100 * matrix.forgetting, seconds)


def _made(contender: Contender, seed: int) -> Any:
    if contender.lacks:
        return ablated(contender.lacks, dict(contender.parameters), seed)
    return learner_named(contender.kind, contender.parameters, seed)


def _unlabelled(contender: Contender, split: Split, seed: int) -> Features:
    """What the keys are placed on."""
    if contender.keys_on == "noise":
        noise = np.random.default_rng(seed).standard_normal(split.features.shape)
        return np.asarray(split.features.mean() + split.features.std() * noise, np.float32)
    if contender.keys_on == "five":
        return split.features[np.isin(split.labels, [str(digit) for digit in range(5)])]
    return split.features


def _accuracy(learner: Any, split: Split, increment: Sequence[str]) -> float:
    features, labels = _of(split.held_out, split.held_out_labels, increment)
    return accuracy(learner.predict(features), learner.classes, labels)


def _of(features: Features, labels: Sequence[str], increment: Sequence[str]) -> tuple[Features, list[str]]:
    chosen = np.isin(labels, increment)
    return features[chosen], [label for label in labels if label in increment]


def _joint(split: Split) -> Outcome:
    """Fit logistic regression to all increments at once; accuracy is the mean over increments, as for the others."""
    from sklearn.linear_model import LogisticRegression

    start = time.perf_counter()
    model = LogisticRegression(max_iter=1000).fit(split.features, split.labels)
    seconds = time.perf_counter() - start
    scores = [model.score(*_of(split.held_out, split.held_out_labels, increment)) for increment in split.increments]
    return Outcome(100 * float(np.mean(scores)), 0.0, seconds)


def _figures(outcomes: Sequence[Outcome], figure: str) -> list[float]:
    return [float(getattr(outcome, figure)) for outcome in outcomes]


def _row(name: str, outcomes: Sequence[Outcome]) -> dict[str, object]:
    right, lost = (bootstrap_interval(_figures(outcomes, figure)) for figure in ("accuracy", "forgetting"))
    return {
        "learner": name,
        "accuracy %": str(right),
        "forgetting": "" if name == JOINT else str(lost),
        "seconds a seed": float(np.median(_figures(outcomes, "seconds"))),
    }


def _bars(found: Mapping[str, Sequence[Outcome]]) -> list[Bar]:
    ours, joint = (_figures(found[name], "accuracy") for name in (BOTTLENECK, JOINT))
    return [
        _bar("accuracy %", bootstrap_interval(ours), 97.0, ">="),
        _bar("forgetting, points", bootstrap_interval(_figures(found[BOTTLENECK], "forgetting")), 2.0, "<="),
        _bar("accuracy over joint linear, points", paired_difference(ours, joint), -2.0, ">="),
        *(_fall(found, *fall) for fall in FALLS),
    ]


def _fall(found: Mapping[str, Sequence[Outcome]], without: str, whole: str, least: float) -> Bar:
    fallen = _figures(found[without], "accuracy")
    fall = paired_difference(_figures(found[whole], "accuracy")[: len(fallen)], fallen)
    return Bar(f"{without.strip()}: fall of accuracy below {whole.strip()}, points", fall.value, least, ">=", fall)


def _bar(name: str, interval: Interval, bar: float, comparison: Any) -> Bar:
    return Bar(f"{BOTTLENECK}: {name}", interval.value, bar, comparison, interval)


def _record(found: Mapping[str, Sequence[Outcome]]) -> dict[str, dict[str, list[float]]]:
    figures = ("accuracy", "forgetting", "seconds")
    return {
        name.strip(): {figure: _figures(all_of_it, figure) for figure in figures} for name, all_of_it in found.items()
    }


if __name__ == "__main__":
    raise SystemExit(main("learners_digits", run))
