"""Alignment: how much of a target a text shares, measured by compression (ZIP-FIT, arXiv 2410.18194).

With C(s) the compressed size of s in bytes and x + t the plain concatenation, source first, without separator:

    NCD(x, t) = (C(x + t) - min(C(x), C(t))) / max(C(x), C(t))        score(x) = 1 - mean over targets t of NCD(x, t)

Scores mostly lie in [0, 1]; compressors are not perfect distances, so a little outside is possible. The measure favours
texts of the targets' size; `length_control` says how to take that out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from curate.errors import BadDataError, UnknownNameError, UsageError
from curate.select import compressors
from curate.select.compressors import Compressor
from curate.select.packing import Texts, check_texts, cut, packed, packed_strings
from curate.select.similarity import CONTROLS, LengthControl, Measure, reductions

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from curate.select.racing import Race

METHOD = "zip-fit:1"
"""Name and version of the method; the number grows whenever the same input would get another score."""

Reduction = Literal["mean", "max", "top-m"]
_CHARACTERS_AT_ONCE = 1 << 24


@dataclass(frozen=True, slots=True)
class Method:
    """How texts are held against targets. The default is ZIP-FIT over LZ4 blocks.

    Args:
        compressor: a name (see `curate.select.compressors`) or a compressor.
        reduce: `mean` over the targets is ZIP-FIT; `max`, the nearest target, suits targets with several modes, and so
            does `top-m`, the mean of the nearest.
        top_m: how many are the nearest (all, if there are fewer targets).
        length_control: `none` is ZIP-FIT. `geometric` divides the bytes that text and target save together by the
            geometric mean of their sizes and not by the larger size; `windows` does so for pieces of 512 bytes, whose
            mean is the score. Neither looks at the other texts.
        sampled: score against so many of the targets, drawn at random, instead of exactly against all of them.
        seed: for that draw.

    Raises:
        UnknownNameError: the reduction or the length control does not exist.
        UsageError: `top_m` or `sampled` is not positive.
    """

    compressor: str | Compressor = compressors.DEFAULT
    reduce: Reduction = "mean"
    top_m: int = 8
    length_control: LengthControl = "none"
    sampled: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        if self.reduce not in reductions(self.top_m):
            raise UnknownNameError("reduction", self.reduce, reductions(self.top_m))
        if self.length_control not in CONTROLS:
            raise UnknownNameError("length control", self.length_control, CONTROLS)
        if self.top_m < 1 or (self.sampled is not None and self.sampled < 1):
            raise UsageError("top_m and sampled count targets, of which there is at least one", hint="give 1 or more")


ZIP_FIT = Method()


def score(
    texts: Sequence[str | None],
    targets: Sequence[str],
    compressor: str | Compressor = compressors.DEFAULT,
    reduce: Reduction = "mean",
    *,
    top_m: int = 8,
    length_control: LengthControl = "none",
    sampled: int | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> NDArray[np.float64]:
    r"""Return the alignment of each text to the targets: float64 of shape (texts,), higher is better.

    Null and empty texts get NaN, no score. Targets: one document or more. `Method` says what the others are; `threads`
    are all cores by default, and no score depends on them. Cost: texts x targets compressions of one text with one
    target. Memory: bounded. To find the best texts only, `curate.select.racing` is several times faster.

    Raises:
        BadDataError: there is no target, or one is empty; a compressor's size is no number of bytes.
        ConfigurationError: the compressor cannot see the target (gzip level 0).
        UnknownNameError: the compressor does not exist, or as for `Method`.
        UsageError: the texts are one string, or no strings; or as for `Method`.

    >>> target = 'def area(width, height):\n    return width * height\n'
    >>> texts = ['def perimeter(width, height):\n    return 2 * (width + height)\n', 'Rain fell on the harbour.']
    >>> score(texts, [target]).round(3).tolist()
    [0.475, 0.039]
    """
    method = Method(compressor, reduce, top_m, length_control, sampled, seed)
    return Aligner(targets, method).score(texts, threads=threads)


class Aligner:
    """Scores texts against targets that are prepared once; see `score` for the errors.

    Long documents: a compressor that looks back 64 KiB no longer sees the start of a longer text when it reaches the
    target, so texts over half the window are cut into the fewest pieces of equal length that fit, and score the mean of
    their pieces: how well the average byte of the text is aligned. The best piece instead would favour long texts,
    which have more tries. Targets over half the window are cut likewise, and each piece counts as a target.
    """

    def __init__(self, targets: Sequence[str], method: Method = ZIP_FIT) -> None:
        chosen = method.compressor
        self.compressor = compressors.compressor(chosen) if isinstance(chosen, str) else chosen
        name, self.reduce = reductions(method.top_m)[method.reduce]
        self.nearest = {"max": 1, "top-m": method.top_m}.get(method.reduce, len(targets))
        """Of how many similarities a score is the mean."""
        encoded = _encoded_targets(targets)
        self.fingerprint = _fingerprint(encoded)
        parts = [METHOD, self.compressor.version, name]
        parts += [] if method.length_control == "none" else [f"length-{method.length_control}"]
        if method.sampled is not None and method.sampled < len(encoded):
            encoded = _drawn(encoded, method.sampled, method.seed)
            parts.append(f"sampled-{method.sampled}-seed-{method.seed}")
        self.version = " ".join([*parts, f"target-{self.fingerprint[:16]}"])
        """What the scores depend on besides the text: method, compressor, level and library version, reduction, …"""
        documents = cut(packed(encoded), self.compressor.window // 2)[0].as_bytes()
        self.measure = Measure(self.compressor, documents, method.length_control)

    def score(self, texts: Sequence[str | None], *, threads: int | None = None) -> NDArray[np.float64]:
        """Return the alignment of each text: float64 of shape (texts,); NaN where a text is null or empty.

        Raises:
            UsageError: the texts are one string, or no strings.
        """
        import numpy as np

        check_texts(texts)
        parts = [self.score_packed(part, threads=threads) for part in _parts(texts)]
        return np.concatenate([np.empty(0), *parts])

    def score_packed(self, texts: Texts, *, threads: int | None = None) -> NDArray[np.float64]:
        """Return the alignment of texts that were laid out already."""
        import numpy as np

        count = len(texts.lengths)
        pieces, owners = cut(texts, self.measure.piece)
        values = self.measure.reduced(pieces, self.reduce, threads).similarity
        totals, counts = np.bincount(owners, values, count), np.bincount(owners, minlength=count)
        scores: NDArray[np.float64] = np.divide(totals, counts, out=np.full(count, np.nan), where=counts > 0)
        return scores


def _parts(texts: Sequence[str | None]) -> Iterator[Texts]:
    """Lay texts out part by part: as many at once as fit into a bound, or one that is longer."""
    import numpy as np

    lengths = np.fromiter((len(text or "") for text in texts), dtype=np.int64, count=len(texts))
    numbers = np.cumsum(lengths) // _CHARACTERS_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(texts)]
    for start, stop in pairwise(edges):
        yield packed_strings(texts[start:stop])


class AlignmentSelector:
    """Scores the items of a table by their alignment to a target: a `curate.types.Selector`.

    `version` changes with the method, the compressor (its level and library version too), the reduction, the
    length control, the draw of targets and the content of the target.
    """

    name = "align"

    def __init__(self, targets: Sequence[str], method: Method = ZIP_FIT, *, target: str = "target") -> None:
        self._aligner = Aligner(targets, method)
        self.target = target
        self.version = self._aligner.version

    def race(self, k: int, confidence: float) -> Race:
        """Return a race for the best `k` of texts that come part by part; see `curate.select.racing`."""
        from curate.select.racing import Race

        return Race(self._aligner, k, confidence=confidence)

    def score(self, items: pa.Table) -> NDArray[np.float64]:
        """Return one score for each row of the column `text`; NaN where it is null or empty, or where there is none."""
        import numpy as np

        if "text" not in items.column_names:
            return np.full(items.num_rows, np.nan)
        return self._aligner.score(items.column("text").to_pylist())


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _encoded_targets(targets: Sequence[str]) -> list[bytes]:
    if isinstance(targets, str):
        targets = [targets]  # a string is a sequence of strings too: one document, not one for each character
    check_texts(targets)
    encoded = [_encode(target) for target in targets if target is not None]
    if len(encoded) < len(targets):
        raise BadDataError(f"{len(targets) - len(encoded)} of {len(targets)} targets are null", hint="remove them")
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


def _drawn(targets: Sequence[bytes], count: int, seed: int) -> list[bytes]:
    import numpy as np

    numbers = np.random.default_rng(seed).choice(len(targets), count, replace=False)
    return [targets[number] for number in sorted(numbers)]
