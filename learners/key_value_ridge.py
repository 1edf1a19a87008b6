"""The bottleneck's variant that forgets nothing: whitened features, many fetched keys, values in closed form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from curate.errors import BadDataError, UsageError
from curate.learners.inputs import checked_features, checked_labels
from curate.learners.label_map import columns_of
from curate.learners.numerics import Array, Features, Floats, Integers, softmax
from curate.learners.parameters import Parameters
from curate.learners.placed import PlacedLearner

_BLOCK = 512  # items whose similarities to all keys are held at once
_NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class RidgeParameters(Parameters):
    """Sizes and strengths; all but the sharpness were chosen on a part of CIFAR-10's training images.

    See `benchmarks.learners_cifar`.
    keys: how many are placed; more are more accurate, and cost memory of 8 keys² bytes. fetched: keys an item fetches.
    flattening: how far whitening goes; each variance is divided by itself plus so many mean variances.
    shrinkage: the ridge, in mean squares of a code. sharpness: of the probabilities; it changes no order of classes.

    Raises:
        ConfigurationError: a value out of range.
    """

    keys: int = 2048
    fetched: int = 256
    flattening: float = 3.0
    shrinkage: float = 0.3
    sharpness: float = 10.0

    def __post_init__(self) -> None:
        Parameters.__post_init__(self)  # zero-argument super() does not work in a dataclass with slots
        self.require_positive("keys", "fetched", "flattening", "shrinkage", "sharpness")


class SparseCodes(NamedTuple):
    """The keys that items fetch, int32 of shape (items, fetched), in rising order, and how strongly: float64."""

    places: Array
    strengths: Floats


@dataclass(frozen=True, slots=True)
class _Frozen:
    """What is placed on unlabelled features and never moves: their mean, the whitening (dimension²), unit keys."""

    mean: Floats
    whitening: Floats
    keys: Floats

    def whitened(self, features: Features) -> Floats:
        """Return unit vectors; an item that is the mean itself has none and stays zero."""
        found = (features.astype(np.float64) - self.mean) @ self.whitening
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        unit: Floats = np.divide(found, norms, out=np.zeros_like(found), where=norms > _NOTHING)
        return unit


class KeyValueRidge(PlacedLearner):
    """Learns classes from the few keys that an item fetches, with values that no order of increments changes.

    As in the key-value bottleneck (`curate.learners.bottleneck`), keys are placed once on unlabelled features and stay
    frozen, an item fetches few of them, and only what it fetches is written. Three things differ. Keys are unlabelled
    items themselves, whitened, and not cells of random projections, which tell frozen features of photographs badly
    apart. An item fetches `fetched` keys, each by its cosine above the next one's. And values are not descended to:
    with codes a, the sums of a·aᵀ and of a for each class are kept, and values are the ridge solution

        V = (Σ a·aᵀ + λ m I)⁻¹ Σ a·(y - 1/classes)ᵀ,   m the mean square of a code over items and keys times items,

    so they are those of all increments at once: nothing is forgotten, no task boundary is needed, and `forget` takes
    items out as if they had never been learned, but for rounding. Closest in the literature: RanPAC (McDonnell et al.,
    NeurIPS 2023, arXiv 2307.02251), with dense random features in place of fetched keys.

    Whoever has features of all that will come passes them to `initialise` first; else the first increment places the
    keys. Costs fetched² additions and keys * dimension multiplications an item; after an increment the first prediction
    solves keys³ / 3. Memory and state: keys² numbers of 8 bytes, half of them in the state.
    """

    name = "key-value-ridge"

    def __init__(self, parameters: RidgeParameters | None = None) -> None:
        self.parameters = parameters or RidgeParameters()
        super().__init__(self.parameters)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._frozen: _Frozen | None = None
        self._gram, self._sums = np.zeros((0, 0)), np.zeros((0, 0))
        self._solved: Floats | None = None

    @property
    def initialised(self) -> bool:
        """Whether the keys are placed, and thus frozen for good."""
        return self._frozen is not None

    def _place(self, features: Features) -> None:
        items = features.astype(np.float64)
        mean = items.mean(axis=0)
        variances, directions = np.linalg.eigh((items - mean).T @ (items - mean) / len(items))
        variances = np.maximum(variances, 0.0)
        floor = self.parameters.flattening * variances.mean()
        whitening = directions / np.sqrt(variances + (floor if floor > _NOTHING else 1.0))
        self._dimension = features.shape[1]
        self._frozen = _Frozen(mean, whitening, np.zeros((0, 0)))
        chosen = np.sort(self._generator.permutation(len(items))[: self.parameters.keys])
        self._freeze(_Frozen(mean, whitening, self._frozen.whitened(features[chosen])))
        self._gram = np.zeros((len(chosen), len(chosen)))
        self._sums = np.zeros((len(chosen), 0))

    def _freeze(self, frozen: _Frozen) -> None:
        for array in (frozen.mean, frozen.whitening, frozen.keys):
            array.flags.writeable = False
        self._frozen = frozen

    def codes(self, features: Features) -> SparseCodes:
        """Return the keys that each item fetches, and how strongly.

        Raises:
            UsageError: the keys are not placed yet.
            BadDataError: features that are not finite or of another dimension.
        """
        if self._frozen is None:
            raise UsageError("the keys are not placed yet", hint="call initialise or learn first")
        features = checked_features(features, self._dimension)
        blocks = [self._fetched(features[start : start + _BLOCK]) for start in range(0, len(features), _BLOCK)]
        if not blocks:
            return SparseCodes(np.zeros((0, 0), np.int32), np.zeros((0, 0)))
        return SparseCodes(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))

    def _fetched(self, features: Features) -> SparseCodes:
        assert self._frozen is not None
        likeness = self._frozen.whitened(features) @ self._frozen.keys.T
        keys = likeness.shape[1]
        count = min(self.parameters.fetched, keys)
        if count == keys:
            return SparseCodes(np.tile(np.arange(keys, dtype=np.int32), (len(features), 1)), likeness + 1.0)
        places = np.argpartition(-likeness, count, axis=1)
        next_best = np.take_along_axis(likeness, places[:, count : count + 1], axis=1)
        found = np.sort(places[:, :count], axis=1)
        return SparseCodes(found.astype(np.int32), np.take_along_axis(likeness, found, axis=1) - next_best)

    def forget(self, features: Features, labels: Sequence[str]) -> None:
        """Take items out that were learned with these labels: values become those of all others, but for rounding.

        This is exact unlearning of the values. Whitening and keys may be made of these very items and stay, as does
        the encoder: that an item was there can still be told from them.

        Raises:
            BadDataError: features or labels that do not fit, or a class that was never learned.
        """
        features = checked_features(features, self._dimension)
        names = checked_labels(labels, len(features))
        if unknown := sorted(set(names) - set(self.classes)):
            message = f"no item of the class {unknown[0]!r} was learned"
            raise BadDataError(message, hint="forget only what was learned", unchanged="the learner")
        self._add(self.codes(features), columns_of(self.classes, names), -1.0)

    def _learn(self, features: Features, targets: Integers) -> None:
        if not self.initialised:
            self._place(features)
        more = len(self.classes) - self._sums.shape[1]
        self._sums = np.pad(self._sums, ((0, 0), (0, more)))
        self._add(self.codes(features), targets, 1.0)

    def _add(self, codes: SparseCodes, targets: Integers, sign: float) -> None:
        """Add to what the items fetch, and to nothing else."""
        for places, strengths, target in zip(*codes, targets.tolist(), strict=True):
            self._gram[places[:, None], places] += sign * np.outer(strengths, strengths)
            self._sums[places, target] += sign * strengths
        self._solved = None

    def _predict(self, features: Features) -> Floats:
        values = self._values()
        codes = self.codes(features)
        scores = np.zeros((len(features), len(self.classes)))
        for start in range(0, len(features), _BLOCK):
            part = slice(start, start + _BLOCK)
            dense = np.zeros((len(codes.places[part]), len(values)))
            np.put_along_axis(dense, codes.places[part], codes.strengths[part], axis=1)
            scores[part] = dense @ values
        return softmax(self.parameters.sharpness * scores)

    def _values(self) -> Floats:
        if self._solved is None:
            mean = float(np.trace(self._gram)) / len(self._gram)
            ridge = self.parameters.shrinkage * (mean if mean > _NOTHING else 1.0)
            centred = self._sums - self._sums.sum(axis=1, keepdims=True) / self._sums.shape[1]
            self._solved = np.linalg.solve(self._gram + ridge * np.eye(len(self._gram)), centred)
        return self._solved

    def _arrays(self) -> dict[str, Array]:
        if self._frozen is None:
            return {}
        rows = [self._gram[row, : row + 1] for row in range(len(self._gram))]
        frozen = {"mean": self._frozen.mean, "whitening": self._frozen.whitening, "keys": self._frozen.keys}
        return {**frozen, "gram": np.concatenate(rows), "sums": self._sums}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._begin_anew()
        if not arrays:
            return
        self._freeze(_Frozen(arrays["mean"].copy(), arrays["whitening"].copy(), arrays["keys"].copy()))
        self._sums = arrays["sums"].copy()
        self._gram = np.zeros((len(self._sums), len(self._sums)))
        start = 0
        for row in range(len(self._gram)):
            self._gram[row, : row + 1] = arrays["gram"][start : start + row + 1]
            self._gram[: row + 1, row] = self._gram[row, : row + 1]
            start += row + 1
