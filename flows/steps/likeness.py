"""When two items are alike: the ways in which the step `dedup` compares texts and images, behind one face."""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.select.duplicates import METHOD as EQUALITY
from curate.select.duplicates import signatures as equality_signatures
from curate.select.minhash import PERMUTATIONS, MinHash, Signed, estimate, packed
from curate.select.perceptual import PerceptualHash, distances, image_hashes
from curate.select.shingles import Shingling, jaccard
from curate.settings import DedupSettings
from curate.store.reader import Reader
from curate.store.signatures import contents, kept_signatures
from curate.types import Modality

_SLACK = 0.11
"""Three standard deviations of an estimate: texts whose signatures lie further below the threshold are not read again."""
_Content = pa.Table | pa.RecordBatch


class Similarity(NamedTuple):
    """How alike two items are, in [0, 1], and the method that says so."""

    value: float
    method: str


class Features(Protocol):
    """What is compared of a batch of items.

    `equality` holds a hash that items have in common which are equal in all that counts, None for none. `keys` is int64
    of (items, keys), and `present` says which items have them: items that are alike share a key.
    """

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def equality(self) -> Sequence[str | None]: ...

    @property
    def keys(self) -> NDArray[np.int64]: ...

    @property
    def present(self) -> NDArray[np.bool_]: ...

    def signatures(self) -> Mapping[str, Sequence[str | None]]:
        """Return by method what is kept of each item, None for nothing."""
        ...

    def similarity(self, position: int, others: Any, other: int) -> Similarity:
        """Compare an item of this batch with one of another batch."""
        ...


class Likeness(Protocol):
    """A way of comparing the items of one modality; `version` names method and parameters."""

    @property
    def modality(self) -> Modality: ...

    @property
    def version(self) -> str: ...

    @property
    def threshold(self) -> float: ...

    @property
    def reason(self) -> str: ...

    def features(self, items: _Content) -> Features:
        """Take from items what is compared."""
        ...

    def kept(self, reader: Reader, ids: Sequence[str]) -> Iterator[Features]:
        """Yield the features of kept items in parts and in no order."""
        ...

    def plausible(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.bool_]:
        """Say which pairs of signatures may belong to items that reach the threshold."""
        ...


class TextFeatures:
    """Texts by their normalized form's hash and, where near-duplicates are sought, by their shingles."""

    def __init__(self, ids: Sequence[str], texts: Sequence[str], method: MinHash | None) -> None:
        self.ids = ids
        self.equality = equality_signatures(texts)
        self._method = method
        self._signed: Signed | None = method.sign(texts) if method else None

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """The bands' keys; none where only equality counts."""
        if self._method is None or self._signed is None:
            return np.zeros((len(self.ids), 0), np.int64)
        return self._method.keys(self._signed.minima)

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Which texts have shingles to compare."""
        return np.zeros(len(self.ids), np.bool_) if self._signed is None else self._signed.present

    @cached_property
    def _sets(self) -> Any:
        return self._signed.shingles.sets() if self._signed else None

    def signatures(self) -> Mapping[str, Sequence[str | None]]:
        """Return the normalized form's hash, and the MinHash signature in base64."""
        kept: dict[str, Sequence[str | None]] = {EQUALITY: self.equality}
        if self._method and self._signed:
            pairs = zip(packed(self._signed.minima), self.present, strict=True)
            kept[self._method.version] = [b64encode(row).decode() if present else None for row, present in pairs]
        return kept

    def similarity(self, position: int, others: "TextFeatures", other: int) -> Similarity:
        """Return 1 for texts of one normalized form, else the Jaccard similarity of their shingles."""
        if self.equality[position] == others.equality[other]:
            return Similarity(1.0, EQUALITY)
        if self._method is None:
            return Similarity(0.0, EQUALITY)
        return Similarity(jaccard(self._sets(position), others._sets(other)), self._method.version)


class TextLikeness:
    """Texts are alike that are equal after normalisation and, if asked for, that share most of their shingles."""

    modality: Modality = "text"
    reason = "near-duplicate by MinHash"

    def __init__(self, settings: DedupSettings) -> None:
        self._method = MinHash(settings.threshold, Shingling.parse(settings.shingles)) if settings.near else None
        self.version = self._method.version if self._method else EQUALITY
        self.threshold = settings.threshold

    def features(self, items: _Content) -> TextFeatures:
        """Hash, shingle and sign the texts."""
        return TextFeatures(items["item_id"].to_pylist(), items["text"].to_pylist(), self._method)

    def kept(self, reader: Reader, ids: Sequence[str]) -> Iterator[TextFeatures]:
        """Read the texts again: shingles are not kept."""
        return map(self.features, contents(reader, ids))

    def plausible(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.bool_]:
        """Estimate the similarity from the signatures."""
        one, other = (
            np.frombuffer(b64decode("".join(signatures)), np.uint8).reshape(-1, PERMUTATIONS)
            for signatures in (first, second)
        )
        return estimate(one, other) >= self.threshold - _SLACK


class ImageFeatures:
    """Images by their perceptual hashes, in hexadecimal digits; None for an image that has none."""

    def __init__(self, ids: Sequence[str], hashes: Sequence[str | None], method: PerceptualHash) -> None:
        self.ids = ids
        self.equality: Sequence[str | None] = [None] * len(ids)
        self.present = np.array([value is not None for value in hashes], np.bool_)
        self._method = method
        self._kept = hashes
        self._hashes = np.array([int(value or "0", 16) for value in hashes], np.uint64)

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """The keys of the hashes' blocks."""
        return self._method.keys(self._hashes)

    def signatures(self) -> Mapping[str, Sequence[str | None]]:
        """Return the hashes."""
        return {self._method.version: self._kept}

    def similarity(self, position: int, others: "ImageFeatures", other: int) -> Similarity:
        """Return the share of equal bits."""
        different = int(distances(self._hashes[position], others._hashes[other]))
        return Similarity(1 - different / 64, self._method.version)


class ImageLikeness:
    """Images are alike whose perceptual hashes differ in few bits."""

    modality: Modality = "image"
    reason = "near-duplicate by image hash"

    def __init__(self, settings: DedupSettings) -> None:
        self._method = PerceptualHash(settings.image_distance)
        self.version = self._method.version
        self.threshold = 1 - settings.image_distance / 64

    def features(self, items: _Content) -> ImageFeatures:
        """Decode and hash the images."""
        hashes = image_hashes(items["image"].to_pylist())
        digits = [None if value is None else f"{value:016x}" for value in hashes]
        return ImageFeatures(items["item_id"].to_pylist(), digits, self._method)

    def kept(self, reader: Reader, ids: Sequence[str]) -> Iterator[ImageFeatures]:
        """Look the hashes up: no image is decoded twice."""
        known = kept_signatures(reader, self.version, ids)
        yield ImageFeatures(list(ids), [known.get(item_id) for item_id in ids], self._method)

    def plausible(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.bool_]:
        """Compare the hashes themselves."""
        one, other = (np.array([int(value, 16) for value in hashes], np.uint64) for hashes in (first, second))
        return distances(one, other) <= round(64 * (1 - self.threshold))
