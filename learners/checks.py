"""The battery that every learner passes: call `check_learner` in the tests of a new one."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from curate.errors import BadDataError, CurateError, StoreError
from curate.learners.metrics import accuracy
from curate.learners.numerics import Array, Features
from curate.types import Learner

Factory: TypeAlias = Callable[[], Learner]
Check: TypeAlias = Callable[[Factory, Features, Sequence[str]], None]
_NEW = "a class never met before"
_TOLERANCE = 0.1


def check_learner(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """Run every check on a kind of learner.

    `factory` returns a new learner with the same seed each time; `features` and `labels` hold at least 20 items of at
    least two classes, the first and the second half holding the same classes.

    Raises:
        AssertionError: names what the learner breaks.
    """
    for check in CHECKS:
        check(factory, features, labels)


def check_shapes(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """`predict` gives a row for each item and a column for each class, and no item gives no row."""
    learner = _taught(factory, features, labels)
    _require(set(learner.classes) == set(labels), "the classes are not the labels")
    _require(len(set(learner.classes)) == len(learner.classes), "a class has two columns")
    shape = (len(features), len(learner.classes))
    _require(learner.predict(features).shape == shape, f"the predictions of {len(features)} items are not {shape}")
    _require(learner.predict(features[:0]).shape == (0, shape[1]), "no item does not give an empty prediction")


def check_probabilities(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """Predictions are float64 probabilities: in [0, 1], with rows that sum to 1."""
    found = _taught(factory, features, labels).predict(features)
    _require(found.dtype == np.float64, f"predictions are {found.dtype}, not float64")
    _require(bool(((found >= 0.0) & (found <= 1.0)).all()), "a probability lies outside [0, 1]")
    _require(np.allclose(found.sum(axis=1), 1.0, rtol=0.0, atol=1e-9), "a row does not sum to 1")


def check_determinism(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """Two learners of one seed end with the same bytes."""
    first, second = (_taught(factory, features, labels) for _ in range(2))
    _require(first.state() == second.state(), "two learners of one seed have different states")
    _require(_same(first.predict(features), second.predict(features)), "two learners of one seed predict differently")


def check_predicting_changes_nothing(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """`predict` and `state` only look."""
    learner = _taught(factory, features, labels)
    before = learner.state()
    learner.predict(features)
    _require(learner.state() == before, "predicting changes the state")


def check_input_is_kept(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """The caller's features are not written to."""
    mine = features.copy()
    _taught(factory, mine, labels).predict(mine)
    _require(_same(mine, features), "the learner writes into its caller's features")


