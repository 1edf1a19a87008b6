"""Which answered texts a language model is shown as examples: few, of every answer, and unlike or typical of the rest.

All requests share them, for what stands at their beginning meets a server's prefix cache; so they are chosen once for
all items, and not for each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from curate.annotate.llm.examples import Example

Choice = Literal["diverse", "typical"]
MOST_CANDIDATES = 1_024
"""So many answered texts are looked at, at most: the choice compares all of them with each other."""
_DIMENSION = 2_048
_WORD = re.compile(r"\w+|[^\w\s]")
Numbers = NDArray[np.float64]


def candidates_of(count: int, answered: int) -> int:
    """Return how many of the texts that were answered first examples are chosen from: 0 while there are too few.

    It doubles, from `count` on, so that a model's version changes, and all is asked anew, as seldom as that.

    >>> [candidates_of(8, answered) for answered in (7, 8, 15, 16, 100, 10_000)]
    [0, 8, 8, 16, 64, 1024]
    """
    if not count or answered < count:
        return 0
    return min(count << ((answered // count).bit_length() - 1), max(count, MOST_CANDIDATES))


def choose_examples(candidates: Sequence[Example], count: int, choice: Choice, characters: int) -> list[int]:
    """Return the places of `count` examples, in the order of their choice; the same candidates give the same ones.

    Each time, those come into question whose answers were shown least so far. Of these "diverse" takes the one that is
    least like any that was chosen (farthest first, Gonzalez 1985, from the most typical on), "typical" the one that
    most raises how like its nearest example each candidate is (facility location, greedily). Likeness is the cosine of
    hashed counts of words and pairs of words in the first `characters`.

    Cost: candidates**2 * 2,048 operations once; memory: candidates * 2,048 * 8 bytes.
    """
    profiles = np.stack([_profile(one.text[:characters]) for one in candidates]) if candidates else np.zeros((0, 1))
    likeness = profiles @ profiles.T
    nearest = np.zeros(len(candidates))
    shown: Counter[tuple[str, str]] = Counter()
    chosen: list[int] = []
    while len(chosen) < min(count, len(candidates)):
        covers = choice == "typical" or not chosen
        worth = np.maximum(likeness - nearest, 0.0).sum(axis=1) if covers else -nearest
        best = max(_open(candidates, chosen, shown), key=lambda place: (worth[place], -place))
        chosen.append(best)
        nearest = np.maximum(nearest, likeness[best])
        shown.update(candidates[best].answers.items())
    return chosen


def _open(candidates: Sequence[Example], chosen: Sequence[int], shown: Counter[tuple[str, str]]) -> list[int]:
    """Return the places of those that are not chosen and whose answers were shown least, on average."""
    left = [place for place in range(len(candidates)) if place not in chosen]
    often = {place: _often(candidates[place], shown) for place in left}
    least = min(often.values())
    return [place for place in left if often[place] == least]


def _often(example: Example, shown: Counter[tuple[str, str]]) -> float:
    return sum(shown[answer] for answer in example.answers.items()) / max(1, len(example.answers))


def _profile(text: str) -> Numbers:
    words = _WORD.findall(text.lower())
    counts = np.zeros(_DIMENSION)
    for part in (*words, *map(" ".join, pairwise(words))):
        counts[crc32(part.encode()) % _DIMENSION] += 1
    profile: Numbers = np.sqrt(counts)
    return profile / max(float(np.linalg.norm(profile)), 1e-12)
