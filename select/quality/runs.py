"""Runs of words that come more than once in a text, for many texts at a time.

A run of n words comes twice only if the run of its first n - 1 words does. So the texts' pairs of words are sorted
once, and each longer run is looked for only where a shorter one came again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from curate.select.quality.document import Document

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST = 10
MOST_FREQUENT, REPEATED = (2, 3, 4), (5, 6, 7, 8, 9, 10)
_MULTIPLIER = 0x9E3779B97F4A7C15


def covered_characters(documents: Sequence[Document]) -> dict[str, NDArray[np.int64]]:
    """Return how much of each text lies in runs that come often, int64 of shape (texts,) for each measure.

    `top_2` to `top_4`: the characters that the most frequent run of so many words covers, single spaces between them
    included, counted as often as it comes; the first one's of several that are equally frequent.
    `again_5` to `again_10`: the characters of words in runs that stood in the text before. The text is read from its
    start; a run that is known is counted, and reading goes on behind it.

    Runs are told apart by 64 bits, so that two are taken for one by chance of 1 in 2^64 a pair. Cost: one sort of the
    words. Memory: about 100 bytes a word.

    >>> found = covered_characters([Document("one two one two three"), Document("so it goes on and so it goes on and")])
    >>> found["top_2"].tolist(), found["again_5"].tolist()
    ([14, 10], [0, 13])
    """
    import numpy as np

    words = _Words.of(documents)
    found: dict[str, NDArray[np.int64]] = {}
    places = np.arange(len(words.hashes))
    keys = words.hashes + words.owners * np.int64(_MULTIPLIER >> 2)
    for n in range(2, LONGEST + 1):
        inside = words.ends[words.owners[places]] >= places + n
        places = places[inside]
        keys = _longer(keys[inside], words.hashes[places + n - 1])
        groups = _groups(keys, places)
        if n in MOST_FREQUENT:
            found[f"top_{n}"] = _most_frequent(words, groups, n)
        keys, places = keys[groups.members], places[groups.members]
        if n in REPEATED:
            found[f"again_{n}"] = _again(words, places, keys, n)
    return found


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of all texts one after another: hashes, the text of each, and where each text starts and ends."""

    hashes: NDArray[np.int64]
    owners: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    characters: NDArray[np.int64]
    """How many characters stand in the first k words of all: int64 of shape (words + 1,)."""

    @classmethod
    def of(cls, documents: Sequence[Document]) -> _Words:
        import numpy as np

        counts = np.array([len(document.words) for document in documents], np.int64)
        total, ends = int(counts.sum()), np.cumsum(counts)
        every = [document.words for document in documents]
        hashes = np.fromiter(map(hash, chain.from_iterable(every)), np.int64, total)
        lengths = np.fromiter(map(len, chain.from_iterable(every)), np.int64, total)
        characters = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return cls(hashes, np.repeat(np.arange(len(counts)), counts), ends - counts, ends, characters)

    def within(self, places: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        """Return how many characters the n words from each place on have."""
        return self.characters[places + n] - self.characters[places]


@dataclass(frozen=True, slots=True)
class _Groups:
    """Runs that come more than once: how often, where first, and which of the candidates belong to one, by place."""

    counts: NDArray[np.int64]
    first: NDArray[np.int64]
    members: NDArray[np.int64]


def _longer(keys: NDArray[np.int64], following: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the keys of runs that are one word longer."""
    import numpy as np

    mixed = keys.view(np.uint64) * np.uint64(_MULTIPLIER)
    return (mixed ^ (mixed >> np.uint64(29))).view(np.int64) + following


def _groups(keys: NDArray[np.int64], places: NDArray[np.int64]) -> _Groups:
    import numpy as np

    order = np.argsort(keys)
    ordered = keys[order]
    same = np.concatenate([np.zeros(min(1, len(keys)), bool), ordered[1:] == ordered[:-1]])
    starts = np.flatnonzero(~same)
    counts = np.diff(starts, append=len(keys))
    several = counts > 1
    if not several.any():
        return _Groups(*(np.empty(0, np.int64),) * 3)
    grouped = order[np.repeat(several, counts)]
    counts = counts[several]
    first = np.minimum.reduceat(places[grouped], np.cumsum(counts) - counts)
    return _Groups(counts, first, np.sort(grouped))


def _most_frequent(words: _Words, groups: _Groups, n: int) -> NDArray[np.int64]:
    import numpy as np

    enough = words.ends - words.starts >= n
    first, most = np.where(enough, words.starts, 0), enough.astype(np.int64)
    owners = words.owners[groups.first]
    order = np.lexsort((groups.first, -groups.counts, owners))
    texts, best = np.unique(owners[order], return_index=True)
    first[texts], most[texts] = groups.first[order[best]], groups.counts[order[best]]
    sizes = np.zeros(len(first), np.int64)
    sizes[enough] = words.within(first[enough], n) + n - 1
    return np.asarray(most * sizes, np.int64)


def _again(words: _Words, places: NDArray[np.int64], keys: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Count by text; only the runs that come more than once are given, in the order of their places."""
    import numpy as np

    counted: list[int] = []
    known: set[int] = set()
    behind = 0
    for place, key in zip(places.tolist(), keys.tolist(), strict=True):
        if place < behind:
            continue
        if key in known:
            counted.append(place)
            behind = place + n
        known.add(key)
    chosen = np.array(counted, np.int64)
    totals = np.bincount(words.owners[chosen], words.within(chosen, n), len(words.ends))
    return totals.astype(np.int64)
