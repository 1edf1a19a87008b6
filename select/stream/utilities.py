"""What an item would teach, in the eyes of a model: utilities for any budget manager, higher is worth more.

All are pure functions over arrays; probabilities are float64 of shape (items, classes), of a committee (members, items,
classes). Uncertainties lie in [0, 1 - 1/classes], entropies in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from curate.errors import BadDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


def least_confidence(probabilities: Numbers) -> Numbers:
    """One less the highest probability (Lewis and Gale 1994).

    >>> import numpy as np
    >>> least_confidence(np.array([[0.5, 0.5], [0.9, 0.1]])).round(3).tolist()
    [0.5, 0.1]
    """
    _check(probabilities, 2)
    found: Numbers = 1 - probabilities.max(axis=1)
    return found


def margin(probabilities: Numbers) -> Numbers:
    """One less the gap between the two highest probabilities (Scheffer, Decomain and Wrobel 2001)."""
    import numpy as np

    _check(probabilities, 2)
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities))
    ordered = np.partition(probabilities, -2, axis=1)
    found: Numbers = 1 - (ordered[:, -1] - ordered[:, -2])
    return found


def entropy(probabilities: Numbers) -> Numbers:
    """Shannon's entropy over that of equal probabilities; 0 for a single class."""
    import numpy as np

    _check(probabilities, 2)
    classes = probabilities.shape[1]
    if classes < 2:
        return np.zeros(len(probabilities))
    logarithms = np.log(np.where(probabilities > 0, probabilities, 1.0))
    found: Numbers = -(probabilities * logarithms).sum(axis=1) / np.log(classes)
    return found


def vote_entropy(committee: Numbers) -> Numbers:
    """The entropy of the members' votes (Dagan and Engelson 1995)."""
    import numpy as np

    _check(committee, 3)
    votes = committee.argmax(axis=2)
    shares = np.stack([(votes == one).mean(axis=0) for one in range(committee.shape[2])], axis=1)
    return entropy(shares)


def consensus_divergence(committee: Numbers) -> Numbers:
    """The mean Kullback-Leibler divergence of the members from their mean (McCallum and Nigam 1998), in nats."""
    import numpy as np

    _check(committee, 3)
    mean = committee.mean(axis=0)
    ratio = np.where(committee > 0, committee / np.where(mean > 0, mean, 1.0), 1.0)
    found: Numbers = (committee * np.log(ratio)).sum(axis=2).mean(axis=0)
    return found


def disagreement(committee: Numbers) -> Numbers:
    """How far apart two members' probabilities of one class lie at most: the query probability of IWAL.

    With losses in [0, 1] it bounds the difference of the losses of any two hypotheses (Beygelzimer, Dasgupta and
    Langford 2009, the rejection threshold of loss weighting). A label that was asked for with probability p weighs 1/p.
    """
    _check(committee, 3)
    found: Numbers = (committee.max(axis=0) - committee.min(axis=0)).max(axis=1)
    return found


def expected_model_change(probabilities: Numbers, features: Numbers) -> Numbers:
    """The expected norm of the gradient of a logistic model's loss (Settles and Craven 2008).

    The gradient for class k is (p - e_k) x', whose norm is |p - e_k| |x|; the expectation is over p.
    """
    import numpy as np

    _check(probabilities, 2)
    squares = (probabilities**2).sum(axis=1, keepdims=True)
    lengths = np.sqrt(np.maximum(squares - 2 * probabilities + 1, 0.0))
    found: Numbers = (probabilities * lengths).sum(axis=1) * np.linalg.norm(features, axis=1)
    return found


def expected_error_reduction(counts: Numbers, prior: float = 0.001, most: int = 2) -> Numbers:
    """The gain of probabilistic active learning: how much up to `most` labels nearby are expected to lower the error.

    Args:
        counts: how many labels of each class lie nearby, float64 of shape (items, classes) (kernel frequencies).
        prior: of each class, in labels.
        most: labels that may be acquired; the gain is for each, at the best number.

    Multi-class probabilistic gain (Kottke et al. 2016) without its closed form: the expectation over the labels' counts
    is exact. Cost: items * classes ** (most + 1).
    """
    import numpy as np

    _check(counts, 2)
    known = counts + prior
    before = 1 - known.max(axis=1) / known.sum(axis=1)
    best = np.zeros(len(counts))
    after, weights = [known], [np.ones(len(counts))]
    for labels in range(1, most + 1):
        after, weights = _one_more(after, weights)
        error = sum(
            weight * (1 - one.max(axis=1) / one.sum(axis=1)) for one, weight in zip(after, weights, strict=True)
        )
        best = np.maximum(best, (before - error) / labels)
    found: Numbers = best
    return found


def _one_more(after: list[Numbers], weights: list[Numbers]) -> tuple[list[Numbers], list[Numbers]]:
    import numpy as np

    more, shares = [], []
    for one, weight in zip(after, weights, strict=True):
        for label in range(one.shape[1]):
            added = one.copy()
            added[:, label] += 1
            more.append(added)
            shares.append(np.asarray(weight * one[:, label] / one.sum(axis=1)))
    return more, shares


UTILITIES: Mapping[str, Callable[[Numbers, Numbers], Numbers]] = {
    "entropy": lambda probabilities, features: entropy(probabilities),
    "least-confidence": lambda probabilities, features: least_confidence(probabilities),
    "margin": lambda probabilities, features: margin(probabilities),
    "expected-model-change": expected_model_change,
}
"""Utilities of one model by name; each takes probabilities and the items' features."""

ENOUGH: Mapping[str, float] = {"least-confidence": 0.2, "margin": 0.4, "entropy": 0.72}
"""From which value on a question is not saved for later: the same for two classes at a confidence of 0.8."""


def _check(values: Numbers, dimensions: int) -> None:
    if values.ndim != dimensions:
        raise BadDataError(f"an array of {dimensions} dimensions is wanted, not one of shape {values.shape}")
