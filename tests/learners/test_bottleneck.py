"""The acceptance tests of the key-value bottleneck, at a size that takes a second, on handwritten digits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from curate.errors import ConfigurationError, StoreError, UsageError
from curate.learners.baselines import MajorityClass, NearestClassMean
from curate.learners.bottleneck.keys import KeyPlacement
from curate.learners.bottleneck.learner import KeyValueBottleneck
from curate.learners.bottleneck.lookup import nearest_pairs
from curate.learners.bottleneck.parameters import BottleneckParameters
from curate.learners.bottleneck.projections import Projections
from curate.learners.metrics import AccuracyMatrix, accuracy
from curate.learners.numerics import Features, Integers, softmax

IN_ORDER = [("0", "1"), ("2", "3"), ("4", "5"), ("6", "7"), ("8", "9")]
SHUFFLED = [("7", "2"), ("9", "4"), ("0", "8"), ("1", "3"), ("6", "5")]


def small(seed: int = 0, **changes: Any) -> BottleneckParameters:
    return BottleneckParameters(**({"heads": 16, "pairs": 64, "seed": seed} | changes))


def begun(digits: Any, parameters: BottleneckParameters) -> KeyValueBottleneck:
    learner = KeyValueBottleneck(parameters)
    learner.initialise(digits.features)
    return learner


def walked(learner: KeyValueBottleneck, digits: Any, tasks: Sequence[tuple[str, ...]]) -> AccuracyMatrix:
    matrix = AccuracyMatrix()
    for number, task in enumerate(tasks, start=1):
        learner.learn(*digits.of(*task))
        matrix.add([_accuracy(learner, digits, earlier) for earlier in tasks[:number]])
    return matrix


def _accuracy(learner: KeyValueBottleneck, digits: Any, task: tuple[str, ...]) -> float:
    features, labels = digits.held_out_of(*task)
    return accuracy(learner.predict(features), learner.classes, labels)


class MovingKeys(KeyValueBottleneck):
    """The classic mistake: the keys go on following the data while values are learned."""

    def _learn(self, features: Features, targets: Integers) -> None:
        placement = KeyPlacement(self.parameters, self._generator)
        placement.keys = self.keys.copy()
        projections, _ = self._placed()
        for _ in range(50):
            placement.update(projections.apply(features))
        self._freeze(placement.keys)
        super()._learn(features, targets)


def test_half_of_the_pairs_are_used_on_held_out_items(digits: Any) -> None:
    assert begun(digits, small()).share_fetched(digits.held_out) >= 0.5
    assert begun(digits, BottleneckParameters()).share_fetched(digits.held_out) >= 0.5


def test_without_replacement_of_dead_keys_fewer_pairs_are_used(digits: Any) -> None:
    kept, replaced = (begun(digits, BottleneckParameters(dead_share=share)) for share in (0.0, 0.1))
    assert kept.share_fetched(digits.held_out) < 0.7 * replaced.share_fetched(digits.held_out)


def test_keys_are_the_same_bits_before_and_after_every_task(digits: Any) -> None:
    learner = begun(digits, small())
    before = learner.keys.tobytes()
    walked(learner, digits, IN_ORDER)
    assert learner.keys.tobytes() == before
    with pytest.raises(ValueError, match="read-only"):
        learner.keys[0, 0, 0] = 1.0


def test_rows_that_a_task_does_not_fetch_keep_their_bits(digits: Any) -> None:
    learner = begun(digits, small())
    learner.learn(*digits.of("0", "1"))
    before = learner.values.rows.copy()
    features, labels = digits.of("2", "3")
    learner.learn(features, labels)
    untouched = np.setdiff1d(np.arange(len(before)), learner.codes(features))
    touched = np.unique(learner.codes(features))
    assert len(untouched) > 100
    assert learner.values.rows[untouched].tobytes() == before[untouched].tobytes()
    assert (learner.values.rows[touched] != before[touched]).any(axis=1).all()


@pytest.mark.parametrize("seed", range(3))
def test_at_a_quarter_of_the_heads_and_pairs_it_learns_and_keeps(digits: Any, seed: int) -> None:
    """The small size costs 3 points (94.1 for 97.3 in the specification), so its bar lies lower than joint training."""
    matrix = walked(begun(digits, small(seed)), digits, IN_ORDER)
    assert matrix.final_accuracy >= 0.9
    assert matrix.forgetting <= 0.05


def test_at_full_size_it_reaches_joint_training(digits: Any) -> None:
    joint = LogisticRegression(max_iter=1000).fit(digits.features, digits.labels)
    matrix = walked(begun(digits, BottleneckParameters()), digits, IN_ORDER)
    assert matrix.final_accuracy >= joint.score(digits.held_out, digits.held_out_labels) - 0.02
    assert matrix.forgetting <= 0.02


def test_the_order_of_tasks_hardly_matters(digits: Any) -> None:
    parameters = BottleneckParameters()
    first, second = (walked(begun(digits, parameters), digits, order) for order in (IN_ORDER, SHUFFLED))
    assert abs(first.final_accuracy - second.final_accuracy) < 0.015


def test_keys_that_are_not_frozen_forget(digits: Any) -> None:
    learner = MovingKeys(small())
    learner.initialise(digits.features)
    matrix = walked(learner, digits, IN_ORDER)
    assert matrix.final_accuracy < 0.8
    assert matrix.forgetting > 0.2


def test_without_reserved_classes_late_classes_win_over_early_ones(digits: Any) -> None:
    plain, reserved = (walked(begun(digits, small(reserved_classes=n)), digits, IN_ORDER) for n in (0, 16))
    assert plain.forgetting > reserved.forgetting + 0.01


def test_more_classes_than_reserved_widen_by_zeros(digits: Any) -> None:
    learner = begun(digits, small(reserved_classes=2))
    learner.learn(*digits.of("0", "1"))
    before = learner.values.rows.copy()
    learner.values.widen(3)
    assert learner.values.rows.shape[1] == 4
    assert learner.values.rows[:, :2].tobytes() == before.tobytes()
    assert not learner.values.rows[:, 2:].any()


def test_usage_counts_each_item_once_however_many_passes(digits: Any) -> None:
    learner = begun(digits, small(passes=5))
    features, labels = digits.of("0")
    learner.learn(features, labels)
    assert learner.values.usage.sum() == len(features) * 16


def test_prediction_looks_at_written_pairs_only(digits: Any) -> None:
    learner = begun(digits, small())
    learner.learn(*digits.of("0"))
    codes = learner.codes(digits.held_out, written_only=True)
    assert learner.values.written[codes].all()
    assert not learner.values.written[learner.codes(digits.held_out)].all()
    learner.learn(*digits.of("1"))
    masked, anywhere = (learner.codes(digits.held_out, written_only=only) for only in (True, False))
    found, best = learner.predict(digits.held_out), learner.values.logits(masked)[:, :2]
    assert np.array_equal(found, softmax(best))
    assert not np.array_equal(found, softmax(learner.values.logits(anywhere)[:, :2]))


def test_keys_are_placed_once(digits: Any) -> None:
    learner = KeyValueBottleneck(small())
    assert not learner.initialised
    learner.initialise(digits.features[:0])
    assert not learner.initialised
    learner.learn(digits.features[:50], digits.labels[:50])
    assert learner.initialised
    with pytest.raises(UsageError, match="frozen"):
        learner.initialise(digits.features)


def test_codes_before_keys_are_refused(digits: Any) -> None:
    with pytest.raises(UsageError, match="not placed"):
        KeyValueBottleneck(small()).codes(digits.features)


def test_a_state_of_other_parameters_is_refused_by_name(digits: Any) -> None:
    state = begun(digits, small()).state()
    other = KeyValueBottleneck(small(heads=8))
    with pytest.raises(ConfigurationError, match="heads is 16 there and 8 here") as refused:
        other.load(state)
    assert refused.value.unchanged
    assert not other.initialised


def test_the_version_changes_with_any_parameter() -> None:
    assert KeyValueBottleneck(small()).version == KeyValueBottleneck(small()).version
    assert KeyValueBottleneck(small()).version != KeyValueBottleneck(small(learning_rate=0.2)).version
    assert KeyValueBottleneck(small()).version != KeyValueBottleneck(small(1)).version
    assert MajorityClass().version != NearestClassMean().version


def test_keys_placed_in_advance_survive_saving(digits: Any) -> None:
    saved, loaded = begun(digits, small()), KeyValueBottleneck(small())
    loaded.load(saved.state())
    for learner in (saved, loaded):
        walked(learner, digits, IN_ORDER[:2])
    assert loaded.state() == saved.state()


def test_a_corrupt_state_leaves_the_keys(digits: Any) -> None:
    learner = begun(digits, small())
    with pytest.raises(StoreError):
        learner.load(learner.state()[:-9])
    assert learner.initialised


@pytest.mark.parametrize(
    "bad", [{"heads": 0}, {"pairs": -1}, {"learning_rate": 0.0}, {"key_decay": 1.0}, {"passes": 1.5}, {"seed": True}]
)
def test_parameters_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        BottleneckParameters(**bad)


def test_lookup_finds_the_nearest_key_that_is_allowed() -> None:
    generator = np.random.default_rng(0)
    projected = generator.standard_normal((50, 3, 4)).astype(np.float32)
    keys = generator.standard_normal((3, 7, 4)).astype(np.float32)
    allowed = generator.random((3, 7)) < 0.5
    allowed[:, 2] = True
    distances = np.linalg.norm(projected[:, :, None] - keys[None], axis=3)
    heads = np.arange(3) * 7
    assert (nearest_pairs(projected, keys) == distances.argmin(axis=2) + heads).all()
    expected = np.where(allowed, distances, np.inf).argmin(axis=2) + heads
    assert (nearest_pairs(projected, keys, allowed) == expected).all()


def test_equal_keys_are_told_apart_by_their_order_whatever_the_batch() -> None:
    """Without the rounding in the lookup, an odd number of pairs shows the order in which the library adds."""
    generator = np.random.default_rng(0)
    projected = generator.standard_normal((300, 1, 32)).astype(np.float32)
    twice = generator.permutation(np.repeat(np.arange(37), 2))
    keys = generator.standard_normal((37, 32)).astype(np.float32)[twice][None]
    whole = nearest_pairs(projected, keys)
    first = [int(np.flatnonzero(twice == twice[pair])[0]) for pair in whole[:, 0]]
    assert whole[:, 0].tolist() == first
    for size in (1, 2, 7):
        parts = [nearest_pairs(projected[start : start + size], keys) for start in range(0, 300, size)]
        assert (np.concatenate(parts) == whole).all()


def test_projections_have_unit_columns_and_frozen_statistics(digits: Any) -> None:
    projections = Projections.draw(digits.features, 4, 8, np.random.default_rng(0))
    assert np.allclose(np.linalg.norm(projections.matrix, axis=1), 1.0)
    assert np.allclose(projections.mean, digits.features.mean(axis=0))
    flat = Projections.draw(np.ones((5, 3), dtype=np.float32), 4, 8, np.random.default_rng(0))
    assert not flat.apply(np.ones((2, 3), dtype=np.float32)).any()


def test_placement_is_the_mean_of_what_a_key_attracts() -> None:
    parameters = BottleneckParameters(heads=1, pairs=2, key_width=1, dead_share=0.0)
    placement = KeyPlacement(parameters, np.random.default_rng(0))
    placement.keys = np.array([[[-1.0], [1.0]]], dtype=np.float32)
    placement.update(np.array([-3.0, -1.0, 4.0, 6.0], dtype=np.float32).reshape(4, 1, 1))
    assert np.allclose(placement.keys.ravel(), [-2.0, 5.0], atol=1e-3)


def test_a_dead_key_moves_onto_a_feature_and_stays_for_a_while() -> None:
    parameters = BottleneckParameters(heads=1, pairs=2, key_width=1)
    placement = KeyPlacement(parameters, np.random.default_rng(0))
    placement.keys = np.array([[[0.0], [99.0]]], dtype=np.float32)
    batch = np.array([-1.0] * 30 + [1.0] * 30, dtype=np.float32).reshape(60, 1, 1)
    placement.update(batch)
    assert placement.keys[0, 0] == pytest.approx(0.0, abs=1e-3)
    assert abs(placement.keys[0, 1]) == pytest.approx(1.0)
    placement.update(batch)
    assert sorted(np.sign(placement.keys.ravel())) == [-1.0, 1.0]
