import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from curate.annotate.calibration import (
    ClaimTemperature,
    Temperature,
    abstention_threshold,
    calibrate,
    expected_calibration_error,
    fit_claim_temperature,
    fit_isotonic,
    fit_temperature,
)


def test_a_temperature_that_was_planted_is_found() -> None:
    generator = np.random.default_rng(3)
    honest = generator.dirichlet([0.5, 0.5, 0.5], 20_000)
    true = (honest.cumsum(axis=1) < generator.random((20_000, 1))).sum(axis=1)
    too_sure = Temperature(1 / 3)(honest)
    assert fit_temperature(too_sure, true).temperature == pytest.approx(3.0, rel=0.05)
    assert Temperature(3.0)(too_sure) == pytest.approx(honest, abs=1e-3)


def test_isotonic_regression_agrees_with_scikit_learn() -> None:
    generator = np.random.default_rng(4)
    confidence = generator.random(500).round(2)
    right = generator.random(500) < confidence**2
    theirs = IsotonicRegression(out_of_bounds="clip").fit(confidence, right)
    asked = np.linspace(0, 1, 333)
    assert fit_isotonic(confidence, right)(asked) == pytest.approx(theirs.predict(asked), abs=1e-6)


def test_calibration_lowers_the_error_on_other_items() -> None:
    generator = np.random.default_rng(5)
    confidence = generator.random(4_000)
    right = generator.random(4_000) < confidence**3
    found = calibrate(confidence, right)
    fresh = generator.random(20_000)
    outcome = generator.random(20_000) < fresh**3
    assert found.before == pytest.approx(0.25, abs=0.02)
    assert expected_calibration_error(found.map(fresh), outcome) < 0.03
    assert 0.005 < found.after < 0.05


def test_a_temperature_of_claims_lowers_the_error_of_one_who_is_too_sure() -> None:
    generator = np.random.default_rng(7)
    honest = generator.uniform(0.5, 1.0, 4_000)
    right = generator.random(4_000) < honest
    sure = ClaimTemperature(1 / 3, 2)(honest)
    found = calibrate(sure, right, fit=lambda confidence, hits: fit_claim_temperature(confidence, hits, 2))
    assert isinstance(found.map, ClaimTemperature)
    assert found.map.temperature == pytest.approx(3.0, rel=0.1)
    assert found.map(sure) == pytest.approx(honest, abs=0.02)
    assert found.before > 0.1 > 0.04 > found.after


def test_what_a_claim_leaves_is_shared_among_the_other_values() -> None:
    whole = np.array([[0.7, 0.1, 0.1, 0.1]])
    assert ClaimTemperature(2.0, 4)(np.array([0.7])) == pytest.approx(Temperature(2.0)(whole)[:, 0])


def test_an_annotator_abstains_below_the_confidence_that_it_earns() -> None:
    generator = np.random.default_rng(6)
    confidence = generator.random(5_000)
    right = generator.random(5_000) < confidence
    threshold = abstention_threshold(confidence, right, bar=0.85)
    assert 0.68 < threshold < 0.8
    assert right[confidence >= threshold].mean() >= 0.85
    assert abstention_threshold(confidence, np.zeros(5_000, dtype=bool), bar=0.85) == float("inf")


@pytest.mark.parametrize("bar", [0.8, 0.92, 0.95, 0.99])
def test_a_high_bar_can_be_cleared(bar: float) -> None:
    confidence = np.linspace(1.0, 0.0, 2_000)
    right = np.ones(2_000, dtype=bool)
    assert abstention_threshold(confidence, right, bar) == 0.0
    right[1_500:] = False
    assert 0.0 < abstention_threshold(confidence, right, bar) < 0.3
    few = int(2 * bar / (1 - bar))
    assert abstention_threshold(confidence[:few], right[:few], bar) == float("inf")


def test_nothing_is_no_threshold() -> None:
    assert abstention_threshold(np.empty(0), np.empty(0, dtype=bool), 0.8) == float("inf")
