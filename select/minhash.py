"""MinHash: near-duplicate texts found by short signatures, and verified on the texts themselves.

The share of equal minima in two signatures estimates the Jaccard similarity of two sets (Broder, "On the resemblance
and containment of documents", 1997). Signatures are cut into bands; texts that agree in a whole band are candidates
(Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4). A permutation is the multiply-shift hash
((a x + b) mod 2^64) div 2^32 of the shingle's upper 32 bits (Dietzfelbinger, "Universal hashing and k-wise independent
random variables via integer arithmetic without primes", 1996).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import ConfigurationError
from curate.select.concatenations import over_threads
from curate.select.shingles import DEFAULT, Shingles, Shingling, mixed, prepared, shingles

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

PERMUTATIONS = 128
SEED = 1
RECALL_AT_THRESHOLD = 0.99
_KERNEL = "curate.select.minhash_kernel"
_BYTES_WORTH_THE_KERNEL = 3_000_000
"""With fewer bytes NumPy is done (0.3 s) before numba is imported and the machine code loaded."""
_SLICE = 512


class Banding(NamedTuple):
    """`bands` bands of `rows` minima each."""

    bands: int
    rows: int

    def recall(self, similarity: float) -> float:
        """Return the probability that two texts of this similarity share a band."""
        return float(1 - (1 - similarity**self.rows) ** self.bands)


@cache
def banding(threshold: float, permutations: int = PERMUTATIONS) -> Banding:
    """Return the longest bands that still find 99 % of the pairs whose similarity is exactly the threshold.

    Longer bands mean fewer candidates, and every candidate is verified: only the recall is at stake.

    >>> banding(0.8)
    Banding(bands=21, rows=6)
    >>> round(banding(0.8).recall(0.8), 3), round(banding(0.8).recall(0.4), 3)
    (0.998, 0.083)
    """
    choices = [Banding(permutations // rows, rows) for rows in range(permutations, 0, -1)]
    return next((one for one in choices if one.recall(threshold) >= RECALL_AT_THRESHOLD), Banding(permutations, 1))


@dataclass(frozen=True, slots=True)
class Signed:
    """A batch of texts: their shingles, and minima as uint32 of shape (texts, permutations).

    `present` says which texts have a signature: a text without any word has none.
    """

    shingles: Shingles
    minima: NDArray[np.uint32]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which texts have at least one shingle."""
        import numpy as np

        return np.diff(self.shingles.starts) > 0


