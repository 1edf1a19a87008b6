"""The bottleneck's variant with values in closed form: against its definition, and what it promises."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from curate.errors import BadDataError, ConfigurationError, UsageError
from curate.learners.key_value_ridge import KeyValueRidge, RidgeParameters
from curate.learners.metrics import AccuracyMatrix, accuracy

TASKS = (("7", "1"), ("0", "4"), ("9", "2"), ("3", "8"), ("5", "6"))
SMALL = RidgeParameters(keys=300, fetched=60)


@pytest.fixture
def begun(digits: Any) -> Callable[[], KeyValueRidge]:
    def begin() -> KeyValueRidge:
        learner = KeyValueRidge(SMALL)
        learner.initialise(digits.features)
        return learner

    return begin


def taught(learner: KeyValueRidge, digits: Any, tasks: tuple[tuple[str, ...], ...] = TASKS) -> KeyValueRidge:
    for task in tasks:
        learner.learn(*digits.of(*task))
    return learner


def test_it_keeps_digits_that_arrive_two_at_a_time(begun: Any, digits: Any) -> None:
    learner, matrix = begun(), AccuracyMatrix()
    for number, task in enumerate(TASKS, start=1):
        learner.learn(*digits.of(*task))
        held_out = [digits.held_out_of(*earlier) for earlier in TASKS[:number]]
        matrix.add([accuracy(learner.predict(items), learner.classes, labels) for items, labels in held_out])
    assert matrix.final_accuracy >= 0.97
    assert matrix.forgetting <= 0.03


def test_values_are_the_ridge_solution_of_all_codes(begun: Any, digits: Any) -> None:
    learner = taught(begun(), digits)
    codes = learner.codes(digits.features)
    dense = np.zeros((len(digits.features), SMALL.keys))
    np.put_along_axis(dense, codes.places, codes.strengths, axis=1)
    wanted = np.array([[label == name for name in learner.classes] for label in digits.labels], float) - 0.1
    gram = dense.T @ dense
    ridge = SMALL.shrinkage * np.trace(gram) / SMALL.keys
    values = np.linalg.solve(gram + ridge * np.eye(SMALL.keys), dense.T @ wanted)
    scores = np.exp(SMALL.sharpness * (dense @ values))
    assert np.allclose(learner.predict(digits.features), scores / scores.sum(axis=1, keepdims=True), atol=1e-8)


def test_the_order_of_increments_changes_nothing(begun: Any, digits: Any) -> None:
    forwards, backwards, joint = taught(begun(), digits), taught(begun(), digits, TASKS[::-1]), begun()
    joint.learn(digits.features, digits.labels)
    wanted = forwards.predict(digits.held_out)
    for other in (backwards, joint):
        columns = [other.classes.index(name) for name in forwards.classes]
        assert np.allclose(other.predict(digits.held_out)[:, columns], wanted, atol=1e-8)


def test_an_item_fetches_its_nearest_keys_only(begun: Any, digits: Any) -> None:
    learner = begun()
    codes = learner.codes(digits.held_out)
    assert codes.places.shape == codes.strengths.shape == (len(digits.held_out), SMALL.fetched)
    assert (codes.strengths >= 0).all()
    assert (np.diff(codes.places, axis=1) > 0).all()
    # An item that is a key fetches itself most strongly.
    own = KeyValueRidge(RidgeParameters(keys=len(digits.features), fetched=20))
    own.initialise(digits.features)
    found = own.codes(digits.features[:50])
    strongest = np.take_along_axis(found.places, found.strengths.argmax(axis=1)[:, None], axis=1)[:, 0]
    assert (strongest == np.arange(50)).mean() > 0.9


def test_what_an_increment_does_not_fetch_stays_to_the_bit(begun: Any, digits: Any) -> None:
    learner = taught(begun(), digits, TASKS[:1])
    before, sums = learner._gram.copy(), learner._sums.copy()
    items, labels = digits.of("3")
    learner.learn(items[:2], labels[:2])
    fetched = np.unique(learner.codes(items[:2]).places)
    rest = np.setdiff1d(np.arange(SMALL.keys), fetched)
    assert len(rest) > SMALL.keys / 2
    assert (learner._gram[rest] == before[rest]).all()
    assert (learner._sums[rest, :2] == sums[rest]).all()


def test_forgetting_is_as_if_never_learned(begun: Any, digits: Any) -> None:
    learner = taught(begun(), digits)
    learner.forget(*digits.of("3"))
    never = taught(begun(), digits, (*TASKS[:3], ("8",), TASKS[4]))
    items, labels = digits.held_out_of("3")
    assert accuracy(learner.predict(items), learner.classes, labels) == 0.0
    others = list(never.classes)
    columns = [learner.classes.index(name) for name in others]
    rest, _ = digits.held_out_of(*others)
    found = np.array(others)[learner.predict(rest)[:, columns].argmax(axis=1)]
    expected = np.array(others)[never.predict(rest).argmax(axis=1)]
    assert (found == expected).mean() > 0.995


def test_what_was_never_learned_cannot_be_forgotten(begun: Any, digits: Any) -> None:
    learner = taught(begun(), digits, TASKS[:1])
    before = learner.state()
    with pytest.raises(BadDataError, match="no item of the class '3'"):
        learner.forget(*digits.of("3"))
    assert learner.state() == before


def test_keys_are_placed_once(begun: Any, digits: Any) -> None:
    with pytest.raises(UsageError, match="stay frozen"):
        begun().initialise(digits.features)
    with pytest.raises(UsageError, match="not placed"):
        KeyValueRidge().codes(digits.features)


@pytest.mark.parametrize("items", [1, 2, 5])
def test_a_handful_of_items_is_enough_to_begin(items: int, digits: Any) -> None:
    learner = KeyValueRidge()
    learner.learn(digits.features[:items], digits.labels[:items])
    found = np.array(learner.classes)[learner.predict(digits.features[:items]).argmax(axis=1)]
    assert found.tolist() == list(digits.labels[:items])


def test_parameters_out_of_range_are_refused() -> None:
    for name in ("keys", "fetched", "flattening", "shrinkage", "sharpness"):
        with pytest.raises(ConfigurationError, match=name):
            RidgeParameters(**{name: 0})
