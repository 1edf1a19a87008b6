"""A bandit over strategies: it learns which utility finds what the model gets wrong on this stream.

Each item's utility is its rank in the eyes of one strategy, which chance draws by the strategies' weights. When a label
comes, the strategy that had been drawn for it is rewarded, by one where the model had been wrong, and divided by the
probability of the draw. Weights are shared out a little at each reward, so that another strategy can win after a drift:
Exp3.S (Auer, Cesa-Bianchi, Freund and Schapire 2002), in the spirit of active learning by learning (Hsu and Lin 2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate.errors import BadDataError, ConfigurationError
from curate.select.stream.numbers import numbers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


class Bandit:
    """Draws a strategy for each item and learns from labels; its state is plain data that goes on to the bit.

    Args:
        strategies: their names, in the order of the rows that `utilities` is given.
        explore: the share of draws that is even over all strategies.
        sharing: what part of all weight each strategy is given at each reward.
        window: items among which an item is ranked.

    Cost: window * strategies an item.

    Raises:
        ConfigurationError: fewer than two strategies, or a share outside (0, 1].
    """

    def __init__(
        self,
        strategies: Sequence[str],
        seed: int = 0,
        *,
        explore: float = 0.2,
        sharing: float = 0.005,
        window: int = 400,
    ) -> None:
        import numpy as np

        if len(strategies) < 2 or not 0 < explore <= 1 or not 0 <= sharing <= 1 or window < 1:
            raise ConfigurationError("a bandit needs two strategies or more, and shares in (0, 1]")
        self.strategies, self._seed, self._explore, self._sharing = list(strategies), seed, explore, sharing
        self._weights = np.ones(len(strategies))
        self._ring = np.zeros((len(strategies), window))
        self._seen = 0

    @property
    def probabilities(self) -> Numbers:
        """With which probability each strategy is drawn: float64 of shape (strategies,)."""
        count = len(self.strategies)
        found: Numbers = (1 - self._explore) * self._weights / self._weights.sum() + self._explore / count
        return found

    def utilities(self, of: Numbers) -> tuple[Numbers, NDArray[np.int64], Numbers]:
        """Return the items' utilities for a budget manager, the strategies that were drawn, and the draws' probability.

        `of` are the strategies' own utilities, float64 of shape (strategies, items). A utility is the share of the last
        items that the strategy finds at most as useful.
        """
        import numpy as np

        if of.shape[0] != len(self.strategies):
            raise BadDataError(f"{of.shape[0]} rows of utilities do not fit {len(self.strategies)} strategies")
        chances = self.probabilities
        drawn = np.searchsorted(np.cumsum(chances)[:-1], numbers(self._seed, self._seen, of.shape[1]), side="right")
        found = np.zeros(of.shape[1])
        for place, strategy in enumerate(drawn):
            self._ring[:, self._seen % self._ring.shape[1]] = of[:, place]
            self._seen += 1
            held = self._ring[strategy, : min(self._seen, self._ring.shape[1])]
            found[place] = (held <= of[strategy, place]).mean()
        return found, drawn, chances[drawn]

    def reward(self, strategy: int, chance: float, paid: float) -> None:
        """Tell that a label came: the strategy and probability of its draw, and what it paid, in [0, 1].

        A label pays one where the model had been wrong about the item. Labels may come late and in any order.
        """
        import numpy as np

        count = len(self.strategies)
        grown = self._weights.copy()
        grown[strategy] *= np.exp(self._explore * paid / chance / count)
        grown += np.e * self._sharing / count * self._weights.sum()
        self._weights = grown / grown.sum()

    def state(self) -> dict[str, Any]:
        """Return the state as plain data that JSON keeps to the bit."""
        return {
            "strategies": self.strategies,
            "weights": [float(one).hex() for one in self._weights],
            "seen": self._seen,
            "ring": [[float(one).hex() for one in row] for row in self._ring],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where another bandit over the same strategies stopped.

        Raises:
            BadDataError: the state is of other strategies or another window.
        """
        import numpy as np

        ring = np.array([[float.fromhex(one) for one in row] for row in state["ring"]])
        if state["strategies"] != self.strategies or ring.shape != self._ring.shape:
            raise BadDataError("the state is a bandit's over other strategies", unchanged="nothing was decided")
        self._ring, self._seen = ring, int(state["seen"])
        self._weights = np.array([float.fromhex(one) for one in state["weights"]])
