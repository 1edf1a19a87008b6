"""Learning, forgetting and raising alarms from the codes of the bottleneck, in machine code and without."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from curate.errors import BadDataError, UsageError
from curate.learners.bottleneck import lookup, machine_code, values
from curate.learners.bottleneck.learner import KeyValueBottleneck
from curate.learners.bottleneck.lookup import KeyIndex
from curate.learners.bottleneck.parameters import BottleneckParameters
from curate.learners.bottleneck.values import ValueTable
from curate.learners.metrics import accuracy, accuracy_per_class


@pytest.fixture
def begun(digits: Any) -> Callable[[], KeyValueBottleneck]:
    def begin() -> KeyValueBottleneck:
        learner = KeyValueBottleneck(BottleneckParameters(heads=16, pairs=64))
        learner.initialise(digits.features)
        return learner

    return begin


@pytest.mark.parametrize(("pairs", "width"), [(5, 3), (64, 8), (600, 14)])
def test_machine_code_finds_what_the_library_finds(pairs: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_code.kernel() is not None, "the tests' environment has numba"
    generator = np.random.default_rng(pairs)
    projected = generator.standard_normal((301, 4, width)).astype(np.float32)
    keys = generator.standard_normal((4, pairs, width)).astype(np.float32)
    allowed = generator.random((4, pairs)) < 0.5
    allowed[:, 0] = True
    compiled = KeyIndex(keys)
    monkeypatch.setattr(lookup, "kernel", lambda: None)
    plain = KeyIndex(keys)
    for mask in (None, allowed):
        assert (compiled.nearest(projected, mask) == plain.nearest(projected, mask)).mean() > 0.999
    assert allowed.ravel()[compiled.nearest(projected, allowed)].all()


@pytest.mark.skipif(
    machine_code.gpu_kernel() is None,
    reason="needs an NVIDIA GPU, and torch with Triton",
)
@pytest.mark.parametrize(("heads", "pairs", "width"), [(3, 5, 3), (8, 600, 14), (64, 4096, 14)])
def test_the_gpu_finds_what_machine_code_finds(heads: int, pairs: int, width: int) -> None:
    generator = np.random.default_rng(0)
    keys = generator.standard_normal((heads, pairs, width)).astype(np.float32)
    projected = generator.standard_normal((300, heads, width)).astype(np.float32)
    allowed = generator.random((heads, pairs)) < 0.3
    allowed[:, -1] = True
    with_gpu, without = (KeyIndex(keys, on_gpu=on_gpu) for on_gpu in (True, False))
    for mask in (None, allowed):
        assert (with_gpu.nearest(projected, mask) == without.nearest(projected, mask)).mean() > 0.9999


def test_without_a_gpu_torch_is_not_imported() -> None:
    program = """
import sys
from pathlib import Path
import numpy as np
from curate.learners.bottleneck import lookup, machine_code
machine_code.NVIDIA = Path("nowhere")
lookup._WORTH_A_GPU = 0
lookup.nearest_pairs(np.ones((2, 3, 4), np.float32), np.ones((3, 5, 4), np.float32))
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    projected = generator.standard_normal((50, 7, 8)).astype(np.float32)
    index = KeyIndex(generator.standard_normal((7, 100, 8)).astype(np.float32))
    alone = index.nearest(projected)
    monkeypatch.setattr(machine_code, "_WORTH_THREADS", 0)
    assert (index.nearest(projected) == alone).all()


