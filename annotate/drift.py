"""Whether a passed attribute has drifted: its rechecks, held against the audits that it passed with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Booleans = NDArray[np.bool_]
DROPS = (0.03, 0.06, 0.12, 0.2)
"""How far below the bar the accuracy may lie after a drop; each is as probable as the others."""
SOON = 50
"""So many rechecks after the pass half of the prior on when a drop comes is spent."""
_STEPS = 60


def has_drifted(
    right: Sequence[bool] | Booleans, bar: float, before: tuple[int, int] = (0, 0), error_rate: float = 0.05
) -> bool:
    """Whether rechecks of a passed attribute, oldest first, say that its accuracy has dropped below the bar.

    See `drifted_after`.

    >>> has_drifted([True] * 100, 0.85), has_drifted([True] * 100 + [False] * 12, 0.85)
    (False, True)
    """
    return drifted_after(right, bar, before, error_rate) > 0


def drifted_after(
    right: Sequence[bool] | Booleans, bar: float, before: tuple[int, int] = (0, 0), error_rate: float = 0.05
) -> int:
    """Return after how many rechecks, oldest first, an attribute's accuracy is seen to have dropped below the bar.

    0 means that it is not. `before` is how many audits were right at the pass, and how many there were. It may be asked
    after every recheck.

    The odds of "it dropped somewhere among these rechecks, to one of `DROPS` below the bar" against "it is what it was,
    at the bar or above": a Bayes factor whose prior for the drop before recheck k + 1 is SOON / ((k + SOON) (k + SOON +
    1)), and for the accuracy before it uniform above the bar, updated by the audits at the pass. Without a drop it is a
    martingale of mean 1 that is never negative, so that it ever reaches 1 / `error_rate` with at most that chance,
    however many rechecks there are (Ville 1939; for change points Shiryaev 1963 and Shin, Ramdas and Rinaldo 2024):
    that is so on the average over the prior, and an attribute that passed by luck alarms somewhat more often
    (`python -m benchmarks.drift`).

    Cost: the rechecks times 64; memory: nothing that grows.

    >>> few_more_errors = ([True] * 4 + [False]) * 10
    >>> drifted_after(few_more_errors, 0.85), drifted_after(few_more_errors, 0.85, before=(190, 200))
    (0, 50)
    """
    errors = (np.arange(_STEPS) + 0.5) / _STEPS * (1 - bar)
    dropped = np.minimum(1 - bar + np.array(DROPS), 0.999)
    known, audited = before
    logarithms = (audited - known) * np.log(errors) + known * np.log1p(-errors)
    steady = np.exp(logarithms - logarithms.max())
    odds = np.zeros(len(dropped))
    for place, one in enumerate(right):
        steady /= steady.sum()
        likely = 1 - errors if one else errors
        expected = float(steady @ likely)
        begun = SOON / ((place + SOON) * (place + SOON + 1))
        odds = (odds + begun) * (1 - dropped if one else dropped) / expected
        if odds.mean() >= 1 / error_rate:
            return place + 1
        steady = steady * likely
    return 0
