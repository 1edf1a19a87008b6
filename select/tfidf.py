"""TF-IDF: the cosine of word counts, weighted by rarity; the baseline that every selector by target has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from curate.errors import BadDataError
from curate.select.hashed_ngrams import MOST_BUCKETS, hashed_ngrams

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

METHOD = "tfidf:1"


class Counted(NamedTuple):
    """The words that `texts` texts hold: text, word and how often, one row for each word of a text."""

    owners: NDArray[np.int64]
    words: NDArray[np.int64]
    counts: NDArray[np.int64]
    texts: int


class Tfidf:
    """Scores texts by their mean cosine to one target; `observe` the pool, in as many parts as it comes, then `score`.

    Words lie in 65,536 buckets; the rarity of a bucket is log((1 + n) / (1 + texts that hold it)) + 1 over the pool, as
    in scikit-learn (Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988). Memory: the
    words of one part.

    Raises:
        BadDataError: no target has a word.
    """

    name = "tfidf"

    def __init__(self, targets: Sequence[str], *, target: str = "target") -> None:
        import numpy as np

        self.target = target
        self._wanted = _counted([targets] if isinstance(targets, str) else targets)
        if not len(self._wanted.owners):
            raise BadDataError("no target has a word", hint="give at least one document of the kind you want more of")
        self._texts, self._holding = 0, np.zeros(MOST_BUCKETS, np.int64)

    @property
    def version(self) -> str:
        """What the scores depend on besides the text: method, and the words of target and pool."""
        seen = sha256(b"".join(column.tobytes() for column in (*self._wanted[:3], self._holding))).hexdigest()[:16]
        return f"{METHOD} {self._texts}-texts {seen}"

    def observe(self, texts: Sequence[str | None]) -> Counted:
        """Count a part of the pool; return its words, which `weigh` takes without reading the texts again."""
        import numpy as np

        found = _counted(texts)
        self._texts += found.texts
        self._holding += np.bincount(found.words, minlength=MOST_BUCKETS)
        return found

    def weigh(self, found: Counted) -> NDArray[np.float64]:
        """Return the mean cosine of each text to the targets: float64 of shape (texts,); NaN without a word."""
        import numpy as np

        rarity = np.log((1 + self._texts) / (1 + self._holding)) + 1
        owners, words, counts, targets = self._wanted
        weights = counts * rarity[words]
        centre = np.bincount(words, weights / _norms(owners, weights, targets)[owners], MOST_BUCKETS) / targets
        owners, words, counts, texts = found
        weights = counts * rarity[words]
        norms = _norms(owners, weights, texts)
        shared = np.bincount(owners, weights * centre[words], minlength=texts)
        result: NDArray[np.float64] = np.divide(shared, norms, out=np.full(texts, np.nan), where=norms > 0)
        return result

    def score(self, items: pa.Table) -> NDArray[np.float64]:
        """Return one score for each row of the column `text`: a `curate.types.Selector`, once the pool is observed."""
        import numpy as np

        if "text" not in items.column_names:
            return np.full(items.num_rows, np.nan)
        return self.weigh(_counted(items.column("text").to_pylist()))


def tfidf_scores(texts: Sequence[str | None], targets: Sequence[str]) -> NDArray[np.float64]:
    """Return the mean cosine of each text of a pool to the targets: in [0, 1]; NaN without a word. See `Tfidf`.

    Cost: one pass over the texts and a sort of their words.

    Raises:
        BadDataError: no target has a word.

    >>> tfidf_scores(["a cat sat", "rain fell", None], ["the cat sat"]).round(2).tolist()
    [0.58, 0.0, nan]
    """
    model = Tfidf(targets)
    return model.weigh(model.observe(texts))


def _counted(texts: Sequence[str | None]) -> Counted:
    import numpy as np

    found = hashed_ngrams(texts, 1, MOST_BUCKETS)
    owners = np.repeat(np.arange(len(texts)), found.lengths())
    pairs, counts = np.unique(owners * found.buckets + found.values, return_counts=True)
    return Counted(pairs // found.buckets, pairs % found.buckets, counts, len(texts))


def _norms(owners: NDArray[np.int64], weights: NDArray[np.float64], texts: int) -> NDArray[np.float64]:
    import numpy as np

    return np.sqrt(np.bincount(owners, weights * weights, minlength=texts))
