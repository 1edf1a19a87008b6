"""Taking all items of a class out of key-value learners again, on frozen features of CIFAR-10.

Data, learners and increments are those of `learners_cifar`. The class that came first is taken out in five ways:

- the bottleneck's pairs that its items fetch are emptied, with what other classes wrote there: three quarters of all
  pairs, for 900 items fetch widely, so that the others lose what they had there;
- only those of these pairs are emptied of whose fetches at least a fifth were the forgotten items': the rest keeps a
  trace of them. A fifth was chosen from five values on training images of another seed, some of which are learned here,
  none held out;
- the steps of the forgotten items are taken back: ascent from where the values are now, with the codes of the
  forgotten items alone. That is exact to first order, and needs to know how many items a step held;
- the bottleneck learns all other items again from their codes, with the same keys: exact;
- the ridge's sums are rid of them: exact.

Measured are the forgotten class, by how much the others fall (less than nothing where fewer classes compete), and the
seconds, beside those of learning everything. "Values off" is how far the values are from those of learning the others
again, as a share of how far they were before. All are statements about values: encoder and keys may still know the
class.
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
from curate.learners.bottleneck.learner import KeyValueBottleneck
from curate.statistics import bootstrap_interval

EMPTIED, REPLAYED, SUBTRACTED = "bottleneck, pairs emptied", "bottleneck, others learned again", "ridge, sums rid of it"
MOSTLY, TAKEN_BACK = "bottleneck, pairs emptied that are mostly its", "bottleneck, steps taken back"
MOSTLY_SHARE = 0.2
CHANCE, FALL = 10.0, 0.5
Way = Callable[[Any, Split, Sequence[str], Sequence[str]], None]


@dataclass(frozen=True)
class Outcome:
    """Accuracy in percent of the forgotten class after, by how many points the others fell, and seconds.

    `off` is how far a bottleneck's values are from those of learning the others again, 1 being as far as before.
    """

    forgotten: float
    fall: float
    seconds: float
    learning: float
    off: float | None


def _emptied(learner: Any, split: Split, gone: Sequence[str], rest: Sequence[str]) -> None:
    learner.forget_codes(learner.codes(split.of(gone)[0]))


def _mostly_emptied(learner: Any, split: Split, gone: Sequence[str], rest: Sequence[str]) -> None:
    usage = learner.values.usage
    counts = np.bincount(learner.codes(split.of(gone)[0]).ravel(), minlength=len(usage))
    learner.values.forget(np.flatnonzero(counts > MOSTLY_SHARE * usage))


def _taken_back(learner: Any, split: Split, gone: Sequence[str], rest: Sequence[str]) -> None:
    """Ascend as far as each item's step went down: its share of the mean over the step's items."""
    rates, values, codes = learner.parameters, learner.values, learner.codes(split.of(gone)[0])
    column = learner.classes.index(gone[0])
    [taught] = [len(split.of(increment)[1]) for increment in split.increments if gone[0] in increment]
    together = taught / -(-taught // rates.batch_size)
    for _ in range(rates.passes):
        for batch in np.array_split(codes, -(-len(codes) // rates.batch_size)):
            values.descend(
                batch,
                np.full(len(batch), column),
                rate=-rates.learning_rate * len(batch) / together,
                smoothing=rates.label_smoothing,
                clip=rates.gradient_clip,
            )
    values.usage -= np.bincount(codes.ravel(), minlength=len(values.usage))
    values.forget(np.unique(codes)[values.usage[np.unique(codes)] == 0])


def _replayed(learner: Any, split: Split, gone: Sequence[str], rest: Sequence[str]) -> None:
    increments = [[name for name in increment if name in rest] for increment in split.increments]
    taught = [split.of(increment) for increment in increments]
    learner.relearn_codes([(learner.codes(features), labels) for features, labels in taught])


def _subtracted(learner: Any, split: Split, gone: Sequence[str], rest: Sequence[str]) -> None:
    learner.forget(*split.of(gone))


WAYS: Mapping[str, tuple[str, Way]] = {
    EMPTIED: (ONE_PASS, _emptied),
    MOSTLY: (ONE_PASS, _mostly_emptied),
    TAKEN_BACK: (ONE_PASS, _taken_back),
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
    before, state = accuracy_on(learner, split, rest), learner.state()
    start = time.perf_counter()
    way(learner, split, gone, rest)
    seconds = time.perf_counter() - start
    fall = before - accuracy_on(learner, split, rest)
    off = _off(learner, state, split, gone, rest) if isinstance(learner, KeyValueBottleneck) else None
    return Outcome(100 * accuracy_on(learner, split, gone), 100 * fall, seconds, learning, off)


def _off(learner: KeyValueBottleneck, state: bytes, split: Split, gone: Sequence[str], rest: Sequence[str]) -> float:
    other = KeyValueBottleneck(learner.parameters)
    other.load(state)
    before = other.values.rows
    _replayed(other, split, gone, rest)
    exact = other.values.rows
    return float(np.linalg.norm(learner.values.rows - exact) / np.linalg.norm(before - exact))


def _row(name: str, outcomes: Sequence[Outcome]) -> dict[str, object]:
    return {
        "way": name,
        "forgotten class %": str(bootstrap_interval([one.forgotten for one in outcomes])),
        "fall of the others": str(bootstrap_interval([one.fall for one in outcomes])),
        "values off": str(bootstrap_interval([one.off for one in outcomes if one.off is not None]))
        if outcomes[0].off is not None
        else "",
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
