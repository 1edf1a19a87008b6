"""Which texts share runs of words with evaluation items, from an index of those items' runs.

Texts are compared as words alone: case-folded, in Unicode's NFKC, without punctuation, whatever parts the words (so
wrapped, indented and re-quoted copies are the same); in scripts without spaces each character is a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from curate.errors import BadDataError
from curate.select.shingles import Shingling, prepared, shingles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_ITEMS = 10
"""A run that stands in more evaluation items than this is their common phrasing and shows no contamination."""
_MARKS = re.compile(r"[\W_]+")
_FILTER_BITS_PER_KEY = 16


def words_only(text: str | None) -> bytes:
    r"""Return what is compared of a text, in UTF-8 with one space between words.

    >>> words_only("It's  a\nTest!")
    b'it s a test'
    """
    return prepared(_MARKS.sub(" ", text or ""), "words")


class Evaluations:
    """The items of evaluation sets by name, each text once.

    `names` are of the items compared, `unusable` of those without a word; of equal texts the first one's name stands.

    Raises:
        BadDataError: no item has a word.
    """

    def __init__(self, items: Mapping[str, str]) -> None:
        compared = {name: words_only(text) for name, text in items.items()}
        self.unusable = tuple(name for name, text in compared.items() if not text)
        first = {text: name for name, text in reversed(compared.items()) if text}
        self.texts: list[bytes] = [text for name, text in compared.items() if text and first[text] == name]
        self.names: list[str] = [first[text] for text in self.texts]
        if not self.names:
            raise BadDataError(
                "there is no evaluation item to look for", hint="name files with at least one text that has words"
            )
        digest = sha256()
        for name, text in zip(self.names, self.texts, strict=True):
            digest.update(f"{name}\0{len(text)}\0".encode() + text)
        self.fingerprint = digest.hexdigest()


class Overlaps(NamedTuple):
    """Pairs of a text and an evaluation item that share runs, by text.

    `shares[k]` is how much of the item's words lie in shared runs, in (0, 1]; `shifts[k]` at which word of the text the
    item would begin, as most of the shared runs stand.
    """

    texts: NDArray[np.int64]
    items: NDArray[np.int64]
    shares: NDArray[np.float64]
    shifts: NDArray[np.int64]


class RunIndex:
    """The runs of `size` words of evaluation items, as 64-bit hashes.

    An item of fewer words is one run, which only a text of just these words shares. Runs of more than ten items do not
    count. `uncomparable` are the names of items of which no run is left.

    Memory: some 70 bytes a word of the items, twice that while it is made.
    """

    def __init__(self, evaluations: Evaluations, size: int) -> None:
        import numpy as np

        self._cut = Shingling("words", size)
        found = shingles(evaluations.texts, self._cut)
        items = np.repeat(np.arange(len(evaluations.names)), np.diff(found.starts))
        places = np.arange(len(items)) - found.starts[items]
        counts = np.diff(found.starts)
        self._width = np.array([min(size, text.count(b" ") + 1) for text in evaluations.texts], np.int64)
        rare = _rare(found.values, items)
        order = np.argsort(found.values[rare], kind="stable")
        self._items, self._places = items[rare][order], places[rare][order]
        self._keys, firsts = np.unique(found.values[rare][order], return_index=True)
        self._firsts = np.append(firsts, len(order))
        self._usable = _covered(items[rare], places[rare], self._width, len(counts))
        self.uncomparable = tuple(
            name for name, words in zip(evaluations.names, self._usable.tolist(), strict=True) if not words
        )
        self._filter, self._shift = _filter(self._keys)

    def overlaps(self, texts: Sequence[bytes]) -> Overlaps:
        """Return the pairs of texts (`words_only`) and items that share a run.

        Cost: some 30 ns a byte. Memory: about 100 times the bytes of the texts, at least 100 MB, and what they share.
        """
        import numpy as np

        found = shingles(texts, self._cut)
        maybe = np.flatnonzero(self._filter[found.values >> self._shift])
        numbers = np.searchsorted(self._keys, found.values[maybe])
        same = self._keys[np.minimum(numbers, len(self._keys) - 1)] == found.values[maybe] if len(self._keys) else []
        hits, numbers = maybe[same], numbers[same]
        counts = self._firsts[numbers + 1] - self._firsts[numbers]
        postings = np.repeat(self._firsts[numbers] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        owners = np.searchsorted(found.starts, hits, side="right") - 1
        inside = np.repeat(hits - found.starts[owners], counts)
        return self._pairs(np.repeat(owners, counts), self._items[postings], self._places[postings], inside)

    def _pairs(
        self, texts: NDArray[np.int64], items: NDArray[np.int64], places: NDArray[np.int64], inside: NDArray[np.int64]
    ) -> Overlaps:
        """Join what each text shares with each item; `places` are words of the item, `inside` those of the text."""
        import numpy as np

        pairs = texts * len(self._usable) + items
        different, owners = np.unique(pairs, return_inverse=True)
        which = different % len(self._usable)
        covered = _covered(owners, places, self._width[which], len(different))
        shifts = _densest(owners, inside - places, self._usable[which] // 4)
        return Overlaps(different // len(self._usable), which, covered / self._usable[which], shifts)


def _rare(keys: NDArray[np.uint64], items: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which runs stand in few enough items."""
    import numpy as np

    _, numbers = np.unique(keys, return_inverse=True)
    width = int(items.max(initial=0)) + 1
    counts = np.bincount(np.unique(numbers * width + items) // width, minlength=1)
    return np.asarray(counts[numbers] <= MOST_ITEMS, np.bool_)


def _covered(
    owners: NDArray[np.int64], places: NDArray[np.int64], width: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return for each owner how many words lie in runs of its `width` that begin at `places`, words counted once."""
    import numpy as np

    order = np.lexsort((places, owners))
    owners, places = owners[order], places[order]
    reach = width[owners]
    last = np.append(owners[1:] != owners[:-1], True)[: len(owners)]
    steps = np.append(np.diff(places), 0)[: len(places)]
    return np.bincount(owners, np.where(last, reach, np.minimum(reach, steps)), count).astype(np.int64)


def _densest(owners: NDArray[np.int64], numbers: NDArray[np.int64], width: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each owner the middle one of its numbers in the stretch of its `width` that holds most of them."""
    import numpy as np

    order = np.lexsort((numbers, owners))
    owners, numbers = owners[order], numbers[order]
    spread = 1 + int(numbers.max(initial=0) - numbers.min(initial=0)) + int(width.max(initial=0))
    line = owners * (2 * spread) + numbers - numbers.min(initial=0)
    inside = np.searchsorted(line, line + width[owners], side="right") - np.arange(len(line))
    best = np.lexsort((np.arange(len(line)), -inside, owners))
    first = best[np.searchsorted(owners, np.arange(len(width)))]
    return np.asarray(numbers[first + inside[first] // 2], np.int64)


def _filter(keys: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], np.uint64]:
    """Return a table over the keys' first bits that says "no" for nearly all others."""
    import numpy as np

    bits = max(10, int(_FILTER_BITS_PER_KEY * max(len(keys), 1) - 1).bit_length())
    table = np.zeros(1 << bits, np.bool_)
    shift = np.uint64(64 - bits)
    table[keys >> shift] = True
    return table, shift