def test_a_step_in_machine_code_is_the_step_without(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    codes = (generator.integers(0, 20, (40, 6)) + 20 * np.arange(6)).astype(np.int32)
    targets = generator.integers(0, 3, 40)
    tables = [ValueTable(120, 3) for _ in range(2)]
    for table, way in zip(tables, (machine_code.kernel(), None), strict=True):
        monkeypatch.setattr(values, "kernel", lambda way=way: way)
        for _ in range(5):
            table.descend(codes, targets, rate=30.0, smoothing=0.1, clip=1.0)
    assert tables[0].rows.any()
    assert np.allclose(tables[0].rows, tables[1].rows, rtol=0.0, atol=1e-5)


def test_a_table_holds_fetched_rows_only() -> None:
    table = ValueTable(1_000_000, 100)
    table.count(np.array([[7, 999_999]], dtype=np.int32))
    assert table._rows.nbytes < 1e6
    assert table.logits(np.array([[8, 9]], dtype=np.int32)).any() == np.False_


def test_learning_from_codes_is_learning_from_features(begun: Any, digits: Any) -> None:
    first, second = begun(), begun()
    first.learn(digits.features, digits.labels)
    second.learn_codes(second.codes(digits.features), digits.labels)
    second._dimension = first._dimension
    assert first.state() == second.state()


def test_new_classes_of_codes_widen_the_values(digits: Any) -> None:
    learner = KeyValueBottleneck(BottleneckParameters(heads=4, pairs=16, reserved_classes=2))
    learner.initialise(digits.features)
    learner.learn_codes(learner.codes(digits.features), digits.labels)
    assert learner.predict(digits.held_out).shape == (len(digits.held_out), 10)


def test_codes_that_do_not_fit_are_refused(begun: Any, digits: Any) -> None:
    learner = begun()
    codes = learner.codes(digits.features[:3])
    before = learner.state()
    for bad in (codes[:, 1:], codes + 64, codes - 64):
        with pytest.raises(BadDataError, match="16 heads of 64 pairs"):
            learner.learn_codes(bad, digits.labels[:3])
    with pytest.raises(BadDataError, match="labels"):
        learner.learn_codes(codes, digits.labels[:2])
    assert learner.state() == before


def test_a_forgotten_class_falls_below_chance_and_the_others_stay(digits: Any) -> None:
    learner = KeyValueBottleneck()
    learner.initialise(digits.features)
    learner.learn(digits.features, digits.labels)
    others = digits.held_out_of(*"012456789")
    before = accuracy(learner.predict(others[0]), learner.classes, others[1])
    assert learner.forget_codes(learner.codes(digits.of("3")[0])) > 100
    found = learner.predict(digits.held_out)
    assert accuracy_per_class(found, learner.classes, digits.held_out_labels)["3"] <= 0.1
    assert accuracy(learner.predict(others[0]), learner.classes, others[1]) >= before - 0.005


def test_learning_the_others_again_is_never_having_met_the_forgotten(digits: Any) -> None:
    learner, other = KeyValueBottleneck(), KeyValueBottleneck()
    others, labels = digits.of(*"012456789")
    for one in (learner, other):
        one.initialise(digits.features)
    learner.learn(digits.features, digits.labels)
    learner.relearn_codes([(learner.codes(others), labels)])
    other.relearn_codes([(other.codes(others), labels)])
    kept = [learner.classes.index(name) for name in other.classes]
    assert np.allclose(learner.predict(digits.held_out)[:, kept], other.predict(digits.held_out), atol=0.02)
    assert (learner.values.usage == other.values.usage).all()
    found = learner.predict(digits.held_out)
    assert accuracy_per_class(found, learner.classes, digits.held_out_labels)["3"] == 0.0


def test_forgetting_survives_saving_and_refuses_to_leave_nothing(begun: Any, digits: Any) -> None:
    learner, loaded = begun(), begun()
    learner.learn(digits.features, digits.labels)
    learner.forget_codes(learner.codes(digits.of("3")[0][:20]))
    loaded.load(learner.state())
    assert np.array_equal(loaded.predict(digits.held_out), learner.predict(digits.held_out))
    before = learner.state()
    with pytest.raises(UsageError, match="last written pair"):
        learner.forget_codes(learner.codes(digits.features))
    assert learner.state() == before


def test_drift_is_about_one_at_home_and_rises_abroad(begun: Any, digits: Any) -> None:
    learner = begun()
    learner.learn(digits.features, digits.labels)
    at_home, abroad = learner.drift(digits.held_out), learner.drift(1.0 - digits.held_out)
    assert 0.9 < at_home.distance < 1.3
    assert at_home.unwritten < 0.05
    assert abroad.distance > 1.5 * at_home.distance
    begun_only = begun()
    assert begun_only.drift(digits.held_out).unwritten == 1.0
    assert np.isnan(begun_only.drift(digits.held_out[:0]).distance)
