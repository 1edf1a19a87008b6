import numpy as np
import pytest

from curate.annotate.priorities import answer_gain, audit_gain, symmetric_noise


def test_the_gain_of_an_answer_is_what_enumeration_says() -> None:
    posterior = np.array([0.5, 0.3, 0.2])
    likelihood = symmetric_noise(3, 0.1)
    after = sum(max(posterior[true] * likelihood[true, given] for true in range(3)) for given in range(3))
    assert answer_gain(posterior[None], likelihood)[0] == pytest.approx(after - 0.5)
    assert likelihood.sum(axis=1) == pytest.approx([1, 1, 1])


def test_an_answer_that_could_change_nothing_is_worth_nothing() -> None:
    gain = answer_gain(np.array([[0.99, 0.01], [0.6, 0.4]]), symmetric_noise(2, 0.05))
    assert gain[0] == 0.0
    assert gain[1] > 0.3


def test_audits_go_where_they_can_bring_a_pass() -> None:
    hopeless, near, high = (audit_gain(value, 60, 45, 0.85, 0.02) for value in (0.75, 0.9, 0.95))
    assert hopeless < near < high
    assert audit_gain(0.97, 415, 400, 0.85, 0.02) < 0.01 * high
