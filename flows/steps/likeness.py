"""When two items are alike: the ways in which the step `dedup` compares texts and images, behind one face."""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.select.duplicates import METHOD as EQUALITY
from curate.select.duplicates import signatures as equality_signatures
from curate.select.minhash import PERMUTATIONS, MinHash, estimate, packed
from curate.select.perceptual import PerceptualHash, distances, image_hashes
from curate.select.shingles import Shingling, jaccard
from curate.settings import DedupSettings
from curate.store.reader import Reader
from curate.store.signatures import contents, kept_signatures
from curate.types import Modality

_SLACK = 0.11
"""Three standard deviations of an estimate: texts whose signatures lie further below the threshold are not read."""
_TEXTS, _IMAGES = 10_000, 1_000
"""How many items make a batch: each batch scans the kept keys once, and is in memory with its content."""
_Content: TypeAlias = pa.Table | pa.RecordBatch


class Similarity(NamedTuple):
    """How alike two items are, in [0, 1], and the method that says so."""

    value: float
    method: str


class Features(Protocol):
    """What is compared of a batch of items.

    `keys` is int64 of (items, keys), and `present` says which items have them: items that are alike share a key.
    `signatures` is what is kept of each item, None where it has no keys.
    """

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def keys(self) -> NDArray[np.int64]: ...

    @property
    def present(self) -> NDArray[np.bool_]: ...

    @property
    def signatures(self) -> Sequence[str | None]: ...

    def similarity(self, position: int, others: Any, other: int) -> Similarity:
        """Compare an item of this batch with one of another batch."""
        ...


class Likeness(Protocol):
    """A way of comparing the items of one modality; `version` names method and parameters.

    `reason` is why an item is dropped that is alike and not equal; `batch` is how many items are compared at once.
    """

    @property
    def modality(self) -> Modality: ...

    @property
    def version(self) -> str: ...

    @property
    def threshold(self) -> float: ...

    @property
    def reason(self) -> str: ...

    @property
    def batch(self) -> int: ...

    def features(self, items: _Content) -> Features:
        """Take from items what is compared."""
        ...

    def kept(self, reader: Reader, ids: Sequence[str]) -> Iterator[Features]:
        """Yield the features of kept items in parts and in no order."""
        ...

    def plausible(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.bool_]:
        """Say which pairs of signatures may belong to items that reach the threshold."""
        ...


class EqualTexts:
    """Texts by the hash of their normalized form alone, in hexadecimal digits."""

    def __init__(self, ids: Sequence[str], hashes: Sequence[str]) -> None:
        self.ids = ids
        self.present = np.ones(len(ids), np.bool_)
        self.signatures: Sequence[str | None] = hashes
        self._hashes = hashes

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """One key for each normalized form."""
        return np.array([int(digits[:16], 16) for digits in self._hashes], np.uint64).view(np.int64)[:, None]

    def similarity(self, position: int, others: "EqualTexts", other: int) -> Similarity:
        """Return 1 for texts of one normalized form and 0 for others."""
        return Similarity(float(self._hashes[position] == others._hashes[other]), EQUALITY)


class SimilarTexts(EqualTexts):
    """Texts by the hash of their normalized form, and by their shingles."""

    def __init__(self, ids: Sequence[str], texts: Sequence[str], method: MinHash) -> None:
        super().__init__(ids, equality_signatures(texts))
        self._method = method
        self._signed = method.sign(texts)
        self._sets = self._signed.shingles.sets()
        self.signatures = [b64encode(row).decode() for row in packed(self._signed.minima)]

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """The normalized form's key before the bands'; the former alone, repeated, for a text without words."""
        equality = EqualTexts(self.ids, self._hashes).keys
        bands = np.where(self._signed.present[:, None], self._method.keys(self._signed.minima), equality)
        return np.concatenate((equality, bands), axis=1)

    def similarity(self, position: int, others: EqualTexts, other: int) -> Similarity:
        """Return 1 for texts of one normalized form, else the Jaccard similarity of their shingles."""
        equality = super().similarity(position, others, other)
        if equality.value or not isinstance(others, SimilarTexts):
            return equality
        return Similarity(jaccard(self._sets(position), others._sets(other)), self._method.version)


class TextEquality:
    """Texts are alike that are equal after normalisation."""

    modality: Modality = "text"
    reason = "duplicate"
    batch = _TEXTS
    threshold = 1.0
    version = EQUALITY

    def features(self, items: _Content) -> EqualTexts:
        """Hash the texts' normalized forms."""
        return EqualTexts(items["item_id"].to_pylist(), equality_signatures(items["text"].to_pylist()))

    def kept(self, reader: Reader, ids: Sequence[str]) -> Iterator[EqualTexts]:
        """Look the hashes up: no text is read again."""
        known = kept_signatures(reader, self.version, ids)
        yield EqualTexts(sorted(known), [known[item_id] for item_id in sorted(known)])

    def plausible(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.bool_]:
        """Compare the hashes themselves."""
        return np.array([one == other for one, other in zip(first, second, strict=True)], np.bool_)


class TextSimilarity:
    """Texts are alike that are equal after normalisation, or share most of their shingles."""

    modality: Modality = "text"
    reason = "near-duplicate by MinHash"
    batch = _TEXTS

    def __init__(self, settings: DedupSettings) -> None:
        self._method = MinHash(settings.threshold, Shingling.parse(settings.shingles))
        self.version = self._method.version
        self.threshold = settings.threshold

    def features(self, items: _Content) -> SimilarTexts:
        """Hash, shingle and sign the texts."""
        return SimilarTexts(items["item_id"].to_pylist(), items["text"].to_pylist(), self._method)

    def kept(self, reader: Reader, ids: Sequence[str]) -> Iterator[SimilarTexts]:
        """Read the texts again: shingles are not kept."""
        return map(self.features, contents(reader, ids, ("item_id", "text")))

    def plausible(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.bool_]:
        """Estimate the similarity from the signatures."""
        one, other = (
            np.frombuffer(b"".join(map(b64decode, signatures)), np.uint8).reshape(-1, PERMUTATIONS)
            for signatures in (first, second)
        )
        return estimate(one, other) >= self.threshold - _SLACK


class ImageFeatures:
    """Images by their perceptual hashes, in hexadecimal digits; None for an image that has none."""

    def __init__(self, ids: Sequence[str], hashes: Sequence[str | None], method: PerceptualHash) -> None:
        self.ids = ids
        self.present = np.array([value is not None for value in hashes], np.bool_)
        self.signatures = hashes
        self._method = method
        self._hashes = np.array([int(value or "0", 16) for value in hashes], np.uint64)

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """The keys of the hashes' blocks."""
        return self._method.keys(self._hashes)

    def similarity(self, position: int, others: "ImageFeatures", other: int) -> Similarity:
        """Return the share of equal bits."""
        different = int(distances(self._hashes[position], others._hashes[other]))
        return Similarity(1 - different / 64, self._method.version)


class ImageSimilarity:
    """Images are alike whose perceptual hashes differ in few bits."""

    modality: Modality = "image"
    reason = "near-duplicate by image hash"
    batch = _IMAGES

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
