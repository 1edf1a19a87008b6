"""TF-IDF: the cosine of word counts, weighted by rarity; the baseline that every selector by target has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.errors import BadDataError
from curate.select.hashed_ngrams import MOST_BUCKETS, HashedNgrams, hashed_ngrams

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def tfidf_scores(texts: Sequence[str | None], targets: Sequence[str]) -> NDArray[np.float64]:
    """Return the mean cosine of each text to the targets: float64 of shape (texts,), in [0, 1]; NaN without a word.

    Words lie in 65,536 buckets; the rarity of a bucket is log((1 + n) / (1 + texts that hold it)) + 1 over the pool, as
    in scikit-learn (Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988).
    Cost: one pass over the texts and a sort of their words.

    Raises:
        BadDataError: no target has a word.

    >>> tfidf_scores(["a cat sat", "rain fell", None], ["the cat sat"]).round(2).tolist()
    [0.58, 0.0, nan]
    """
    import numpy as np

    targets = [targets] if isinstance(targets, str) else targets
    pool = _counted(hashed_ngrams(texts, 1, MOST_BUCKETS))
    wanted = _counted(hashed_ngrams(targets, 1, MOST_BUCKETS))
    if not len(wanted[0]):
        raise BadDataError("no target has a word", hint="give at least one document of the kind you want more of")
    rarity = np.log((1 + len(texts)) / (1 + np.bincount(pool[1], minlength=MOST_BUCKETS))) + 1
    owners, words, counts = wanted
    weights = counts * rarity[words]
    centre = np.bincount(words, weights / _norms(owners, weights, len(targets))[owners], MOST_BUCKETS) / len(targets)
    owners, words, counts = pool
    weights = counts * rarity[words]
    norms = _norms(owners, weights, len(texts))
    shared = np.bincount(owners, weights * centre[words], minlength=len(texts))
    result: NDArray[np.float64] = np.divide(shared, norms, out=np.full(len(texts), np.nan), where=norms > 0)
    return result


def _counted(found: HashedNgrams) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return text, word and count of every word that a text holds."""
    import numpy as np

    owners = np.repeat(np.arange(len(found.starts) - 1), found.lengths())
    pairs, counts = np.unique(owners * found.buckets + found.values, return_counts=True)
    return pairs // found.buckets, pairs % found.buckets, counts


def _norms(owners: NDArray[np.int64], weights: NDArray[np.float64], texts: int) -> NDArray[np.float64]:
    import numpy as np

    return np.sqrt(np.bincount(owners, weights * weights, minlength=texts))
