"""Models of river and scikit-learn ask within their account, and learn better than by chance alone."""

from typing import Any

import numpy as np
import pytest

from curate.errors import ConfigurationError
from curate.select.stream.account import account_named
from curate.select.stream.active import ActiveModel


def items(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 2, count)
    return chance.normal(size=(count, 3)) + 2.0 * labels[:, None] - 1, np.array(["no", "yes"])[labels]


def watch(model: ActiveModel, as_item: Any, count: int = 600, delay: int = 0) -> tuple[float, int]:
    features, labels = items(count)
    waiting: list[tuple[int, Any, Any, Any]] = []
    right, asked = [], 0
    for place, (row, label) in enumerate(zip(features, labels, strict=True)):
        while waiting and waiting[0][0] <= place:
            _, item, told, look = waiting.pop(0)
            model.learn(item, told, look)
        look = model.look(as_item(row))
        right.append(look.predicted == label)
        if look.asks:
            asked += 1
            waiting.append((place + 1 + delay, as_item(row), label, look))
    return float(np.mean(right[-300:])), asked


def named(row: np.ndarray) -> dict[str, float]:
    return {f"x{place}": float(value) for place, value in enumerate(row)}


@pytest.mark.parametrize("delay", [0, 100])
@pytest.mark.parametrize("utility", ["least-confidence", "expected-model-change"])
def test_models_of_scikit_learn_ask(utility: str, delay: int) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    model = ActiveModel(
        linear.SGDClassifier(loss="log_loss", random_state=0), ["no", "yes"], account_named("paced", 0.1), utility
    )
    accuracy, asked = watch(model, lambda row: row.tolist(), delay=delay)
    assert accuracy > 0.85
    assert abs(asked - 60) <= 1


@pytest.mark.parametrize("weighted", [False, True])
def test_models_of_river_ask(weighted: bool) -> None:
    pytest.importorskip("river")
    from river.linear_model import LogisticRegression
    from river.naive_bayes import GaussianNB

    kind = LogisticRegression if weighted else GaussianNB
    account = account_named("sampled", 0.1, least=0.05)
    model = ActiveModel(kind(), [False, True], account, weighted=weighted)
    features, labels = items(600)
    right = []
    for row, label in zip(features, labels == "yes", strict=True):
        look = model.look(named(row))
        right.append(look.predicted == label)
        if look.asks:
            model.learn(named(row), bool(label), look)
    assert np.mean(right[-300:]) > 0.9
    assert abs(account.spent - 60) <= 1


def test_other_models_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="step by step"):
        ActiveModel(object(), ["a", "b"], account_named("paced", 0.1))
