"""Taking all items of a class out of key-value learners again, on frozen features of CIFAR-10.

Data, learners and increments are those of `learners_cifar`. The class that came first is taken out in three ways: the
bottleneck's pairs that its items fetch are emptied, with what other classes wrote there; the bottleneck learns all
other items again from their codes, with the same keys; the ridge's sums are rid of them. Measured are the forgotten
class, by how much the others fall, and the seconds, beside those of learning everything. All are statements about
values: encoder and keys may still know the class.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness.bars import Bar
from benchmarks.harness.cifar import WIDTHS, digit_features
from benchmarks.harness.command import Options, Result, main
from benchmarks.learners_cifar import (
    CONTENDERS,
    ONE_PASS,
    PACKAGES,
    QUICK_ITEMS,
    QUICK_SEEDS,
    RIDGE,
    SEEDS,
    Begun,
    Split,
    accuracy_on,
    begun_learner,
    drawn_split,
)
from curate.statistics import bootstrap_interval

EMPTIED, REPLAYED, SUBTRACTED = "bottleneck, pairs emptied", "bottleneck, others learned again", "ridge, sums rid of it"
CHANCE, FALL = 10.0, 0.5
Way = Callable[[Any, Split, Sequence[str], Sequence[str]], None]


@dataclass(frozen=True)
class Outcome:
    """Accuracy in percent of the forgotten class after, by how many points the others fell, and seconds."""

    forgotten: float
    fall: float
    seconds: float
    learning: float


def _emptied(learner: Any, split: Split, gone: Sequence[str], rest: Sequence[str]) -> None:
    learner.forget_codes(learner.codes(split.of(gone)[0]))


def _replayed(learner: Any, split: Split, gone: Sequence[str], rest: Sequence[str]) -> None:
    increments = [[name for name in increment if name in rest] for increment in split.increments]
    taught = [split.of(increment) for increment in increments]
    learner.relearn_codes([(learner.codes(features), labels) for features, labels in taught])


def _subtracted(learner: Any, split: Split, gone: Sequence[str], rest: Sequence[str]) -> None:
    learner.forget(*split.of(gone))


WAYS: Mapping[str, tuple[str, Way]] = {
    EMPTIED: (ONE_PASS, _emptied),
    REPLAYED: (ONE_PASS, _replayed),
    SUBTRACTED: (RIDGE, _subtracted),
}


def run(options: Options) -> Result:
    """Measure every way over the seeds."""
    seeds = range(options.seed, options.seed + (QUICK_SEEDS if options.quick else SEEDS))
    found: dict[str, list[Outcome]] = {way: [] for way in WAYS}
    elsewhere = digit_features()[:, : WIDTHS[0]]
    for seed in seeds:
        split, begun = drawn_split(seed, QUICK_ITEMS if options.quick else None), dict[str, Begun]()
        for name, (contender, way) in WAYS.items():
            learner, _ = begun_learner(CONTENDERS[contender], split, begun, seed, elsewhere)
            found[name].append(_outcome(learner, split, way))
            options.note(f"seed {seed}: {name}: {found[name][-1].forgotten:.2f} %, fall {found[name][-1].fall:.2f}")
    return Result(
        bars=[bar for name, outcomes in found.items() for bar in _bars(name, outcomes)],
        rows=[_row(name, outcomes) for name, outcomes in found.items()],
        details={"seeds": list(seeds), "outcomes": {name: [vars(one) for one in all_] for name, all_ in found.items()}},
        packages=PACKAGES,
    )


def _outcome(learner: Any, split: Split, way: Way) -> Outcome:
    start = time.perf_counter()
    for increment in split.increments:
        learner.learn(*split.of(increment))
    learning = time.perf_counter() - start
    gone = split.increments[0][:1]
    rest = [name for increment in split.increments for name in increment if name not in gone]
    before = accuracy_on(learner, split, rest)
    start = time.perf_counter()
    way(learner, split, gone, rest)
    seconds = time.perf_counter() - start
    fall = before - accuracy_on(learner, split, rest)
    return Outcome(100 * accuracy_on(learner, split, gone), 100 * fall, seconds, learning)


def _row(name: str, outcomes: Sequence[Outcome]) -> dict[str, object]:
    return {
        "way": name,
        "forgotten class %": str(bootstrap_interval([one.forgotten for one in outcomes])),
        "fall of the others": str(bootstrap_interval([one.fall for one in outcomes])),
        "seconds": float(np.median([one.seconds for one in outcomes])),
        "seconds of learning": float(np.median([one.learning for one in outcomes])),
    }


def _bars(name: str, outcomes: Sequence[Outcome]) -> list[Bar]:
    gone, fall = (bootstrap_interval([getattr(one, figure) for one in outcomes]) for figure in ("forgotten", "fall"))
    return [
        Bar(f"{name}: accuracy % of the forgotten class", gone.value, CHANCE, "<=", gone),
        Bar(f"{name}: fall of the others, points", fall.value, FALL, "<=", fall),
    ]


if __name__ == "__main__":
    raise SystemExit(main("unlearning", run))
