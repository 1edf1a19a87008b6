import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, spearmanr
from sklearn.metrics import average_precision_score

from curate.errors import BadDataError
from curate.statistics import (
    Interval,
    average_precision,
    bootstrap_interval,
    median,
    paired_difference,
    spearman,
    wilson_interval,
)

figures = st.floats(-1e6, 1e6)


def test_bootstrap_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    samples = generator.normal(5.0, 2.0, size=(200, 60))
    intervals = [bootstrap_interval(sample, confidence=0.9, resamples=300, seed=1) for sample in samples]
    held = sum(not interval.excludes(5.0) for interval in intervals)
    assert 0.83 <= held / len(intervals) <= 0.96


@given(sample=st.lists(figures, min_size=1, max_size=30), seed=st.integers(0, 9))
def test_bootstrap_intervals_repeat_and_stay_within_the_sample(sample: list[float], seed: int) -> None:
    interval = bootstrap_interval(sample, median, resamples=50, seed=seed)
    assert interval == bootstrap_interval(sample, median, resamples=50, seed=seed)
    assert min(sample) <= interval.low <= interval.high <= max(sample)
    assert interval.value == np.median(sample)


def test_bootstrap_draws_whole_rows() -> None:
    rows = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    interval = bootstrap_interval(rows, lambda drawn: float(np.max(abs(drawn[:, 1] - 10 * drawn[:, 0]))))
    assert (interval.low, interval.high) == (0, 0)


def test_pairing_removes_what_the_units_share() -> None:
    generator = np.random.default_rng(0)
    units = generator.normal(0, 100, 50)
    interval = paired_difference(units + 1 + generator.normal(0, 0.1, 50), units)
    assert interval.excludes(0)
    assert interval.high - interval.low < 0.2


@given(trials=st.integers(1, 400), data=st.data())
def test_wilson_equals_scipy(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    interval = wilson_interval(successes, trials, confidence=0.9)
    reference = binomtest(successes, trials).proportion_ci(0.9, method="wilson")
    assert (interval.low, interval.high) == pytest.approx((reference.low, reference.high), abs=1e-12)
    assert interval.low <= interval.value <= interval.high


def test_no_trials_say_nothing() -> None:
    assert wilson_interval(0, 0) == Interval(0.0, 0.5, 1.0)


ranked = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1).filter(
    lambda rows: any(row[0] for row in rows)
)


@given(rows=ranked)
def test_average_precision_equals_sklearn(rows: list[tuple[bool, int]]) -> None:
    relevant, scores = [row[0] for row in rows], [row[1] for row in rows]
    assert average_precision(relevant, scores) == pytest.approx(average_precision_score(relevant, scores), abs=1e-12)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: bootstrap_interval([]),
        lambda: bootstrap_interval(1.0),
        lambda: bootstrap_interval([1.0, float("nan")]),
        lambda: bootstrap_interval([1.0], confidence=1.0),
        lambda: paired_difference([1.0, 2.0], [1.0]),
        lambda: wilson_interval(3, 2),
        lambda: wilson_interval(-1, 2),
        lambda: wilson_interval(1, 2, confidence=0),
        lambda: median([]),
        lambda: average_precision([False], [1.0]),
        lambda: average_precision([True, False], [1.0]),
        lambda: average_precision([True], [float("nan")]),
    ],
)
def test_bad_data_is_refused(broken) -> None:
    with pytest.raises(BadDataError):
        broken()


def test_importing_the_module_loads_no_numpy() -> None:
    program = "import sys, curate.statistics; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=40))
def test_spearman_equals_scipy(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(column, float) for column in zip(*pairs, strict=True))
    if first.std() == 0 or second.std() == 0:
        assert spearman(first, second) == 0.0
    else:
        assert spearman(first, second) == pytest.approx(float(spearmanr(first, second).statistic), abs=1e-12)
