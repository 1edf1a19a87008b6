"""Density on a stream: is a new item close to what was seen lately? Outliers are then never asked about.

`Neighbourhood` counts for how many items of a window the new one is nearer than any before (Ienco, Žliobaitė and
Pfahringer 2014, DBALStream); `Cognition` keeps a few items that are remembered for as long as they have neighbours (Liu
et al. 2021, the cognitive dual query strategy). What has a count of at least one may be asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


class Neighbourhood:
    """The last `window` items, and how near the nearest item after each lay. Cost: window * dimensions an item."""

    def __init__(self, window: int = 100) -> None:
        self.window = window
        self._items: list[Numbers] = []
        self._nearest: list[float] = []

    def counts(self, features: Numbers) -> NDArray[np.int64]:
        """Return for each item, in their order, of how many it is the nearest neighbour so far; it then joins them."""
        import numpy as np

        found = np.zeros(len(features), np.int64)
        for place, item in enumerate(features):
            found[place] = self._add(item)
        return found

    def _add(self, item: Numbers) -> int:
        import numpy as np

        count, nearest = 0, np.inf
        if self._items:
            distances = np.sqrt(((np.array(self._items) - item) ** 2).sum(axis=1))
            for place in np.flatnonzero(distances < np.array(self._nearest)):
                self._nearest[place], count = float(distances[place]), count + 1
            nearest = float(distances.min())
        self._nearest = [*self._nearest, nearest][-self.window :]
        self._items = [*self._items, item][-self.window :]
        return count


class Cognition:
    """Up to `size` items besides the newest, of which the least remembered goes: exp(-age / (neighbours + 1))."""

    def __init__(self, size: int = 10) -> None:
        self.size = size
        self._time = 0
        self._items: list[Numbers] = []
        self._nearest: list[float] = []
        self._neighbours: list[int] = []
        self._touched: list[int] = []

    def counts(self, features: Numbers) -> NDArray[np.int64]:
        """Return for each item, in their order, of how many remembered ones it is the nearest neighbour so far."""
        import numpy as np

        found = np.zeros(len(features), np.int64)
        for place, item in enumerate(features):
            found[place] = self._add(item)
        return found

    def _add(self, item: Numbers) -> int:
        import numpy as np

        count, nearest = 0, np.inf
        if self._items:
            distances = np.sqrt(((np.array(self._items) - item) ** 2).sum(axis=1))
            for place in np.flatnonzero(distances < np.array(self._nearest)):
                self._touched[place], self._nearest[place] = self._time, float(distances[place])
                self._neighbours[place], count = self._neighbours[place] + 1, count + 1
            nearest = float(distances.min())
        self._nearest.append(nearest)
        self._forget()
        self._items.append(item)
        self._neighbours.append(0)
        self._touched.append(self._time)
        self._time += 1
        return count

    def _forget(self) -> None:
        import numpy as np

        if len(self._items) <= self.size:
            return
        ages = self._time - np.array(self._touched)
        memory = np.exp(-ages / (np.array(self._neighbours) + 1.0))
        least = int(memory.argmin())
        for kept in (self._items, self._nearest, self._neighbours, self._touched):
            kept.pop(least)


def only_dense(utilities: Numbers, counts: NDArray[np.int64], threshold: int = 1) -> Numbers:
    """Return the utilities, NaN where fewer than `threshold` items have the new one as their nearest."""
    import numpy as np

    found: Numbers = np.where(counts >= threshold, utilities, np.nan)
    return found
