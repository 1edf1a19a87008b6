"""Optimal designs for regression on a stream: ask where an item's answer narrows the coefficients most.

The criterion's threshold comes from unlabelled history: a kernel density of the criterion over it is integrated until a
share `rate` lies above (Riquelme, Johari and Zhang 2017 threshold the norm; Cacciarelli, Kulahci and Tyssedal 2022 the
density).
"""

from __future__ import annotations

from math import erf, sqrt
from typing import TYPE_CHECKING

from curate.errors import BadDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


class OptimalDesign:
    """The information of what was asked about: X'X of its features, started with `ridge` times the identity.

    Cost: dimensions ** 2 for each item that is scored or learnt (Sherman and Morrison's update of the inverse).
    """

    def __init__(self, dimensions: int, ridge: float = 1.0) -> None:
        import numpy as np

        if dimensions < 1 or ridge <= 0:
            raise BadDataError(f"a design of {dimensions} dimensions with ridge {ridge} is none")
        self.inverse = np.eye(dimensions) / ridge

    def d_optimality(self, features: Numbers) -> Numbers:
        """x'(X'X)^-1 x of each item: asking multiplies the determinant of X'X by one plus that."""
        import numpy as np

        found: Numbers = np.einsum("ij,jk,ik->i", features, self.inverse, features)
        return found

    def a_optimality(self, features: Numbers) -> Numbers:
        """By how much asking lowers the trace of (X'X)^-1, the summed variance of the coefficients."""
        reached = features @ self.inverse
        found: Numbers = (reached**2).sum(axis=1) / (1 + self.d_optimality(features))
        return found

    def add(self, features: Numbers) -> None:
        """Take in an item that was asked about: float64 of shape (dimensions,)."""
        import numpy as np

        reached = self.inverse @ features
        self.inverse = self.inverse - np.outer(reached, reached) / (1 + features @ reached)


def threshold_from_history(criterion: Numbers, rate: float, grid: int = 128) -> float:
    """Return the value that a share `rate` of a density of the criterion lies above.

    The density is Gaussian with Silverman's width over the logarithms, for criteria are positive and skewed.

    Raises:
        BadDataError: fewer than two values, a value that is not positive, or a rate outside (0, 1).
    """
    import numpy as np

    if len(criterion) < 2 or not (criterion > 0).all() or not 0 < rate < 1:
        raise BadDataError("a threshold needs two positive values or more, and a rate between 0 and 1")
    logarithms = np.log(criterion)
    spread = max(float(logarithms.std(ddof=1)), 1e-9)
    width = 0.9 * spread * len(logarithms) ** -0.2
    points = np.linspace(logarithms.min() - 4 * width, logarithms.max() + 4 * width, grid)
    above = 1 - _normal((points[:, None] - logarithms[None, :]) / width).mean(axis=1)
    return float(np.exp(np.interp(rate, above[::-1], points[::-1])))


def _normal(values: Numbers) -> Numbers:
    import numpy as np

    found: Numbers = np.vectorize(lambda value: 0.5 * (1 + erf(value / sqrt(2))), otypes=[np.float64])(values)
    return found
