"""Baselines: scores that know nothing of a target. A selector that does not beat them is not worth its time."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def random_scores(item_ids: Sequence[str], seed: int = 0) -> NDArray[np.float64]:
    """Return uniform numbers in [0, 1): float64 of shape (items,).

    Each is drawn from a hash of seed and item id, so an item keeps its number whatever comes with it or before it.

    >>> bool(random_scores(["a", "b"], seed=1)[1] == random_scores(["b"], seed=1)[0])
    True
    """
    import numpy as np

    key = seed.to_bytes(16, "little", signed=True)
    digests = b"".join(
        blake2b(item_id.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest() for item_id in item_ids
    )
    return np.ldexp((np.frombuffer(digests, dtype="<u8") >> np.uint64(11)).astype(np.float64), -53)


def length_scores(texts: Sequence[str | None]) -> NDArray[np.float64]:
    """Return minus the length of each text in characters, the shortest first; NaN for a null or empty text.

    This is the ranking that gzip level 0 gives in place of alignment, and the bias to hold every compressor against.

    >>> length_scores(["abc", "a", "", None]).tolist()
    [-3.0, -1.0, nan, nan]
    """
    import numpy as np

    return np.array([-float(len(text)) if text else np.nan for text in texts], dtype=np.float64)


class RandomSelector:
    """Scores the items of a table at random, repeatably: a `curate.types.Selector`."""

    name = "random"
    target = ""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.version = f"random:1 seed-{seed}"

    def score(self, items: pa.Table) -> NDArray[np.float64]:
        """Return one score for each row of the column `item_id`."""
        return random_scores(items.column("item_id").to_pylist(), self.seed)


class LengthSelector:
    """Scores the items of a table by brevity: a `curate.types.Selector`."""

    name = "length"
    target = ""
    version = "length:2"

    def score(self, items: pa.Table) -> NDArray[np.float64]:
        """Return one score for each row of the column `text`; NaN where it is null or empty, or where there is none."""
        texts = items.column("text").to_pylist() if "text" in items.column_names else [None] * items.num_rows
        return length_scores(texts)
