"""Consensus where several values may be chosen at once: one vote for each value, there or not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.annotate.consensus.agreement import krippendorff_alpha
from curate.annotate.consensus.votes import Consensus, Votes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.annotate.consensus.votes import Positions


@dataclass(frozen=True, slots=True)
class ListConsensus:
    """What was drawn: `chosen` bool of shape (items, values), and p(all of an item's values are right) of each item.

    `skill` is each annotator's estimated accuracy on a value, `alphas` the agreement on each value, NaN where all say
    the same of it.
    """

    method: str
    chosen: NDArray[np.bool_]
    posterior: NDArray[np.float64]
    skill: NDArray[np.float64]
    alphas: NDArray[np.float64]


def list_consensus(
    answers: Sequence[tuple[int, int, frozenset[str]]],
    values: Sequence[str],
    size: tuple[int, int],
    method: Callable[[Votes], Consensus],
) -> ListConsensus:
    """Draw each value by itself from answers (item, annotator, values), of `size` items and annotators.

    Who answers says of every value whether it is there, so it counts as an answer too that none is. An item's posterior
    takes its values as independent. Cost: that of `method` for each value.

    >>> from curate.annotate.consensus.majority import majority
    >>> said = [(0, 0, frozenset({"red"})), (0, 1, frozenset({"red", "blue"})), (0, 2, frozenset())]
    >>> found = list_consensus(said, ["blue", "red"], (1, 3), majority)
    >>> found.chosen.tolist(), found.posterior.round(2).tolist()
    ([[False, True]], [0.44])
    """
    import numpy as np

    item, annotator = (np.array([answer[place] for answer in answers], np.int64) for place in (0, 1))
    drawn, alphas = [], []
    for value in values:
        votes = Votes(item, annotator, _given(answers, value), size[0], size[1], 2)
        drawn.append(method(votes))
        alphas.append(krippendorff_alpha(votes))
    there = np.stack([found.posterior[:, 1] for found in drawn], axis=1) if drawn else np.zeros((size[0], 0))
    skills = np.stack([found.skill for found in drawn]) if drawn else np.ones((1, size[1]))
    name = drawn[0].method if drawn else ""
    likeliest = np.maximum(there, 1 - there).prod(axis=1)
    return ListConsensus(name, there > 0.5, likeliest, skills.mean(axis=0), np.array(alphas))


def _given(answers: Sequence[tuple[int, int, frozenset[str]]], value: str) -> Positions:
    import numpy as np

    return np.array([value in answer[2] for answer in answers], np.int64)
