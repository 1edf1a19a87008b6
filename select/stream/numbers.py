"""Random numbers by position: the same seed and position always give the same number, so a restart repeats them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["none", "uniform", "normal"]
_BLOCK = 4
"""Philox makes so many numbers at a time."""


def numbers(seed: int, start: int, count: int, kind: Kind = "uniform") -> NDArray[np.float64]:
    """Return the numbers at positions `start` to `start + count`: uniform in [0, 1), or standard normal.

    Counter-based (Philox; Salmon et al. 2011), so that any position costs the same. Normal ones take two uniform ones
    each (Box and Muller 1958).

    >>> whole = numbers(7, 0, 10)
    >>> (numbers(7, 3, 5) == whole[3:8]).all().item()
    True
    """
    import numpy as np

    if kind == "none":
        return np.empty(0)
    if kind == "normal":
        pairs = 1 - _uniform(seed, 2 * start, 2 * count).reshape(-1, 2)
        found: NDArray[np.float64] = np.sqrt(-2 * np.log(pairs[:, 0])) * np.cos(2 * np.pi * pairs[:, 1])
        return found
    return _uniform(seed, start, count)


def _uniform(seed: int, start: int, count: int) -> NDArray[np.float64]:
    import numpy as np

    source = np.random.Philox(key=seed)
    source.advance(start // _BLOCK)
    return np.random.Generator(source).random(start % _BLOCK + count)[start % _BLOCK :]
