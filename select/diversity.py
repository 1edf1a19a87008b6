"""Passes after ranking, which keep the best from saying the same again. They need no target.

Each takes candidates in the order of a ranking, the best first, and returns positions in that list. They see the
candidates only, so their cost depends on how many those are and not on the pool.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from math import ceil, log
from typing import TYPE_CHECKING, NamedTuple

from curate.errors import BadDataError
from curate.select.minhash import MinHash
from curate.select.near_duplicates import near_duplicates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Positions = NDArray[np.int64]

WINDOW = 32_000
"""How many bytes deflate looks back."""
LEVEL = 9


class Stages(NamedTuple):
    """How many candidates each stage of the entropy law looks at: of all, of those, and how many it then takes."""

    first: int = 1_000
    second: int = 200
    taken: int = 100


def without_near_duplicates(texts: Sequence[str | None], method: MinHash | None = None) -> Positions:
    """Return the positions of the candidates that are no near-duplicate of an earlier one, in order.

    Of each group of texts that are alike (`near_duplicates`) the first stays; so does every empty or null text.
    Cost: linear in the bytes; see `near_duplicates`.

    >>> prose = "the quick brown fox jumps over the lazy dog and then goes home to sleep until noon"
    >>> without_near_duplicates([prose, prose + " today", "something else"]).tolist()
    [0, 2]
    """
    import numpy as np

    from curate.select.clusters import Forest

    pairs = near_duplicates([text or "" for text in texts], method)
    forest = Forest[int]()
    for first, second in zip(pairs["first"].to_pylist(), pairs["second"].to_pylist(), strict=True):
        forest.join(first, second)
    members = {*pairs["first"].to_pylist(), *pairs["second"].to_pylist()}
    later = {place for group in forest.groups(sorted(members)).values() for place in sorted(group)[1:]}
    return np.array([place for place in range(len(texts)) if place not in later], np.int64)


def entropy_law_order(texts: Sequence[str | None], count: int, stages: Stages | None = None) -> Positions:
    """Return `count` candidates, each round those that deflate compresses least after what was chosen before.

    The entropy law's three stages: of all candidates those that were last seen to be the least redundant are looked at
    anew, the least redundant of these are taken one by one, each after the ones before it. Redundancy is the number of
    bytes of a text over the bytes that level 9 needs for it behind the last 32,000 bytes chosen; the published form
    compresses all that was chosen anew each time, of which deflate sees no more than these.
    Source: Yin et al. 2024, "Entropy Law: The Story Behind Data Compression and LLM Performance" (ZIP), algorithm 1.
    Cost: count / taken x first + count x second compressions of a text behind a full window: some 0.5 ms each.

    Raises:
        BadDataError: count is negative, or a stage looks at fewer than it passes on.

    >>> entropy_law_order(["abcabcabcabc", "abcabcabcabc", "xyz 123 !?"], 2).tolist()
    [2, 0]
    """
    import numpy as np

    stages = stages or Stages()
    if count < 0 or not stages.first >= stages.second >= stages.taken >= 1:
        raise BadDataError(f"the entropy law cannot choose {count} texts in stages of {tuple(stages)}")
    encoded = [(text or "").encode("utf-8", "surrogatepass") for text in texts]
    redundancy = np.array([_redundancy(text, b"") for text in encoded])
    left = np.ones(len(encoded), np.bool_)
    chosen: list[int] = []
    window = b""
    while len(chosen) < min(count, len(encoded)):
        open_places = np.flatnonzero(left)
        looked = open_places[np.argsort(redundancy[open_places], kind="stable")[: stages.first]]
        redundancy[looked] = [_redundancy(encoded[place], window) for place in looked]
        near = looked[np.argsort(redundancy[looked], kind="stable")[: stages.second]].tolist()
        for _ in range(min(stages.taken, len(near), count - len(chosen))):
            for place in near:
                redundancy[place] = _redundancy(encoded[place], window)
            best = min(near, key=lambda place: (redundancy[place], place))
            near.remove(best)
            left[best] = False
            chosen.append(best)
            window = (window + encoded[best])[-WINDOW:]
    return np.array(chosen, np.int64)


def _redundancy(text: bytes, window: bytes) -> float:
    """Return bytes over compressed bytes of a text behind a window; an empty text is as redundant as can be."""
    if not text:
        return float("inf")
    packer = zlib.compressobj(LEVEL, zdict=window) if window else zlib.compressobj(LEVEL)
    return len(text) / (len(packer.compress(text)) + len(packer.flush()))


def facility_location_order(
    vectors: NDArray[np.float64], count: int, relevance: NDArray[np.float64] | None = None, *, seed: int = 0
) -> Positions:
    """Return `count` candidates that are the best representatives of all: maximise sum_i max_{j in S} cos(i, j).

    Greedy over a random sample of the candidates in each turn, of size n / count x ln(100), which is within 1 % of the
    full greedy order's guarantee. `relevance`, none negative, weights each candidate i that is to be represented.
    Source: Mirzasoleiman et al. 2015, "Lazier than lazy greedy"; for selection: Wei, Iyer and Bilmes 2015.
    Cost: n x n x dimensions x ln(100) multiplications. Memory: the vectors, and a sample's similarities to all.

    Raises:
        BadDataError: a vector has no length or is not finite, count is negative, or the relevance is not one number for
            each candidate, finite and none negative.

    >>> import numpy as np
    >>> facility_location_order(np.array([[1.0, 0], [1, 0.1], [0, 1]]), 2).tolist() in ([1, 2], [0, 2], [2, 0], [2, 1])
    True
    """
    import numpy as np

    norms = np.linalg.norm(vectors, axis=1)
    if count < 0 or not np.all(np.isfinite(norms) & (norms > 0)):
        raise BadDataError(f"facility location of {count} needs finite vectors that are not all zeros")
    unit = (vectors / norms[:, None]).astype(np.float32)
    weights = np.ones(len(unit), np.float32) if relevance is None else relevance.astype(np.float32)
    if weights.shape != (len(unit),) or not np.all(np.isfinite(weights) & (weights >= 0)):
        raise BadDataError(f"relevance is one number for each of {len(unit)} candidates, finite and none negative")
    generator = np.random.default_rng(seed)
    covered = np.zeros(len(unit), np.float32)
    left = np.arange(len(unit))
    chosen: list[int] = []
    for _ in range(min(count, len(unit))):
        size = min(len(left), ceil(len(unit) / max(count, 1) * log(100)))
        sample = generator.choice(left, size, replace=False)
        gains = weights @ np.maximum(unit @ unit[sample].T - covered[:, None], 0)
        best = int(sample[gains.argmax()])
        covered = np.maximum(covered, unit @ unit[best])
        left = left[left != best]
        chosen.append(best)
    return np.array(chosen, np.int64)
