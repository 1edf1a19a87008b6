"""How much of each target each text shares, from the compressed sizes of both and of the two together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from curate.select.concatenations import PairSizer, PairSizes, over_threads
from curate.select.packing import Texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.select.compressors import Compressor

LengthControl = Literal["none", "geometric", "windows"]
CONTROLS: tuple[LengthControl, ...] = ("none", "geometric", "windows")
Reduce = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]
_WINDOW = 512
_PAIRS_AT_ONCE = 1 << 18
"""Pairs whose sizes a thread holds at once (with temporaries about 10 MB)."""
_PAIRS_WORTH_A_START = 1 << 11


class Measured(NamedTuple):
    """`alone[i]` is the compressed size of text i, `similarity` what the targets gave: a value or one for each."""

    alone: NDArray[np.int32]
    similarity: NDArray[np.float64]


class Measure:
    """Measures texts against targets that are prepared once. Several threads may share the work of one call.

    `piece` is how many bytes of a text are measured at once: what the compressor can look back on, or a window.
    """

    def __init__(self, compressor: Compressor, documents: Sequence[bytes], control: LengthControl = "none") -> None:
        import numpy as np

        self.compressor, self.documents, self.control = compressor, documents, control
        self.piece = min(_WINDOW, compressor.window // 2) if control == "windows" else compressor.window // 2
        self.sizes = np.array([compressor.size(document) for document in documents])
        frame = compressor.size(b"x") - 1
        self._similarities = similarities if control == "none" else partial(geometric_similarities, frame=frame)
        self._sizer = PairSizer(compressor, documents)

    def subset(self, columns: Sequence[int]) -> Measure:
        """Return the measure against some of the targets only. What is known of them is not found out again."""
        some = copy(self)
        some.documents = [self.documents[column] for column in columns]
        some.sizes, some._sizer = self.sizes[list(columns)], self._sizer.subset(columns)
        return some

    def prepare(self, sources: int) -> None:
        """Make the targets ready for so many sources, if that pays, where they come in several calls."""
        self._sizer.prepare(sources)

    def reduced(self, sources: Texts, reduce: Reduce, threads: int | None = None) -> Measured:
        """Return sizes and one value for each source."""
        return self._measured(sources, (), reduce, threads)

    def full(self, sources: Texts, threads: int | None = None) -> Measured:
        """Return sizes and similarities of shape (sources, targets)."""
        return self._measured(sources, (len(self.documents),), lambda values: values, threads)

    def _measured(self, sources: Texts, shape: tuple[int, ...], reduce: Reduce, threads: int | None) -> Measured:
        import numpy as np

        count, most = len(sources.lengths), max(1, _PAIRS_AT_ONCE // max(len(self.documents), 1))
        self._sizer.prepare(count)
        result = Measured(np.empty(count, dtype=np.int32), np.empty((count, *shape)))

        def work(rows: slice) -> None:
            for start in range(rows.start, rows.stop, most):
                part = slice(start, min(start + most, rows.stop))
                sizes = self._sizer.sizes(sources.rows(part.start, part.stop))
                result.alone[part] = sizes.alone
                result.similarity[part] = reduce(self._similarities(sizes, self.sizes))

        over_threads(work, count, threads, least=max(1, _PAIRS_WORTH_A_START // (len(self.documents) + 4)))
        return result


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


def geometric_similarities(sizes: PairSizes, target_sizes: NDArray[Any], frame: int = 0) -> NDArray[np.float64]:
    """Return for every pair the bytes saved by compressing both at once, over the geometric mean of their sizes.

    1 - NCD has the larger of the two sizes below the line instead, so that a text scores lower the more it differs in
    size from the targets, whatever it says. `frame` counts the bytes that the compressor puts around every text, which
    are a large part of a short text's size and say nothing: what a single byte takes, less that byte.

    >>> import numpy as np
    >>> geometric_similarities(PairSizes(np.array([4]), np.array([[14]])), np.array([16])).tolist()
    [[0.75]]
    """
    import numpy as np

    alone, others = np.maximum(sizes.alone[:, None] - frame, 1.0), np.maximum(target_sizes - frame, 1.0)
    result: NDArray[np.float64] = (alone + others - (sizes.joint - frame)) / np.sqrt(alone * others)
    return result


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = values.mean(axis=1)
    return result


def _max(values: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = values.max(axis=1)
    return result


def _mean_of_nearest(count: int) -> Reduce:
    def reduce(values: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        most = min(count, values.shape[1])
        nearest: NDArray[np.float64] = np.partition(values, values.shape[1] - most, axis=1)[:, -most:].mean(axis=1)
        return nearest

    return reduce


def reductions(top: int) -> Mapping[str, tuple[str, Reduce]]:
    """Return the reductions by name: what stands for each in a score's version, and the function.

    >>> sorted(reductions(8))
    ['max', 'mean', 'top-m']
    """
    return {"mean": ("mean", _mean), "max": ("max", _max), "top-m": (f"top-{top}", _mean_of_nearest(top))}
