"""The baselines against their definitions."""

from typing import Any

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid

from curate.errors import ConfigurationError, UnknownNameError
from curate.learners.baselines import (
    DiscriminantParameters,
    MajorityClass,
    NearestClassMean,
    StreamingDiscriminant,
    beaten_by,
)
from curate.learners.encoders.timm_models import EfficientNetLite0
from curate.learners.factory import BASELINES, KINDS, learner_named
from curate.learners.linear import SequentialLinear
from curate.learners.metrics import accuracy


def test_majority_predicts_frequencies() -> None:
    learner = MajorityClass()
    blank = np.zeros((3, 2), dtype=np.float32)
    learner.learn(blank, ["a", "b", "b"])
    learner.learn(blank[:1], ["c"])
    assert learner.predict(blank[:1]).tolist() == [[0.25, 0.5, 0.25]]


def test_nearest_class_mean_is_the_nearest_centroid(digits: Any) -> None:
    learner = NearestClassMean()
    for start in range(0, len(digits.labels), 100):
        learner.learn(digits.features[start : start + 100], digits.labels[start : start + 100])
    reference = NearestCentroid().fit(digits.features, digits.labels)
    found = np.array(learner.classes)[learner.predict(digits.held_out).argmax(axis=1)]
    assert (found == reference.predict(digits.held_out)).all()


def test_streaming_discriminant_is_linear_discriminant_analysis(digits: Any) -> None:
    learner = StreamingDiscriminant(DiscriminantParameters(shrinkage=0.1))
    for task in (("9", "1"), ("2", "3", "4"), ("5", "6", "7", "8", "0"), ("1",)):
        learner.learn(*digits.of(*task))
    features = np.concatenate([digits.features, digits.of("1")[0]])
    labels = digits.labels + digits.of("1")[1]
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1, priors=np.full(10, 0.1))
    # scikit-learn standardises before it shrinks; on one scale for all dimensions the two agree closely.
    expected = reference.fit(features, labels).predict(digits.held_out)
    found = np.array(learner.classes)[learner.predict(digits.held_out).argmax(axis=1)]
    assert (found == expected).mean() > 0.97


def test_the_covariance_does_not_depend_on_the_increments(digits: Any) -> None:
    at_once, in_parts = StreamingDiscriminant(), StreamingDiscriminant()
    at_once.learn(digits.features, digits.labels)
    for row in range(0, len(digits.labels), 37):
        in_parts.learn(digits.features[row : row + 37], digits.labels[row : row + 37])
    in_order = [in_parts.classes.index(name) for name in at_once.classes]
    assert np.allclose(at_once.predict(digits.held_out), in_parts.predict(digits.held_out)[:, in_order], atol=1e-7)


def test_sequential_linear_learns_and_forgets(digits: Any) -> None:
    learner = SequentialLinear()
    learner.learn(*digits.of("0", "1"))
    features, labels = digits.held_out_of("0", "1")
    assert accuracy(learner.predict(features), learner.classes, labels) > 0.95
    for task in (("2", "3"), ("4", "5"), ("6", "7"), ("8", "9")):
        learner.learn(*digits.of(*task))
    assert accuracy(learner.predict(features), learner.classes, labels) < 0.8


def test_beaten_by_names_the_better_ones_only() -> None:
    assert beaten_by(0.9, {"a": 0.95, "b": 0.9, "c": 0.99}) == ("c", "a")


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="majority") as refused:
        learner_named("mayority")
    assert "majority" in refused.value.hint
    with pytest.raises(UnknownNameError, match="shrinkage"):
        learner_named("streaming-discriminant", {"shrinkige": 0.1})
    with pytest.raises(ConfigurationError, match="shrinkage"):
        learner_named("streaming-discriminant", {"shrinkage": "much"})
    with pytest.raises(ConfigurationError, match="needs the network of an encoder"):
        learner_named("channel-reprogramming")
    with pytest.raises(ConfigurationError, match="knows no tasks"):
        learner_named("majority", task="source")


def test_the_factory_names_what_it_makes() -> None:
    assert set(BASELINES) < set(KINDS)
    encoder = EfficientNetLite0(32)
    assert [learner_named(kind, encoder=encoder).name for kind in KINDS] == list(KINDS)
