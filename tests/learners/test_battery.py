"""Every learner passes the battery, and the battery catches learners that break a promise."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from curate.errors import StoreError
from curate.learners import checks
from curate.learners.base import BaseLearner
from curate.learners.baselines import MajorityClass, NearestClassMean
from curate.learners.checks import CHECKS, Check, check_learner
from curate.learners.encoders.timm_models import EfficientNetLite0
from curate.learners.factory import KINDS, REPROGRAMMING, learner_named
from curate.learners.label_map import widened
from curate.learners.linear import SequentialLinear
from curate.learners.numerics import Array, Features, Floats

SMALL: dict[str, dict[str, Any]] = {"key-value-bottleneck": {"heads": 16, "pairs": 64}}
ITEMS = 200


def names(check: Check) -> str:
    return check.__name__


@pytest.mark.parametrize("check", CHECKS, ids=names)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != REPROGRAMMING])
def test_every_learner_passes(kind: str, check: Check, digits: Any) -> None:
    check(lambda: learner_named(kind, SMALL.get(kind), seed=3), digits.features[:ITEMS], digits.labels[:ITEMS])


@pytest.mark.parametrize("check", CHECKS, ids=names)
def test_the_learner_of_pictures_passes(check: Check, digits: Any) -> None:
    features, labels = digits.of("0", "1")
    small = features[:24].reshape(-1, 1, 8, 1, 8, 1)
    pictures = np.broadcast_to(small, (24, 3, 8, 4, 8, 4)).reshape(24, -1).copy()
    parameters = {"passes": 10, "head_passes": 10, "learning_rate": 0.01}
    encoder = EfficientNetLite0(32)
    check(lambda: learner_named(REPROGRAMMING, parameters, seed=3, encoder=encoder), pictures, labels[:24])


class OneTooMany(MajorityClass):
    """Its last probability stands for nothing."""

    def _predict(self, features: Features) -> Floats:
        return np.pad(super()._predict(features), ((0, 0), (0, 1)))


class Unnormalised(MajorityClass):
    def _predict(self, features: Features) -> Floats:
        return super()._predict(features) / 2


class Moody(SequentialLinear):
    """Draws from a generator that nobody seeds."""

    def __init__(self) -> None:
        super().__init__()
        self._generator = np.random.default_rng()


class Restless(SequentialLinear):
    def _predict(self, features: Features) -> Floats:
        self._generator.random()
        return super()._predict(features)


class Scribbler(NearestClassMean):
    def predict(self, features: Features) -> Floats:
        found = super().predict(features)
        features *= 2
        return found


class Amnesiac(SequentialLinear):
    """Forgets where its generator stood."""

    def load(self, state: bytes) -> None:
        super().load(state)
        self._generator = np.random.default_rng(0)


class Sticky(MajorityClass):
    """Keeps its counts when a fresh state is loaded."""

    def _restore(self, arrays: Any) -> None:
        if len(arrays["counts"]):
            super()._restore(arrays)


class Trusting(MajorityClass):
    def load(self, state: bytes) -> None:
        with suppress(StoreError):
            super().load(state)


class Sociable(NearestClassMean):
    """Standardises with the statistics of the batch at hand."""

    def _predict(self, features: Features) -> Floats:
        return super()._predict(features - features.mean(axis=0))


class Jumbled(NearestClassMean):
    """Sorts its classes anew whenever one joins, and leaves its arrays as they are."""

    def learn(self, features: Features, labels: Sequence[str]) -> None:
        super().learn(features, labels)
        self._classes = tuple(sorted(self._classes))


class Alphabetical(NearestClassMean):
    """Believes that the columns are in alphabetical order."""

    def _predict(self, features: Features) -> Floats:
        order = np.argsort(self.classes)
        found: Floats = super()._predict(features)[:, order]
        return found


class Eager(MajorityClass):
    """Counts empty increments."""

    increments = 0

    def learn(self, features: Features, labels: Sequence[str]) -> None:
        super().learn(features, labels)
        self.increments += 1

    def _arrays(self) -> dict[str, Array]:
        return super()._arrays() | {"increments": np.array([self.increments])}


class Gullible(MajorityClass):
    """Takes whatever comes."""

    def learn(self, features: Features, labels: Sequence[str]) -> None:
        super().learn(np.nan_to_num(features), labels)


class Clairvoyant(MajorityClass):
    """Predicts before it has learned."""

    def predict(self, features: Features) -> Floats:
        return super().predict(features) if self.classes else np.zeros((len(features), 0))


class Snob(NearestClassMean):
    """Predicts single items only when it has seen two."""

    def _predict(self, features: Features) -> Floats:
        return super()._predict(features) * (np.nan if self._counts.sum() < ITEMS / 2 else 1.0)


class Closed(MajorityClass):
    """Puts new classes first."""

    def learn(self, features: Features, labels: Sequence[str]) -> None:
        before = self._classes
        super().learn(features, labels)
        self._classes = (*self._classes[len(before) :], *before)


BROKEN: list[tuple[Callable[[], BaseLearner], Check, str]] = [
    (OneTooMany, checks.check_shapes, "predictions of .* items are not"),
    (Unnormalised, checks.check_probabilities, "does not sum to 1"),
    (Moody, checks.check_determinism, "different states"),
    (Restless, checks.check_predicting_changes_nothing, "predicting changes the state"),
    (Scribbler, checks.check_input_is_kept, "caller's features"),
    (Amnesiac, checks.check_saving, "learning on after loading|another state"),
    (Sticky, checks.check_saving_before_learning, "fresh state"),
    (Trusting, checks.check_corrupt_states, "corrupt state"),
    (Sociable, checks.check_batch_size, "other predictions"),
    (Snob, checks.check_single_items, "not finite"),
    (Closed, checks.check_new_class, "at the end"),
    (Eager, checks.check_empty_batch, "empty increment"),
    (Gullible, checks.check_bad_input, "learning from NaN"),
    (Clairvoyant, checks.check_predicting_before_learning, "before learning"),
    (Jumbled, checks.check_label_order, "another column"),
    (Alphabetical, checks.check_label_order, "corrupts the others"),
]


@pytest.mark.parametrize(("factory", "check", "message"), BROKEN, ids=[case[0].__name__ for case in BROKEN])
def test_the_battery_catches_what_is_broken(
    factory: Callable[[], BaseLearner], check: Check, message: str, digits: Any
) -> None:
    with pytest.raises(AssertionError, match=message):
        check(factory, digits.features[:ITEMS], digits.labels[:ITEMS])


def test_every_check_has_caught_something() -> None:
    assert {check for _, check, _ in BROKEN} == set(CHECKS)


def test_the_battery_runs_every_check(digits: Any) -> None:
    check_learner(NearestClassMean, digits.features[:ITEMS], digits.labels[:ITEMS])
    with pytest.raises(AssertionError, match="another column"):
        check_learner(Jumbled, digits.features[:ITEMS], digits.labels[:ITEMS])


def test_the_label_map_grows_at_its_end_only() -> None:
    assert widened(("b",), ["c", "a", "b", "a"]) == ("b", "a", "c")
