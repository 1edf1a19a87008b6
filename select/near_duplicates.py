"""Near-duplicate texts of one list, without a store: the pairs that tie each group together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.select.clusters import Forest, buckets, connect
from curate.select.minhash import MinHash
from curate.select.shingles import jaccard

if TYPE_CHECKING:
    import pyarrow as pa


def near_duplicates(texts: Sequence[str], method: MinHash | None = None) -> pa.Table:
    """Return pairs of texts that are alike: `first` < `second` (positions) and their `similarity`, verified.

    The similarity is the exact Jaccard similarity of the two sets of shingles, so no pair lies below the threshold; of
    those at the threshold itself 99 % or more are found, of closer ones nearly all. Of a group of k texts that are all
    alike come k - 1 pairs: enough to connect it, and no more. Without `method`: a threshold of 0.8 over `words:3`.
    Cost: linear in the bytes, as long as few texts are alike.

    >>> prose = "the quick brown fox jumps over the lazy dog and then goes home to sleep until noon"
    >>> near_duplicates([prose, "something else", prose + " today"]).to_pylist()
    [{'first': 0, 'second': 2, 'similarity': 0.9375}]
    """
    import pyarrow as pa

    method = method or MinHash()
    signed = method.sign(texts)
    sets = signed.shingles.sets()
    similarities: dict[tuple[int, int], float] = {}

    def alike(first: int, second: int) -> bool:
        similarities[first, second] = jaccard(sets(first), sets(second))
        return similarities[first, second] >= method.threshold

    pairs = sorted(connect(Forest[int](), buckets(method.keys(signed.minima), signed.present), alike))
    columns = {
        "first": pa.array([first for first, _ in pairs], pa.int64()),
        "second": pa.array([second for _, second in pairs], pa.int64()),
        "similarity": pa.array([similarities[pair] for pair in pairs], pa.float64()),
    }
    return pa.table(columns)