def check_saving(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """A loaded learner is the saved one to the bit, and learns on as if nothing had happened."""
    half = len(labels) // 2
    undisturbed = _taught(factory, features[:half], labels[:half])
    resumed = factory()
    resumed.load(undisturbed.state())
    _require(resumed.classes == undisturbed.classes, "a loaded learner has other classes")
    _require(resumed.state() == undisturbed.state(), "a loaded learner has another state")
    _require(_same(resumed.predict(features), undisturbed.predict(features)), "a loaded learner predicts differently")
    for learner in (undisturbed, resumed):
        learner.learn(features[half:], labels[half:])
    _require(resumed.state() == undisturbed.state(), "learning on after loading ends elsewhere than without")


def check_saving_before_learning(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """A learner that has learned nothing can be saved, and loading it makes a learner forget all."""
    fresh = factory().state()
    learner = _taught(factory, features, labels)
    learner.load(fresh)
    _require(learner.state() == fresh, "loading a fresh state does not give a fresh learner")
    learner.learn(features, labels)
    _require(
        learner.state() == _taught(factory, features, labels).state(), "a fresh state does not learn like a new one"
    )


def check_corrupt_states(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """Truncated and altered states are refused and leave the learner as it was."""
    learner = _taught(factory, features, labels)
    state = learner.state()
    altered = bytearray(state)
    altered[-1] ^= 1
    for corrupt in (b"", state[:20], state[:-1], state + b"\0", bytes(altered), b"not a state" * 9):
        _require_refused(partial(learner.load, corrupt), StoreError, "a corrupt state")
    _require(learner.state() == state, "a refused state changes the learner")


def check_batch_size(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """An item's prediction does not depend on the items beside it."""
    learner = _taught(factory, features, labels)
    whole = learner.predict(features)
    for size in (1, 7, len(features) // 2):
        parts = [learner.predict(features[start : start + size]) for start in range(0, len(features), size)]
        together = np.concatenate(parts)
        _require(np.allclose(together, whole, rtol=0.0, atol=1e-9), f"batches of {size} give other predictions")


def check_single_items(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """Items can come one by one, the very first included."""
    learner = factory()
    for row in range(10):
        learner.learn(features[row : row + 1], labels[row : row + 1])
    _require(set(learner.classes) == set(labels[:10]), "single items do not give their classes")
    _require(bool(np.isfinite(learner.predict(features)).all()), "single items give predictions that are not finite")


def check_new_class(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """A class that was never met before gets the last column; the others keep theirs."""
    learner = _taught(factory, features, labels)
    before = learner.classes
    learner.learn(features[:5], [_NEW] * 5)
    _require(learner.classes == (*before, _NEW), "a new class does not join at the end")
    _require(learner.predict(features).shape[1] == len(before) + 1, "a new class does not widen the predictions")


def check_empty_batch(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """An empty increment changes nothing, neither at the start nor later."""
    for learner in (factory(), _taught(factory, features, labels)):
        before = learner.state()
        learner.learn(features[:0], [])
        _require(learner.state() == before, "an empty increment changes the learner")


def check_bad_input(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """Values that are not finite, another dimension and labels that do not fit are refused and change nothing."""
    learner = _taught(factory, features, labels)
    before = learner.state()
    broken = features.copy()
    broken[3, 0] = np.nan
    endless = features.copy()
    endless[3, 0] = np.inf
    for name, bad in (("NaN", broken), ("infinity", endless), ("another dimension", features[:, 1:])):
        _require_refused(partial(learner.learn, bad, labels), BadDataError, f"learning from {name}")
        _require_refused(partial(learner.predict, bad), BadDataError, f"predicting from {name}")
    _require_refused(partial(learner.learn, features, labels[1:]), BadDataError, "a label too few")
    _require(learner.state() == before, "refused input changes the learner")


def check_predicting_before_learning(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """A learner without classes says that it has learned nothing."""
    _require_refused(partial(factory().predict, features), CurateError, "predicting before learning")


def check_label_order(factory: Factory, features: Features, labels: Sequence[str]) -> None:
    """The order in which names are met or sorted decides the columns and nothing else; a column keeps its class.

    One learner meets the alphabetically first class last and is reloaded in between; another gets the same classes
    under names that sort the other way round. By name, both are about as accurate as one taught in the usual order.
    """
    expected = _accuracy(_taught(factory, features, labels), features, labels) - _TOLERANCE
    names = sorted(set(labels))
    late = np.array([label != names[0] for label in labels])
    learner = _taught(factory, features[late], [label for label in labels if label != names[0]])
    learner.load(learner.state())
    learner.learn(features, labels)
    _require(learner.classes == (*names[1:], names[0]), "a class has moved to another column")
    _require(_accuracy(learner, features, labels) >= expected, "a class that is met later corrupts the others")
    swapped = dict(zip(names, reversed(names), strict=True))
    renamed = [swapped[label] for label in labels]
    _require(_accuracy(_taught(factory, features, renamed), features, renamed) >= expected, "the names' order matters")


def _taught(factory: Factory, features: Features, labels: Sequence[str]) -> Learner:
    learner = factory()
    learner.learn(features, labels)
    return learner


def _accuracy(learner: Learner, features: Features, labels: Sequence[str]) -> float:
    return accuracy(learner.predict(features), learner.classes, labels)


def _same(first: Array, second: Array) -> bool:
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _require_refused(call: Callable[[], object], error: type[CurateError], what: str) -> None:
    try:
        call()
    except error:
        return
    raise AssertionError(f"{what} is not refused with {error.__name__}")


CHECKS: tuple[Check, ...] = (
    check_shapes,
    check_probabilities,
    check_determinism,
    check_predicting_changes_nothing,
    check_input_is_kept,
    check_saving,
    check_saving_before_learning,
    check_corrupt_states,
    check_batch_size,
    check_single_items,
    check_new_class,
    check_empty_batch,
    check_bad_input,
    check_predicting_before_learning,
    check_label_order,
)
