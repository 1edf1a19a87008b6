"""What the baselines with a memory keep, and what the one without forgets."""

from typing import Any

import numpy as np
import pytest

from curate.learners.metrics import accuracy
from curate.learners.neighbours import NearestNeighbours, NeighbourParameters
from curate.learners.network import Replay, ReplayParameters, SequentialNetwork

TASKS = [("0", "1", "2"), ("3", "4", "5"), ("6", "7", "8", "9")]


def walked(learner: Any, digits: Any) -> float:
    for task in TASKS:
        learner.learn(*digits.of(*task))
    return accuracy(learner.predict(digits.held_out), learner.classes, digits.held_out_labels)


def test_nearest_neighbours_forget_nothing(digits: Any) -> None:
    assert walked(NearestNeighbours(NeighbourParameters(neighbours=1)), digits) >= 0.97


def test_the_nearest_breaks_a_tie() -> None:
    learner = NearestNeighbours(NeighbourParameters(neighbours=2))
    learner.learn(np.array([[0.0], [3.0]], dtype=np.float32), ["left", "right"])
    found = learner.predict(np.array([[1.0], [2.0]], dtype=np.float32))
    assert found.argmax(axis=1).tolist() == [0, 1]
    assert found == pytest.approx(np.full((2, 2), 0.5), abs=1e-5)


def test_replay_keeps_what_the_bare_network_forgets(digits: Any) -> None:
    bare, replayed = walked(SequentialNetwork(), digits), walked(Replay(), digits)
    assert bare < 0.6
    assert replayed > bare + 0.2


def test_the_memory_is_an_even_sample_of_all_that_came() -> None:
    learner = Replay(ReplayParameters(memory=100, passes=1))
    places = np.arange(2000, dtype=np.float32)[:, None] / 2000
    for start in range(0, 2000, 400):
        learner.learn(places[start : start + 400], ["a", "b"] * 200)
    kept = learner._kept[:, 0]
    assert len(np.unique(kept)) == 100
    assert np.histogram(kept, bins=5, range=(0, 1))[0].min() >= 8
