"""Hashed n-grams: a text as counts of its word n-grams in a fixed number of buckets, as DSIR takes it.

Tokens are those of NLTK's WordPunctTokenizer (3.10) over the lower-cased text: runs of word characters, in Unicode's
sense and with marks, and runs of other signs. The bucket of an n-gram is SHA-256 of its tokens, joined by spaces,
modulo the number of buckets: the features of the library `data-selection` (Xie et al., "Data Selection for Language
Models via Importance Resampling", 2023), bit for bit.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from unicodedata import category

from curate.errors import BadDataError
from curate.select.concatenations import over_threads
from curate.select.packing import check_texts

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

BUCKETS = 10_000
MOST_BUCKETS = 1 << 16
_KERNEL = "curate.select.hashed_ngrams_kernel"
_BYTES_WORTH_THE_KERNEL = 500_000
"""With fewer bytes Python is done before numba is imported and the machine code loaded."""
_SLICE = 512
_OF_WORDS = ("Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "Pc")
_LETTERS_TOO = ((0x200C, 0x200D), (0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189))
"""Unicode's joiners and circled letters, which count as parts of words (UTS #18, annex C) besides those categories."""
_OF_SPACES = ("Zl", "Zp", "Zs")
_CONTROL_SPACES = (0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85)


@dataclass(frozen=True, slots=True)
class HashedNgrams:
    """The n-grams of many texts: those of the i-th are `values[starts[i] : starts[i + 1]]`, uint16, in no given order.

    `tokens` counts each text's tokens; `buckets` is how many buckets there are.
    """

    values: NDArray[np.uint16]
    starts: NDArray[np.int64]
    tokens: NDArray[np.int64]
    buckets: int

    def counts(self) -> NDArray[np.int64]:
        """Return how many n-grams of all texts fall into each bucket: int64 of shape (buckets,)."""
        import numpy as np

        return np.bincount(self.values, minlength=self.buckets).astype(np.int64)

    def sums(self, of: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum over each text's n-grams of a number for their bucket: float64 of shape (texts,)."""
        import numpy as np

        running = np.zeros(len(self.values) + 1)
        sums = np.zeros(len(self.starts) - 1)
        filled = np.flatnonzero(np.diff(self.starts))
        if len(filled):
            sums[filled] = np.add.reduceat(of[self.values], self.starts[filled], out=running[: len(filled)])
        return sums

    def lengths(self) -> NDArray[np.int64]:
        """Return the number of n-grams of each text: int64 of shape (texts,)."""
        import numpy as np

        return np.diff(self.starts)


def hashed_ngrams(
    texts: Sequence[str | None], longest: int = 2, buckets: int = BUCKETS, *, threads: int | None = None
) -> HashedNgrams:
    """Return the hashed n-grams of 1 to `longest` tokens of each text; a null text has none, like an empty one.

    Lone surrogates are hashed over their three-byte UTF-8 forms.
    Cost: some 15 µs a kilobyte on one core in machine code, 250 µs without numba; the buckets are the same.
    Memory: two bytes for each n-gram, some 400 n-grams a kilobyte of English.

    Raises:
        BadDataError: `longest` or `buckets` is not positive, or there are more than 65,536 buckets.
        UsageError: the texts are one string, or no strings.

    >>> found = hashed_ngrams(["To be, or not to be", None])
    >>> found.lengths().tolist(), found.tokens.tolist(), int(found.counts().max())
    ([13, 0], [7, 0], 2)
    """
    if longest < 1 or not 0 < buckets <= MOST_BUCKETS:
        raise BadDataError(f"n-grams of up to {longest} tokens in {buckets} buckets: up to 65,536 buckets can be had")
    import numpy as np

    check_texts(texts)

    lowered = [(text or "").lower().encode("utf-8", "surrogatepass") for text in texts]
    parts: dict[int, tuple[NDArray[np.uint16], NDArray[np.int64]]] = {}
    kernel = _kernel(sum(map(len, lowered)))
    known = kernel.new_cache() if kernel else None
    points = 128 if all(map(bytes.isascii, lowered)) else sys.maxunicode + 1

    def work(rows: slice) -> None:
        for start in range(rows.start, rows.stop, _SLICE):
            part = lowered[start : min(start + _SLICE, rows.stop)]
            measure = kernel.buckets_of if kernel else _buckets_of
            parts[start] = measure(part, _classes(points), longest, buckets, known)

    over_threads(work, len(lowered), threads if kernel else 1)
    ordered = [parts[start] for start in sorted(parts)]
    tokens = np.concatenate([np.zeros(0, np.int64), *(tokens for _, tokens in ordered)])
    counts = sum((np.maximum(tokens - size + 1, 0) for size in range(1, longest + 1)), np.zeros(len(tokens), np.int64))
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return HashedNgrams(np.concatenate([np.zeros(0, np.uint16), *(one for one, _ in ordered)]), starts, tokens, buckets)


def _buckets_of(
    texts: Sequence[bytes], _: NDArray[np.uint8], longest: int, buckets: int, __: object
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Do the kernel's work in Python."""
    import numpy as np

    found: list[int] = []
    tokens = np.zeros(len(texts), np.int64)
    for place, text in enumerate(texts):
        words = _pattern().findall(text.decode("utf-8", "surrogatepass"))
        tokens[place] = len(words)
        found += (
            _bucket(" ".join(words[first : first + size]), buckets)
            for size in range(1, longest + 1)
            for first in range(len(words) - size + 1)
        )
    return np.array(found, np.uint16), tokens


@lru_cache(1 << 16)
def _bucket(ngram: str, buckets: int) -> int:
    return int.from_bytes(sha256(ngram.encode("utf-8", "surrogatepass")).digest(), "big") % buckets


@cache
def _classes(points: int) -> NDArray[np.uint8]:
    """Return of the first code points whether each is a space (0), part of a word (1) or another sign (2)."""
    import numpy as np

    categories = np.array(list(map(category, map(chr, range(points)))))
    classes = np.full(points, 2, np.uint8)
    classes[np.isin(categories, _OF_WORDS)] = 1
    classes[np.isin(categories, _OF_SPACES)] = 0
    classes[[point for point in _CONTROL_SPACES if point < points]] = 0
    for first, last in _LETTERS_TOO:
        classes[first : last + 1] = 1
    return classes


@cache
def _pattern() -> re.Pattern[str]:
    """Return what matches a token, for Python."""
    import numpy as np

    classes = _classes(sys.maxunicode + 1)
    edges = np.flatnonzero(np.diff(classes, prepend=np.uint8(3), append=np.uint8(3))).tolist()
    runs = [(f"{chr(one)!a}"[1:-1], f"{chr(two - 1)!a}"[1:-1], classes[one]) for one, two in pairwise(edges)]
    word, space = ("".join(f"{one}-{two}" for one, two, kind in runs if kind == which) for which in (1, 0))
    return re.compile(f"[{word}]+|[^{word}{space}]+")


def _kernel(size: int) -> ModuleType | None:
    """Return the kernel where it runs and `size` bytes are worth it."""
    return None if size < _BYTES_WORTH_THE_KERNEL and _KERNEL not in sys.modules else trusted_kernel()


@cache
def trusted_kernel() -> ModuleType | None:
    """Return the kernel if numba is installed and it repeats Python's buckets on a sample, else None."""
    try:
        import numba

        from curate.select import hashed_ngrams_kernel
    except ImportError:
        return None
    settings: Any = numba.config
    if settings.DISABLE_JIT:
        return None
    sample = [text.lower().encode() for text in (__doc__ or "", "", "one", "a, b!", "東京 tower ¿qué?", "w" * 300)]
    classes = _classes(sys.maxunicode + 1)
    found = hashed_ngrams_kernel.buckets_of(sample, classes, 3, 9_973, hashed_ngrams_kernel.new_cache())
    expected = _buckets_of(sample, classes, 3, 9_973, None)
    same = [each.tolist() for each in found] == [each.tolist() for each in expected]
    return hashed_ngrams_kernel if same else None
