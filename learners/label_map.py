"""The label map: which class each column of a learner's output belongs to. It only ever grows at the end."""

from collections.abc import Sequence

import numpy as np

from curate.learners.numerics import Integers


def widened(classes: tuple[str, ...], labels: Sequence[str]) -> tuple[str, ...]:
    """Append the labels that are not classes yet, in sorted order, so that the order of rows does not matter.

    >>> widened(("cat",), ["dog", "ant", "cat", "dog"])
    ('cat', 'ant', 'dog')
    """
    return classes + tuple(sorted(set(labels) - set(classes)))


def columns_of(classes: tuple[str, ...], labels: Sequence[str]) -> Integers:
    """Return the column of each label: int64 of the labels' length; -1 for a label that is not a class.

    >>> columns_of(("cat", "ant"), ["ant", "cow", "cat"])
    array([ 1, -1,  0])
    """
    column = {name: number for number, name in enumerate(classes)}
    return np.array([column.get(label, -1) for label in labels], dtype=np.int64)
