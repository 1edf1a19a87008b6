"""Near-duplicate images: 64 bits of each picture's coarse shape, compared by the number of bits that differ.

The picture becomes 32 x 32 greys; of their discrete cosine transform the 64 lowest frequencies (the mean apart) each
give one bit: above their median or not. Resizing, re-encoding and other brightness or contrast hardly touch these bits
(Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010).

Two hashes that differ in at most `d` bits share at least two whole blocks if the 64 bits are cut into d + 2 blocks: d
differing bits spoil d blocks at most. So every pair of blocks is a lookup key, and no pair of images is missed.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

from curate.errors import ConfigurationError
from curate.select.shingles import mixed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 32
"""An image with a shorter side than this has no hash: it shows too little to tell likeness from sameness."""
MOST_BITS = 8
_LEAST_CONTRAST = 5.0
"""The least standard deviation of the 32 x 32 greys (of 255): the bits of an even surface are noise."""


@dataclass(frozen=True)
class PerceptualHash:
    """One way of finding near-duplicate images: hashes that differ in at most `distance` of 64 bits.

    Raises:
        ConfigurationError: the distance is not from 0 to 8.
    """

    distance: int = 4

    def __post_init__(self) -> None:
        """Refuse distances at which unlike images meet."""
        if not 0 <= self.distance <= MOST_BITS:
            raise ConfigurationError(f"an image distance of {self.distance} bits is not from 0 to {MOST_BITS}")

    @property
    def version(self) -> str:
        """Method and parameters: equal versions give equal hashes and keys.

        >>> PerceptualHash().version
        'cosine-hash:2 bits=64 distance=4'
        """
        return f"cosine-hash:2 bits=64 distance={self.distance}"

    def keys(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return a 64-bit key for each pair of blocks, int64 of (hashes, keys): 15 at a distance of 4.

        Hashes within `distance` bits of each other share a key. Keys of different versions have nothing in common.
        """
        import numpy as np

        borders = [64 * block // (self.distance + 2) for block in range(self.distance + 3)]
        blocks = [((1 << end) - 1) ^ ((1 << start) - 1) for start, end in pairwise(borders)]
        masks = np.array([one | other for one, other in combinations(blocks, 2)], np.uint64)
        seed = int.from_bytes(sha256(self.version.encode()).digest()[:8], "big")
        salts = mixed(np.arange(len(masks), dtype=np.uint64) + np.uint64(seed))
        return mixed((hashes[:, None] & masks) ^ salts).view(np.int64)


def image_hash(image: bytes) -> int | None:
    """Return the hash of an image in its file format, None for one that is small, even or does not decode.

    Cost: the decoding, for JPEG at a fraction of its size, and 0.1 ms.
    """
    greys = _greys(image)
    if greys is None or float(greys.std()) < _LEAST_CONTRAST:
        return None
    import numpy as np

    transform, rows, columns = _transform()
    # Rounded, because the last digits differ between processors, and a pattern may have many frequencies of exactly 0.
    lowest = np.round((transform @ greys @ transform.T)[rows, columns], 3)
    bits = np.packbits(lowest > np.median(lowest))
    return int.from_bytes(bits.tobytes(), "big")


def image_hashes(images: Iterable[bytes | None]) -> list[int | None]:
    """Return the hash of each image; None stays None."""
    return [None if image is None else image_hash(image) for image in images]


def distances(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return how many of 64 bits differ.

    >>> import numpy as np
    >>> distances(np.array([0b1011], np.uint64), np.array([0b0010], np.uint64)).tolist()
    [2]
    """
    import numpy as np

    different = np.asarray(first ^ second)[..., None].view(np.uint8)
    return np.asarray(np.unpackbits(different, axis=-1).sum(axis=-1, dtype=np.int64))


def _greys(image: bytes) -> NDArray[np.float64] | None:
    """Decode to 32 x 32 greys as a viewer shows the picture, what is transparent on white."""
    import numpy as np
    from PIL import Image, ImageOps

    from curate.select.bit_depth import eight_bits

    try:
        with Image.open(io.BytesIO(image)) as opened:
            if min(opened.size) < SIDE:
                return None
            opened.draft("RGB", (4 * SIDE, 4 * SIDE))
            shown: Any = ImageOps.exif_transpose(opened)
            if shown.has_transparency_data:
                shown = shown.convert("RGBA")
                shown = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
            small = eight_bits(shown).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return np.asarray(small, np.float64)


@cache
def _transform() -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the cosines (frequency, position) and the 64 lowest frequencies after the mean, by rows and columns."""
    import numpy as np

    places = np.arange(SIDE)
    cosines = np.cos(np.pi * np.outer(places, 2 * places + 1) / (2 * SIDE))
    order = sorted(((row, column) for row in range(SIDE) for column in range(SIDE)), key=lambda pair: (sum(pair), pair))
    rows, columns = np.array(order[1:65]).T
    return cosines, rows, columns
