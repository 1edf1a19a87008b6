"""What a learner accepts: finite features of one width, and as many labels as features."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from curate.errors import BadDataError
from curate.learners.numerics import Features

_UNCHANGED = "the learner"


def checked_features(features: Any, dimension: int | None) -> Features:
    """Return the features as float32 of shape (items, `dimension`); any dimension will do where it is None.

    Raises:
        BadDataError: not a table of numbers, another width than before, or a value that is not finite.
    """
    try:
        array = np.ascontiguousarray(features, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise BadDataError(f"features must be numbers: {error}", unchanged=_UNCHANGED) from error
    if array.ndim != 2:
        raise BadDataError(f"features must have 2 axes (items, dimension), not {array.ndim}", unchanged=_UNCHANGED)
    if len(array) and dimension is not None and array.shape[1] != dimension:
        message = f"features have dimension {array.shape[1]}, the learner was begun with {dimension}"
        raise BadDataError(message, hint="use the encoder that the learner was begun with", unchanged=_UNCHANGED)
    _refuse_not_finite(array)
    return array


def _refuse_not_finite(features: Features) -> None:
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        message = (
            f"row {int(np.argmin(finite))} of the features holds NaN or infinity ({int((~finite).sum())} such rows)"
        )
        raise BadDataError(message, hint="look at the encoder's input for these items", unchanged=_UNCHANGED)


def checked_labels(labels: Sequence[str], items: int) -> tuple[str, ...]:
    """Return the labels as plain strings, one for each item.

    Raises:
        BadDataError: not as many labels as items, or a label that is not a string.
    """
    if len(labels) != items:
        raise BadDataError(f"{items} items came with {len(labels)} labels", unchanged=_UNCHANGED)
    for row, label in enumerate(labels):
        if not isinstance(label, str):
            raise BadDataError(f"the label of row {row} is {label!r}, not a name", unchanged=_UNCHANGED)
    return tuple(str(label) for label in labels)
