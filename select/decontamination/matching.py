"""Training texts that hold items of evaluation sets: by shared runs of words, or by alignment.

Runs of words find copies, whatever is around them and however they are wrapped. Alignment also finds copies in which
letters differ: it asks how many of the item's bytes a compressor saves once it has seen the passage of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from curate.errors import UsageError
from curate.select import compressors
from curate.select.decontamination.runs import Evaluations, RunIndex, words_only

if TYPE_CHECKING:
    from curate.select.decontamination.runs import Overlaps

_BYTES_AT_ONCE = 1_000_000
_MOST_CANDIDATES = 4


class Match(NamedTuple):
    """The evaluation item that a text holds, by its name, and how much of the item, in [0, 1]."""

    evaluation: str
    share: float


class Matcher(Protocol):
    """Finds evaluation items in texts; `version` changes whenever a match might."""

    version: str
    uncomparable: tuple[str, ...]

    def matches(self, texts: Sequence[str | None]) -> list[Match | None]:
        """Return for each text the item that it holds most of (the first of equals), None if it holds too little."""
        ...


class SharedRuns:
    """Finds items of whose words at least a share lies in runs of `size` words that the text has, too.

    The defaults, 8 words and half of the item, are those of Tülu 3 (Lambert et al. 2024, arXiv 2411.15124, section
    3.2); 13 words and a share close to 0 are the rule of GPT-3 (Brown et al. 2020, arXiv 2005.14165, appendix C), any
    one run. Words are told apart by 64 bits of hash. Cost and memory: see `RunIndex`.

    Raises:
        UsageError: a size below 1 or over 50, or a share outside (0, 1].
    """

    def __init__(self, evaluations: Evaluations, share: float = 0.5, *, size: int = 8) -> None:
        _check(size, share)
        self._evaluations, self._share = evaluations, share
        self._index = RunIndex(evaluations, size)
        self.uncomparable = (*evaluations.unusable, *self._index.uncomparable)
        self.version = f"shared-runs:1 words={size} share={share:.15g} items={evaluations.fingerprint[:16]}"

    def matches(self, texts: Sequence[str | None]) -> list[Match | None]:
        """Return the match of each text."""
        found: list[Match | None] = []
        for part in _parts(texts):
            best = [Match("", 0.0)] * len(part)
            overlaps = self._index.overlaps(part)
            for text, item, share in zip(*map(list, overlaps[:3]), strict=True):
                if share >= self._share and share > best[text].share:
                    best[text] = Match(self._evaluations.names[item], float(share))
            found += [match if match.evaluation else None for match in best]
        return found


class AlignedPassages:
    """Finds items that compress well once the compressor has seen a passage of the text.

    With C as in `curate.select.alignment`, t the words of the item and x those of the text around the place where it
    would stand, the share is (C(x) + C(t) - C(x + t)) / C(t), without the bytes that the compressor puts around any
    text: what the passage saves of the item. Only items are asked with which the text shares runs of `size` words, over
    a tenth of the item, and of these the four that it shares most with.

    An item over a third of the compressor's window is compared by its beginning. Cost: as for shared runs, and two
    compressions for each candidate.

    Raises:
        UsageError: a size below 1 or over 50, or a share outside (0, 1].
        UnknownNameError: there is no such compressor.
    """

    def __init__(
        self, evaluations: Evaluations, share: float = 0.5, *, size: int = 3, compressor: str = "gzip:9"
    ) -> None:
        _check(size, share)
        self._evaluations, self._share = evaluations, share
        self._index = RunIndex(evaluations, size)
        self._compressor = compressors.compressor(compressor)
        self._frame = self._compressor.size(b"x") - 1
        longest = self._compressor.window // 3
        self._texts = [_shortened(text, longest) for text in evaluations.texts]
        self.uncomparable = (*evaluations.unusable, *self._index.uncomparable)
        self.version = (
            f"aligned-passages:1 words={size} share={share:.15g} {self._compressor.version} "
            f"items={evaluations.fingerprint[:16]}"
        )

    def matches(self, texts: Sequence[str | None]) -> list[Match | None]:
        """Return the match of each text."""
        found: list[Match | None] = []
        for part in _parts(texts):
            best = [Match("", 0.0)] * len(part)
            for text, item, shift in _candidates(self._index.overlaps(part)):
                share = self.saved(part[text].split(b" "), item, shift)
                if share >= self._share and share > best[text].share:
                    best[text] = Match(self._evaluations.names[item], share)
            found += [match if match.evaluation else None for match in best]
        return found

    def saved(self, words: Sequence[bytes], item: int, shift: int) -> float:
        """Return the share of an item that is saved after the passage where it would begin at word `shift`."""
        target = self._texts[item]
        length = target.count(b" ") + 1
        margin = max(4, length // 8)
        passage = b" ".join(words[max(0, shift - margin) : max(0, shift + length + margin)])
        size, frame = self._compressor.size, self._frame
        alone = size(target) - frame
        return min(1.0, (size(passage) - frame + alone - (size(passage + b" " + target) - frame)) / alone)


def _candidates(overlaps: Overlaps, least: float = 0.1) -> Iterator[tuple[int, int, int]]:
    """Yield text, item and shift of the pairs that are worth a look, the most promising of each text first."""
    import numpy as np

    worth = np.flatnonzero(overlaps.shares >= least)
    order = worth[np.lexsort((overlaps.items[worth], -overlaps.shares[worth], overlaps.texts[worth]))]
    texts = overlaps.texts[order]
    rank = np.arange(len(texts)) - np.searchsorted(texts, texts)
    chosen = order[rank < _MOST_CANDIDATES]
    yield from zip(
        overlaps.texts[chosen].tolist(), overlaps.items[chosen].tolist(), overlaps.shifts[chosen].tolist(), strict=True
    )


def _check(size: int, share: float) -> None:
    if not 1 <= size <= 50:
        raise UsageError(f"runs of {size} words are not from 1 to 50 words long")
    if not 0 < share <= 1:
        raise UsageError(f"a share of {share} is not over 0 and at most 1")


def _shortened(text: bytes, most: int) -> bytes:
    return text if len(text) <= most else text[:most].rpartition(b" ")[0] or text[:most]


def _parts(texts: Sequence[str | None]) -> Iterator[list[bytes]]:
    """Yield the words of texts, a megabyte at a time."""
    part: list[bytes] = []
    size = 0
    for text in texts:
        part.append(words_only(text))
        size += len(part[-1])
        if size >= _BYTES_AT_ONCE:
            yield part
            part, size = [], 0
    yield part
