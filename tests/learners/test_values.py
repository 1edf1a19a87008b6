"""One step of the value table against the formula, row by row."""

import numpy as np
import pytest

from curate.learners.bottleneck.values import ValueTable


def table(pairs: int = 6, classes: int = 3) -> ValueTable:
    rows = np.random.default_rng(1).standard_normal((pairs, classes)).astype(np.float32)
    return ValueTable.restore(pairs, {"pairs": np.arange(pairs), "usage": np.ones(pairs), "values": rows})


def expected_step(rows: np.ndarray, codes: np.ndarray, targets: np.ndarray, clip: float) -> np.ndarray:
    """Differentiate the mean smoothed cross-entropy numerically, and step with rate 0.3."""
    smooth = np.full((len(targets), rows.shape[1]), 0.1 / rows.shape[1])
    smooth[np.arange(len(targets)), targets] += 0.9

    def loss(flat: np.ndarray) -> float:
        logits = flat.reshape(rows.shape)[codes].mean(axis=1)
        return float(-(smooth * (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))).sum(axis=1).mean())

    flat, width = rows.astype(np.float64).ravel(), 1e-6
    steps = width * np.eye(flat.size)
    gradient = np.array([(loss(flat + step) - loss(flat - step)) / (2 * width) for step in steps]).reshape(rows.shape)
    return rows - 0.3 * gradient * min(1.0, clip / np.linalg.norm(gradient))


@pytest.mark.parametrize("clip", [1.0, 0.01])
def test_a_step_is_the_gradient_of_the_loss(clip: float) -> None:
    values = table()
    codes = np.array([[0, 3], [0, 4], [1, 3]], dtype=np.int32)
    targets = np.array([2, 0, 1])
    expected = expected_step(values.rows, codes, targets, clip)
    values.descend(codes, targets, rate=0.3, smoothing=0.1, clip=clip)
    assert np.allclose(values.rows, expected, atol=1e-6)


def test_arrays_hold_written_rows_only_and_restore_all() -> None:
    values = ValueTable(1000, 3)
    codes = np.array([[5, 700], [5, 999]], dtype=np.int32)
    values.count(codes)
    values.descend(codes, np.array([0, 2]), rate=0.3, smoothing=0.1, clip=1.0)
    arrays = values.arrays()
    assert arrays["values"].shape == (3, 3)
    restored = ValueTable.restore(1000, arrays)
    assert restored.rows.tobytes() == values.rows.tobytes()
    assert restored.usage.tobytes() == values.usage.tobytes()
