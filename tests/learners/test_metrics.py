"""The figures against their formulas, on a matrix small enough to check by hand."""

import math

import numpy as np
import pytest

from curate.errors import BadDataError
from curate.learners.metrics import AccuracyMatrix, accuracy, accuracy_per_class

CLASSES = ("a", "b")


def matrix() -> AccuracyMatrix:
    found = AccuracyMatrix()
    for row in ([0.9], [0.95, 0.8], [0.7, 0.85, 1.0]):
        found.add(row)
    return found


def test_figures_of_a_matrix() -> None:
    found = matrix()
    assert found.final_accuracy == pytest.approx((0.7 + 0.85 + 1.0) / 3)
    assert found.average_incremental_accuracy == pytest.approx((0.9 + 0.875 + 0.85) / 3)
    assert found.forgetting == pytest.approx(((0.95 - 0.7) + (0.8 - 0.85)) / 2)
    assert found.backward_transfer == pytest.approx(((0.7 - 0.9) + (0.85 - 0.8)) / 2)
    assert found.minimum_accuracy == pytest.approx((0.7 + 0.8) / 2)


def test_every_figure_names_its_formula() -> None:
    found = matrix().metrics()
    assert [metric.name for metric in found] == [
        "final accuracy",
        "average incremental accuracy",
        "forgetting",
        "backward transfer",
        "minimum accuracy",
    ]
    assert all("R[" in metric.formula for metric in found)


def test_what_is_not_defined_is_left_out() -> None:
    single = AccuracyMatrix()
    assert single.metrics() == ()
    single.add([0.5])
    assert math.isnan(single.forgetting)
    assert [metric.name for metric in single.metrics()] == ["final accuracy", "average incremental accuracy"]


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(BadDataError, match="row 1"):
        AccuracyMatrix().add([0.5, 0.5])


def test_accuracy_by_name() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    labels = ["a", "b", "b", "c"]
    assert accuracy(probabilities, CLASSES, labels) == 0.5
    assert accuracy_per_class(probabilities, CLASSES, labels) == {"a": 1.0, "b": 0.5, "c": 0.0}


@pytest.mark.parametrize(("items", "labels"), [(0, []), (2, ["a"])])
def test_accuracy_of_nothing_or_of_too_few_labels_is_refused(items: int, labels: list[str]) -> None:
    with pytest.raises(BadDataError):
        accuracy(np.zeros((items, 2)), CLASSES, labels)


def test_forward_transfer_counts_tasks_that_were_asked_ahead() -> None:
    found = AccuracyMatrix()
    found.add([0.9], ahead=0.9, chance=0.5)
    assert math.isnan(found.forward_transfer)
    found.add([0.9, 0.8], ahead=0.6, chance=0.5)
    found.add([0.9, 0.8, 0.7])
    found.add([0.9, 0.8, 0.7, 0.6], ahead=0.1, chance=0.25)
    assert found.forward_transfer == pytest.approx((0.1 - 0.15) / 2)
    assert "forward transfer" in [one.name for one in found.metrics()]
