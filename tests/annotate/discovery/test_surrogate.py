"""The classifier that takes over: right where it decides, and silent where it cannot tell."""

import numpy as np
import pytest

from curate.annotate.discovery.surrogate import fit_surrogate

WIDTH = 24


def made(count: int, seed: int, spread: float = 0.35) -> tuple[np.ndarray, list[str]]:
    """Features around one centre for each of three attributes; two fifths of them lie between two."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(3, WIDTH))
    places = generator.integers(0, 3, count)
    features = centres[places] + spread * generator.normal(size=(count, WIDTH))
    between = generator.random(count) < 0.4
    features[between] = (centres[0] + centres[1]) / 2 + spread * generator.normal(size=(int(between.sum()), WIDTH))
    places[between] = generator.integers(0, 2, int(between.sum()))
    return features.astype(np.float32), [("sea", "hill", "unknown")[place] for place in places]


def test_where_it_decides_it_agrees_as_often_as_it_should() -> None:
    surrogate = fit_surrogate(*made(400, 1), bar=0.9)
    assert surrogate is not None
    features, truth = made(2_000, 2)
    names, confidence = surrogate.predict(features)
    sure = confidence >= surrogate.threshold
    right = np.array([name == one for name, one in zip(names, truth, strict=True)])
    assert 0.3 < sure.mean() < 0.97
    assert right[sure].mean() >= 0.88
    assert right[~sure].mean() < 0.8
    assert surrogate.agreement == pytest.approx(right.mean(), abs=0.06)


def test_what_cannot_be_told_is_never_decided() -> None:
    features, truth = made(200, 1)
    mixed = list(np.random.default_rng(0).permutation(truth))
    surrogate = fit_surrogate(features, mixed, bar=0.9)
    assert surrogate is not None
    assert surrogate.threshold == float("inf")
    assert surrogate.sure == 0.0


def test_few_items_or_one_attribute_make_no_classifier() -> None:
    features, truth = made(200, 1)
    assert fit_surrogate(features[:49], truth[:49], bar=0.9) is None
    assert fit_surrogate(features, ["sea"] * 200, bar=0.9) is None
