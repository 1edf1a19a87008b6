"""Drift of passed attributes: how soon rechecks tell that the accuracy dropped, and how often they say so wrongly.

Attributes of a true accuracy of 88, 90 or 95 % pass a bar of 85 % as the gate lets them: a look after every 20 audits,
at the level of the second look, and whoever has not passed within 1,500 begins anew; so some pass by luck, as in life.
Then come rechecks, at the same accuracy or at 82, 75 or 65 %, from the pass on or after 200 rechecks without a drop
(those already alarmed are left out). Asked after every recheck: curate's Bayes factor over the time and the size of a
drop, which knows the audits of the pass, and the cumulative sum against the bar alone that stood in its place before.

Bars: false alarms within 400 rechecks without a drop, and drops to 75 % seen within 100, both over the three
accuracies. The number 50 (see `curate.annotate.drift`) was chosen on other seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.bars import Bar, Comparison
from benchmarks.harness.command import Options, Result, main
from curate.annotate.drift import drifted_after
from curate.annotate.gate import accuracy, level_of_look
from curate.statistics import wilson_interval

PACKAGES = ("curate", "numpy")
BAR = 0.85
PASSED = (0.88, 0.9, 0.95)
DROPS = (0.82, 0.75, 0.65)
RUNS, QUICK_RUNS = 1_000, 100
FIRST_SEED = 1_000
LATE = 200
AFTER = (50, 100, 200, 400)
AT_ONCE, MOST_AUDITS = 20, 1_500
Booleans = NDArray[np.bool_]
Alarms = NDArray[np.int64]
"""The recheck, counted from 1, with which each attribute was taken for drifted; 0 for never."""


def run(options: Options) -> Result:
    """Let attributes pass, drop or stay, and ask after every recheck."""
    runs = QUICK_RUNS if options.quick else RUNS
    generator = np.random.default_rng(FIRST_SEED + options.seed)
    rows: list[dict[str, object]] = []
    false: list[Alarms] = []
    seen: list[Alarms] = []
    for passed in PASSED:
        for dropped, steady in [(passed, 0), *((drop, late) for late in (0, LATE) for drop in DROPS)]:
            audits = [_passing(passed, generator) for _ in range(runs)]
            ours, cusum = _alarms(audits, passed, dropped, steady, generator)
            rows += [_row(passed, dropped, steady, "curate", ours), _row(passed, dropped, steady, "CUSUM", cusum)]
            false += [ours] if dropped == passed else []
            seen += [ours] if (dropped, steady) == (0.75, 0) else []
        options.note(f"passed at {passed:.0%}: done")
    return Result(
        bars=[
            _bar("false alarms within 400 rechecks without a drop, %", np.concatenate(false), 400, 5.0, "<="),
            _bar("drops to 75 % seen within 100 rechecks, %", np.concatenate(seen), 100, 80.0, ">="),
        ],
        rows=rows,
        details={"runs": runs, "bar": BAR},
        packages=PACKAGES,
    )


def _passing(true: float, generator: np.random.Generator) -> tuple[int, int]:
    """Audit an attribute until it passes; return how many audits were right, and how many there were."""
    level = level_of_look(2, 0.05)
    right = np.zeros(0, bool)
    while True:
        right = right if len(right) < MOST_AUDITS else right[:0]
        right = np.concatenate([right, generator.random(AT_ONCE) < true])
        if accuracy(right).low(level) >= BAR:
            return int(right.sum()), len(right)


def _alarms(
    audits: Sequence[tuple[int, int]], passed: float, dropped: float, steady: int, generator: np.random.Generator
) -> tuple[Alarms, Alarms]:
    ours, cusum = [], []
    for before in audits:
        right = np.concatenate([generator.random(steady) < passed, generator.random(AFTER[-1]) < dropped])
        ours.append(drifted_after(right, BAR, before))
        cusum.append(_cusum(right))
    return np.array(ours), np.array(cusum)


def _cusum(right: Booleans, drop: float = 0.1, run_length: float = 200.0) -> int:
    """Page's sum of the likelihood ratio of bar - drop against the bar, with Lorden's threshold."""
    ratio, low = 1.0, BAR - drop
    for place, one in enumerate(right):
        ratio = max(ratio, 1.0) * (low / BAR if one else (1 - low) / (1 - BAR))
        if ratio >= run_length:
            return place + 1
    return 0


def _seen(alarms: Alarms, steady: int, after: int) -> tuple[int, int]:
    fair = alarms[(alarms == 0) | (alarms > steady)]
    return int(((fair > 0) & (fair <= steady + after)).sum()), len(fair)


def _row(passed: float, dropped: float, steady: int, method: str, alarms: Alarms) -> dict[str, object]:
    shares = {after: np.divide(*_seen(alarms, steady, after)) for after in AFTER}
    return {
        "passed at %": 100 * passed,
        "then %": 100 * dropped,
        "after rechecks": steady,
        "method": method,
        **{f"alarm within {after}, %": round(100 * float(share), 1) for after, share in shares.items()},
    }


def _bar(name: str, alarms: Alarms, after: int, bar: float, comparison: Comparison) -> Bar:
    share = wilson_interval(*_seen(alarms, 0, after))
    percent = replace(share, low=100 * share.low, value=100 * share.value, high=100 * share.high)
    return Bar(name, percent.value, bar, comparison, percent)


if __name__ == "__main__":
    raise SystemExit(main("drift", run))
