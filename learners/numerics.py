"""The few array functions that several learners share."""

from typing import Any, TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Features: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def softmax(logits: Floats) -> Floats:
    """Turn each row of logits into probabilities that sum to 1, without overflow.

    >>> softmax(np.array([[0.0, 0.0]]))
    array([[0.5, 0.5]])
    """
    raised: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    raised /= raised.sum(axis=1, keepdims=True)
    return raised


def grouped_sum(groups: Array, rows: Array, *, shared: int = 1) -> tuple[Array, Array]:
    """Sum the rows of each group: the distinct groups in rising order, and one sum for each.

    `groups` names `shared` groups for each row, one row after the other. The order of addition is fixed by the input
    alone, so equal inputs give equal bits. Costs one sort of the groups, which must not be empty.

    >>> grouped_sum(np.array([7, 3, 7]), np.array([[1.0], [2.0], [4.0]]))
    (array([3, 7]), array([[2.],
           [5.]]))
    """
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return ordered[starts], np.add.reduceat(rows[order // shared], starts, axis=0)


def smoothed_error(logits: Floats, targets: Integers, smoothing: float) -> Floats:
    """Return the gradient of each item's cross-entropy with respect to its logits: probabilities minus smoothed target.

    `targets` are column numbers; a target spreads `smoothing` evenly over all columns and keeps the rest for its own.
    """
    error: Floats = softmax(logits) - smoothing / logits.shape[1]
    error[np.arange(len(targets)), targets] -= 1.0 - smoothing
    return error


def shuffled_batches(items: int, batch_size: int, generator: np.random.Generator) -> list[Integers]:
    """Cut a random order of the items into batches of at most `batch_size`, as even in size as can be.

    A small last batch would give its items a larger weight in a mean gradient than the others have.

    >>> [len(batch) for batch in shuffled_batches(9, 4, np.random.default_rng(0))]
    [3, 3, 3]
    """
    return np.array_split(generator.permutation(items), -(-items // batch_size))
