"""Time rescaling: a point process seen on the clock of its own compensator is a Poisson process of rate 1."""

from __future__ import annotations

import numpy as np

from curate.learners.events.sequences import EventSequences
from curate.learners.numerics import Floats


def rescaled_gaps(compensators: Floats, sequences: EventSequences) -> list[Floats]:
    """Return, for each type, the gaps between its events on the clock of its compensator, all sequences together.

    `compensators` holds the integral of each type's intensity over each interval, (sequences, longest + 1, types).
    If the intensities are those that the events came from, then each type's gaps are independent and exponential of
    mean 1 (Meyer 1971; Brown et al., Neural Computation 2002), which any test of fit can look at.

    The windows of the sequences are laid end to end: what is left of one runs on in the next. To leave out the gaps
    that a window cuts would favour short ones.
    """
    intervals = np.arange(compensators.shape[1])
    watched = (intervals >= sequences.given[:, None]) & (intervals <= sequences.lengths[:, None])
    clocks = np.cumsum((compensators * watched[:, :, None]).reshape(-1, sequences.type_count), axis=0)
    ends = clocks.reshape(compensators.shape)[:, :-1]
    chosen = sequences.counted
    return [
        np.diff(ends[chosen & (sequences.types == kind), kind], prepend=0.0) for kind in range(sequences.type_count)
    ]
