import numpy as np
import pytest

from curate.annotate.gate import Accuracy, accuracy, audits_needed, judge, level_of_look
from curate.statistics import wilson_interval


def of(right: int, audited: int) -> Accuracy:
    return accuracy(np.arange(audited) < right)


def test_plain_audits_have_wilsons_interval_and_a_p_value_that_inverts_it() -> None:
    seen = of(92, 100)
    assert seen.interval() == wilson_interval(92, 100)
    assert seen.low(0.025) == pytest.approx(wilson_interval(92, 100).low)
    assert seen.low(seen.p_value(0.85)) == pytest.approx(0.85)
    assert of(0, 0).p_value(0.85) == 1.0
    assert of(0, 0).low(0.05) == 0.0


def test_confidences_narrow_the_interval_and_it_still_contains_the_truth() -> None:
    generator = np.random.default_rng(1)
    confidence = generator.beta(2, 1, 20_000)
    right = generator.random(20_000) < np.where(confidence > 0.5, 0.98, 0.6)
    held, ratios = 0, []
    for _ in range(400):
        audited = generator.choice(20_000, 200, replace=False)
        seen = accuracy(right[audited], confidence[audited], confidence)
        interval = seen.interval()
        held += not interval.excludes(float(right.mean()))
        ratios.append((interval.high - interval.low) / np.diff(_bounds(right[audited]))[0])
    assert held >= 0.93 * 400
    assert np.median(ratios) < 0.93


def _bounds(right: np.ndarray) -> list[float]:  # type: ignore[type-arg]
    plain = wilson_interval(int(right.sum()), len(right))
    return [plain.low, plain.high]


@pytest.mark.parametrize(("right", "audited"), [(40, 45), (98, 100)])
def test_few_audits_or_errors_are_left_to_wilson(right: int, audited: int) -> None:
    outcome = np.arange(audited) < right
    assert accuracy(outcome, outcome * 0.9, np.full(1_000, 0.8)).method == "wilson"


def test_useless_confidences_change_nothing() -> None:
    generator = np.random.default_rng(2)
    outcome = generator.random(200) < 0.8
    assert accuracy(outcome, np.full(200, 0.9), np.full(1_000, 0.9)).method == "wilson"


@pytest.mark.parametrize("correction", ["two-stage", "benjamini-hochberg", "holm"])
def test_false_passes_stay_below_the_error_rate(correction: str) -> None:
    generator = np.random.default_rng(3)
    true = np.array([0.85] * 6 + [0.95] * 6)
    shares, any_false, power = [], 0, 0
    for _ in range(1_000):
        seen = [of(right, 150) for right in generator.binomial(150, true)]
        passed = np.array([verdict.passed for verdict in judge(seen, 0.85, 0.05, correction)])  # type: ignore[arg-type]
        shares.append(passed[:6].sum() / max(passed.sum(), 1))
        any_false += bool(passed[:6].any())
        power += int(passed[6:].sum())
    assert np.mean(shares) <= 0.05
    assert power >= 0.8 * 6_000
    if correction == "holm":
        assert any_false <= 0.065 * 1_000


def test_a_pass_means_that_its_bound_clears_the_bar() -> None:
    seen = [of(right, 150) for right in (128, 138, 143, 147)]
    for correction in ("benjamini-hochberg", "holm"):
        verdicts = judge(seen, 0.85, 0.05, correction)  # type: ignore[arg-type]
        assert [verdict.passed for verdict in verdicts] == [False, True, True, True]
        assert all((verdict.low >= 0.85) == verdict.passed for verdict in verdicts)


def test_looks_spend_no_more_than_the_error_rate() -> None:
    assert sum(level_of_look(look, 0.05) for look in range(1, 10_000)) <= 0.05
    assert sum(level_of_look(look, 0.05, planned=3) for look in range(1, 10)) == pytest.approx(0.05)


def test_twenty_looks_at_growing_audits_pass_an_attribute_at_the_bar_seldom() -> None:
    generator = np.random.default_rng(4)
    passes = 0
    for _ in range(1_000):
        right = generator.random(1_000) < 0.85
        passes += any(
            judge([accuracy(right[: 50 * look])], 0.85, level_of_look(look, 0.05))[0].passed for look in range(1, 21)
        )
    assert passes <= 0.05 * 1_000


def test_the_planned_audits_pass_as_often_as_planned() -> None:
    needed = audits_needed(0.92, power=0.8)
    assert needed is not None
    right = np.random.default_rng(5).binomial(needed, 0.92, 2_000)
    passed = np.mean([judge([of(int(one), needed)], 0.85, 0.025)[0].passed for one in right])
    assert passed == pytest.approx(0.8, abs=0.05)
    assert audits_needed(0.80) is None
