"""Alignment: how much of a target a text shares, measured by compression (ZIP-FIT, arXiv 2410.18194).

With C(s) the compressed size of s in bytes and x + t the plain concatenation, source first, without separator:

    NCD(x, t) = (C(x + t) - min(C(x), C(t))) / max(C(x), C(t))        score(x) = 1 - mean over targets t of NCD(x, t)

Scores mostly lie in [0, 1]; compressors are not perfect distances, so a little outside is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from curate.errors import BadDataError, UnknownNameError
from curate.select import compressors
from curate.select.compressors import Compressor
from curate.select.concatenations import PairSizer, PairSizes, over_threads
from curate.select.packing import Texts, cut, packed, packed_strings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

METHOD = "zip-fit:1"
"""Name and version of the method; the number grows whenever the same input would get another score."""

Reduction = Literal["mean", "max"]
_PAIRS_AT_ONCE = 1 << 19
_TEXTS_AT_ONCE = 1 << 13
"""What bounds a batch: pairs whose sizes (with temporaries about 30 MB) and texts that are held at once."""


def score(
    texts: Sequence[str | None],
    targets: Sequence[str],
    compressor: str | Compressor = compressors.DEFAULT,
    reduce: Reduction = "mean",
    *,
    threads: int | None = None,
) -> NDArray[np.float64]:
    r"""Return the alignment of each text to the targets: float64 of shape (texts,), higher is better.

    Args:
        texts: null and empty texts get NaN, which is to say no score: there is nothing in them to select.
            A text with lone surrogates is measured over their three-byte UTF-8 forms.
        targets: at least one document, none of them empty.
        compressor: a name (see `curate.select.compressors`) or a compressor.
        reduce: `mean` over the targets is ZIP-FIT; `max`, the nearest target, suits targets with several modes.
        threads: default: every core that the process may use. The scores do not depend on it.

    Long documents: a compressor that looks back 64 KiB no longer sees the start of a longer text when it reaches the
    target, so texts over half the window are cut into the fewest pieces of equal length that fit, and score the mean of
    their pieces: how well the average byte of the text is aligned. The best piece instead would favour long texts,
    which have more tries. Targets over half the window are cut likewise, and each piece counts as a target.

    Cost: texts x targets compressions of one text with one target. Memory: bounded, whatever the number of texts.

    Raises:
        BadDataError: there is no target, or one is empty.
        UnknownNameError: the compressor or the reduction does not exist.
        ConfigurationError: the compressor cannot see the target (gzip level 0).

    >>> target = 'def area(width, height):\n    return width * height\n'
    >>> texts = ['def perimeter(width, height):\n    return 2 * (width + height)\n', 'Rain fell on the harbour.']
    >>> score(texts, [target]).round(3).tolist()
    [0.475, 0.039]
    """
    return Aligner(targets, compressor, reduce).score(texts, threads=threads)


class Aligner:
    """Scores texts against targets that are prepared once; see `score` for the meaning and the errors."""

    def __init__(
        self,
        targets: Sequence[str],
        compressor: str | Compressor = compressors.DEFAULT,
        reduce: Reduction = "mean",
    ) -> None:
        import numpy as np

        if reduce not in _REDUCTIONS:
            raise UnknownNameError("reduction", reduce, _REDUCTIONS)
        self.compressor = compressors.compressor(compressor) if isinstance(compressor, str) else compressor
        self.reduce = reduce
        encoded = _encoded_targets(targets)
        self.fingerprint = _fingerprint(encoded)
        documents = cut(packed(encoded), self.compressor.window // 2)[0].as_bytes()
        self._target_sizes = np.array([self.compressor.size(document) for document in documents])
        self._sizer = PairSizer(self.compressor, documents)

    @property
    def version(self) -> str:
        """What the scores depend on besides the text: method, compressor with library version, reduction, targets."""
        return f"{METHOD} {self.compressor.version} {self.reduce} target-{self.fingerprint[:16]}"

    def score(self, texts: Sequence[str | None], *, threads: int | None = None) -> NDArray[np.float64]:
        """Return the alignment of each text: float64 of shape (texts,); NaN where a text is null or empty."""
        import numpy as np

        totals = np.zeros(len(texts), dtype=np.float64)
        counts = np.zeros(len(texts), dtype=np.int64)
        for first, batch, owners in self._batches(texts):
            totals += np.bincount(first + owners, self._score_pieces(batch, threads), len(texts))
            counts += np.bincount(first + owners, minlength=len(texts))
        scores: NDArray[np.float64] = np.divide(totals, counts, out=np.full(len(texts), np.nan), where=counts > 0)
        return scores

    def _score_pieces(self, sources: Texts, threads: int | None) -> NDArray[np.float64]:
        import numpy as np

        count = len(sources.lengths)
        self._sizer.prepare(count)
        scores = np.empty(count, dtype=np.float64)

        def work(rows: slice) -> None:
            found = self._sizer.sizes(sources.rows(rows.start, rows.stop))
            scores[rows] = _REDUCTIONS[self.reduce](similarities(found, self._target_sizes))

        over_threads(work, count, threads)
        return scores

    def _batches(self, texts: Sequence[str | None]) -> Iterator[tuple[int, Texts, NDArray[np.int64]]]:
        """Yield the number of a first text, pieces of it and of texts after it, and for each how far behind it is."""
        rows = max(1, _PAIRS_AT_ONCE // len(self._target_sizes))
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            laid = packed_strings(texts[first : first + _TEXTS_AT_ONCE])
            sources, owners = cut(laid, self.compressor.window // 2)
            for start in range(0, len(owners), rows):
                yield first, sources.rows(start, start + rows), owners[start : start + rows]


class AlignmentSelector:
    """Scores the items of a table by their alignment to a target: a `curate.types.Selector`.

    `version` changes with the method, the compressor (its level and library version too), the reduction and the
    content of the target.
    """

    name = "align"

    def __init__(
        self,
        targets: Sequence[str],
        compressor: str | Compressor = compressors.DEFAULT,
        reduce: Reduction = "mean",
        *,
        target: str = "target",
    ) -> None:
        self._aligner = Aligner(targets, compressor, reduce)
        self.target = target
        self.version = self._aligner.version

    def score(self, items: pa.Table) -> NDArray[np.float64]:
        """Return one score for each row of the column `text`; NaN where it is null or empty, or where there is none."""
        import numpy as np

        if "text" not in items.column_names:
            return np.full(items.num_rows, np.nan)
        return self._aligner.score(items.column("text").to_pylist())


def similarities(sizes: PairSizes, target_sizes: NDArray[Any]) -> NDArray[np.float64]:
    """Return 1 - NCD for every pair: float64 of shape (sources, targets).

    >>> import numpy as np
    >>> similarities(PairSizes(np.array([10, 20]), np.array([[18], [24]])), np.array([16])).tolist()
    [[0.5], [0.6]]
    """
    import numpy as np

    alone = sizes.alone[:, None]
    smaller, larger = np.minimum(alone, target_sizes), np.maximum(alone, target_sizes)
    result: NDArray[np.float64] = 1.0 - (sizes.joint - smaller) / larger
    return result


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = values.mean(axis=1)
    return result


def _max(values: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = values.max(axis=1)
    return result


_REDUCTIONS: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {"mean": _mean, "max": _max}


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _encoded_targets(targets: Sequence[str]) -> list[bytes]:
    if isinstance(targets, str):
        targets = [targets]  # a string is a sequence of strings too: one document, not one for each character
    encoded = [_encode(target) for target in targets]
    if not encoded:
        raise BadDataError("alignment has no target", hint="give at least one document of the kind you want more of")
    for position, target in enumerate(encoded):
        if not target.strip():
            raise BadDataError(f"target document {position + 1} of {len(encoded)} has no text", hint="remove it")
    return encoded


def _fingerprint(targets: Sequence[bytes]) -> str:
    digest = sha256()
    for target in targets:
        digest.update(len(target).to_bytes(8, "little") + target)
    return digest.hexdigest()
