"""Utilities against their definitions and against scikit-activeml's."""

import numpy as np
import pytest

from curate.errors import BadDataError
from curate.select.stream import utilities
from curate.select.stream.density import Cognition, Neighbourhood, only_dense
from curate.select.stream.design import OptimalDesign, threshold_from_history

GENERATOR = np.random.default_rng(0)
PROBABILITIES = GENERATOR.dirichlet(np.ones(4), 200)
COMMITTEE = GENERATOR.dirichlet(np.ones(3), (5, 100))


def test_all_are_lowest_for_the_sure_and_highest_for_the_unsure() -> None:
    sure, unsure = np.eye(4)[:1], np.full((1, 4), 0.25)
    for utility in (utilities.least_confidence, utilities.margin, utilities.entropy):
        low, high = utility(sure)[0], utility(unsure)[0]
        assert abs(low) < 1e-12
        assert high == pytest.approx(0.75 if utility is utilities.least_confidence else 1.0)
        values = utility(PROBABILITIES)
        assert ((values >= low) & (values <= high + 1e-12)).all()
    for utility in (utilities.margin, utilities.entropy):
        assert utility(np.ones((3, 1))).tolist() == [0, 0, 0]


def test_a_committee_of_one_mind_does_not_disagree() -> None:
    agreed = np.repeat(COMMITTEE[:1], 5, axis=0)
    for utility in (utilities.vote_entropy, utilities.consensus_divergence, utilities.disagreement):
        assert np.abs(utility(agreed)).max() < 1e-12
        assert utility(COMMITTEE).min() >= 0
    split = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert utilities.vote_entropy(split)[0] == pytest.approx(1.0)
    assert utilities.consensus_divergence(split)[0] == pytest.approx(np.log(2))
    assert utilities.disagreement(split)[0] == 1.0


def test_divergence_and_vote_entropy_equal_those_of_scikit_activeml() -> None:
    committee = pytest.importorskip("skactiveml.pool")
    from skactiveml.pool import average_kl_divergence

    expected = average_kl_divergence(COMMITTEE)
    assert np.allclose(utilities.consensus_divergence(COMMITTEE), expected)
    votes = COMMITTEE.argmax(axis=2).T
    counted = committee.vote_entropy(votes, np.arange(3))
    assert np.allclose(utilities.vote_entropy(COMMITTEE) * np.log(3), counted)


def test_error_reduction_equals_scikit_activemls() -> None:
    pytest.importorskip("skactiveml.pool")
    from skactiveml.pool import cost_reduction

    counts = GENERATOR.exponential(1.0, (50, 3))
    for most in (1, 2, 3):
        expected = cost_reduction(counts, prior=0.001, m_max=most)
        found = utilities.expected_error_reduction(counts, 0.001, most)
        assert np.allclose(found, np.maximum(expected, 0), atol=1e-9), most


def test_expected_model_change_is_the_mean_norm_of_the_gradient() -> None:
    features = GENERATOR.normal(size=(20, 3))
    probabilities = PROBABILITIES[:20]
    expected = [
        sum(p[k] * np.linalg.norm(np.outer(p - np.eye(4)[k], x)) for k in range(4))
        for p, x in zip(probabilities, features, strict=True)
    ]
    assert np.allclose(utilities.expected_model_change(probabilities, features), expected)


def test_designs_measure_what_they_say() -> None:
    design = OptimalDesign(3, ridge=0.5)
    asked = GENERATOR.normal(size=(10, 3))
    for item in asked:
        design.add(item)
    information = 0.5 * np.eye(3) + asked.T @ asked
    assert np.allclose(design.inverse, np.linalg.inv(information))
    new = GENERATOR.normal(size=3)
    more = information + np.outer(new, new)
    growth = np.linalg.det(more) / np.linalg.det(information) - 1
    assert design.d_optimality(new[None])[0] == pytest.approx(growth)
    fall = np.trace(np.linalg.inv(information)) - np.trace(np.linalg.inv(more))
    assert design.a_optimality(new[None])[0] == pytest.approx(fall)
    with pytest.raises(BadDataError):
        OptimalDesign(0)


def test_the_threshold_leaves_the_rate_above() -> None:
    history, later = (np.random.default_rng(seed).chisquare(5, 3_000) for seed in (1, 2))
    for rate in (0.01, 0.05, 0.2):
        share = (later > threshold_from_history(history, rate)).mean()
        assert share == pytest.approx(rate, abs=0.015)
    with pytest.raises(BadDataError):
        threshold_from_history(np.array([1.0]), 0.1)


def test_neighbourhoods_equal_those_of_scikit_activeml() -> None:
    stream = pytest.importorskip("skactiveml.stream")
    features = GENERATOR.normal(size=(400, 4))
    dense = stream.StreamDensityBasedAL(window_size=50, random_state=0)
    dense.update(features[:0], [])
    expected = []
    for item in features:
        expected.append(int(dense._calculate_ldf([item])))
        dense.window_.append(item)
    assert Neighbourhood(50).counts(features).tolist() == expected
    assert 0 < sum(count == 0 for count in expected) < 400
    dual = stream.CognitiveDualQueryStrategyRan(cognition_window_size=8, random_state=0)
    dual.update(features[:0], [])
    counts = []
    for item in features:
        counts.append(int(dual._calculate_ldf([item])))
        dual.t_ += 1
    assert Cognition(8).counts(features).tolist() == counts


def test_sparse_items_are_not_asked_about() -> None:
    masked = only_dense(np.array([0.5, 0.6]), np.array([0, 1]))
    assert np.isnan(masked).tolist() == [True, False]


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(BadDataError, match="dimensions"):
        utilities.entropy(np.zeros(3))
    with pytest.raises(BadDataError, match="dimensions"):
        utilities.vote_entropy(np.zeros((3, 2)))