@dataclass(frozen=True)
class MinHash:
    """The parameters of one way of finding near-duplicates; `threshold` is the least Jaccard similarity of a pair.

    `seed` says which permutations sign.

    Raises:
        ConfigurationError: the threshold is not above 0 and at most 1, or the shingles are none.
    """

    threshold: float = 0.8
    shingling: Shingling = DEFAULT
    seed: int = SEED

    def __post_init__(self) -> None:
        """Refuse a threshold that says nothing."""
        if not 0 < self.threshold <= 1:
            raise ConfigurationError(f"a threshold of {self.threshold} is not above 0 and at most 1")

    @property
    def banding(self) -> Banding:
        """The banding that belongs to the threshold."""
        return banding(self.threshold)

    @cached_property
    def version(self) -> str:
        """Method and parameters: equal versions give equal signatures and band keys.

        >>> MinHash().version
        'minhash:1 words:3 threshold=0.8 permutations=128 seed=1 bands=21x6'
        """
        bands, rows = self.banding
        parameters = f"threshold={self.threshold:g} permutations={PERMUTATIONS} seed={self.seed} bands={bands}x{rows}"
        return f"minhash:1 {self.shingling} {parameters}"

    def sign(self, texts: Sequence[str]) -> Signed:
        """Shingle and sign texts, on all cores where numba is installed.

        Cost: about 15 µs a kilobyte on one core in machine code, 100 µs with NumPy alone; the numbers are the same.
        """
        return _signed([prepared(text, self.shingling.unit) for text in texts], self.shingling, self.seed)

    def keys(self, minima: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return a 64-bit key for each band, int64 of (texts, bands): two texts share a band if they share its key.

        Keys of different versions have nothing to do with each other.
        """
        import numpy as np

        bands, rows = self.banding
        seed = int.from_bytes(sha256(self.version.encode()).digest()[:8], "big")
        keys = mixed(np.arange(bands, dtype=np.uint64) + np.uint64(seed))[None, :].repeat(len(minima), axis=0)
        cut = minima[:, : bands * rows].reshape(len(minima), bands, rows)
        for row in range(rows):
            keys = mixed(keys ^ cut[:, :, row].astype(np.uint64))
        return keys.view(np.int64)


def packed(minima: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return what is kept of signatures: the lowest eight bits of each minimum.

    An eighth of the bytes of full hashes for hardly more variance (Li and König, "b-bit minwise hashing", 2010).
    """
    import numpy as np

    return (minima & np.uint32(0xFF)).astype(np.uint8)


def estimate(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the estimated similarity of packed signatures, of shapes (…, permutations), by pairs.

    The standard deviation is sqrt(s (1 - s) / 128), 0.035 at a similarity of 0.8.
    """
    import numpy as np

    equal = np.mean(first == second, axis=-1)
    return np.asarray(np.clip((equal - 1 / 256) / (1 - 1 / 256), 0, 1), np.float64)


@cache
def permutations(seed: int = SEED) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the factors (odd) and terms of the permutations: numbers from a counter, the same for ever."""
    import numpy as np

    numbers = mixed(
        np.arange(1, 2 * PERMUTATIONS + 1, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15) + np.uint64(seed)
    )
    return numbers[:PERMUTATIONS] | np.uint64(1), numbers[PERMUTATIONS:]


def minima_of(found: Shingles, seed: int = SEED) -> NDArray[np.uint32]:
    """Return the minima of shingles, with NumPy alone; those of a text without shingles are 2^32 - 1."""
    import numpy as np

    factors, terms = permutations(seed)
    minima = np.full((len(found.starts) - 1, PERMUTATIONS), 0xFFFF_FFFF, np.uint32)
    for position in np.flatnonzero(np.diff(found.starts)):
        values = found.values[found.starts[position] : found.starts[position + 1], None] >> np.uint64(32)
        minima[position] = ((values * factors + terms) >> np.uint64(32)).min(axis=0)
    return minima


def _signed(texts: Sequence[bytes], shingling: Shingling, seed: int) -> Signed:
    kernel = _kernel(sum(map(len, texts)))
    if kernel is None:
        found = shingles(texts, shingling)
        return Signed(found, minima_of(found, seed))
    import numpy as np

    parts: dict[int, tuple[Shingles, NDArray[np.uint32]]] = {}

    def work(rows: slice) -> None:
        for start in range(rows.start, rows.stop, _SLICE):
            part = texts[start : min(start + _SLICE, rows.stop)]
            parts[start] = kernel.signatures(part, shingling, *permutations(seed))

    over_threads(work, len(texts))
    ordered = [parts[start] for start in sorted(parts)]
    counts = np.concatenate([np.zeros(1, np.int64), *(np.diff(found.starts) for found, _ in ordered)])
    values = np.concatenate([np.zeros(0, np.uint64), *(found.values for found, _ in ordered)])
    empty = np.zeros((0, PERMUTATIONS), np.uint32)
    return Signed(Shingles(values, np.cumsum(counts)), np.concatenate([empty, *(minima for _, minima in ordered)]))


def _kernel(size: int) -> ModuleType | None:
    """Return the kernel where it runs and `size` bytes are worth it."""
    return None if size < _BYTES_WORTH_THE_KERNEL and _KERNEL not in sys.modules else trusted_kernel()


@cache
def trusted_kernel() -> ModuleType | None:
    """Return the kernel if numba is installed and it repeats NumPy's numbers on a sample, else None."""
    try:
        import numba

        from curate.select import minhash_kernel
    except ImportError:
        return None
    settings: Any = numba.config
    if settings.DISABLE_JIT:
        return None
    sample = [prepared(text, "words") for text in (__doc__ or "", "", "one", "zwei drei", "東京 tower", "a b c d")]
    shingling = DEFAULT
    found, minima = minhash_kernel.signatures(sample, shingling, *permutations())
    expected = shingles(sample, shingling)
    same = bool((found.values == expected.values).all() and (minima == minima_of(expected)).all())
    return minhash_kernel if same else None
