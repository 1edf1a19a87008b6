"""The key-value bottleneck as a continual learner."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from curate.errors import BadDataError, UsageError
from curate.learners.bottleneck.keys import place_keys
from curate.learners.bottleneck.lookup import Codes, KeyIndex, Mask
from curate.learners.bottleneck.parameters import BottleneckParameters
from curate.learners.bottleneck.projections import Projections
from curate.learners.bottleneck.values import ValueTable
from curate.learners.inputs import checked_features, checked_labels
from curate.learners.label_map import columns_of, widened
from curate.learners.numerics import Array, Features, Floats, Integers, shuffled_batches, softmax
from curate.learners.placed import PlacedLearner

_BLOCK = 1024  # items projected at once: bounds memory at heads * key_width * 12 KiB


@dataclass(frozen=True, slots=True)
class Drift:
    """How far items lie from what the keys were placed on and the values were learned from.

    distance: mean distance to the nearest key, over that of the features that the keys were placed on: about 1 where
    nothing has changed. unwritten: share of fetches that go to a pair that no item fetched while learning.
    """

    distance: float
    unwritten: float


class KeyValueBottleneck(PlacedLearner):
    """Learns classes by writing into the few values that an item's features fetch, so that others are not overwritten.

    Frozen features are projected into many small spaces (heads); in each the nearest of a set of fixed keys fetches a
    row of class scores, and their mean is the logits. Only fetched rows are ever trained. Keys are placed once, on
    unlabelled features, and never move again: whoever has features of all that will come passes them to `initialise`
    first. Otherwise the first increment places the keys, and they can tell little apart that it does not hold: on
    handwritten digits 94.2 % for 97.3 with keys from half of the classes, 84 % with keys from the first two, and worse
    from a handful of items.

    At prediction, pairs that no item fetched while learning are left out of the search, so an input falls to the
    nearest pair that knows something. Probabilities order the classes well, but are nearly uniform at the paper's
    learning rate: calibrate before using them as confidences.

    Source: Träuble et al., ICML 2023, arXiv 2207.11240, and the authors' released code.
    Costs a lookup of each item (see `nearest_pairs`), then passes * items * heads * classes additions.
    """

    name = "key-value-bottleneck"
    format = 2

    def __init__(self, parameters: BottleneckParameters | None = None) -> None:
        self.parameters = parameters or BottleneckParameters()
        super().__init__(self.parameters)
        self._projections: Projections | None = None
        self._keys: Features | None = None
        self._index: KeyIndex | None = None
        self._reach = np.ones(1)
        self._values = self._new_values()

    @property
    def initialised(self) -> bool:
        """Whether the keys are placed, and thus frozen for good."""
        return self._keys is not None

    @property
    def keys(self) -> Features:
        """The frozen keys: float32 of shape (heads, pairs, key_width), not to be written to."""
        return self._placed()[1]

    @property
    def keys_version(self) -> str:
        """A hash of the keys and all that stands before them: codes are alike where it is, and mean nothing elsewhere.

        Raises:
            UsageError: the keys are not placed yet.
        """
        projections, keys = self._placed()
        digest = sha256(keys.tobytes())
        for array in projections.arrays().values():
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    @property
    def values(self) -> ValueTable:
        """The value table with its usage counts."""
        return self._values

    def _place(self, features: Features) -> None:
        sizes = self.parameters
        self._dimension = features.shape[1]
        self._projections = Projections.draw(features, sizes.heads, sizes.key_width, self._generator)
        self._freeze(place_keys(self._projections.apply(features), sizes, self._generator))
        self._reach = np.array([self._distance(features[:_BLOCK]) or 1.0])

    def _freeze(self, keys: Features) -> None:
        self._keys, self._index = keys, KeyIndex(keys)
        keys.flags.writeable = False

    def codes(self, features: Features, *, written_only: bool = False) -> Codes:
        """Return the pair that each item fetches in each head: int32 of shape (items, heads), numbered through heads.

        While learning every pair may be fetched; prediction looks at the written ones only. An item's codes depend on
        nothing but the item and the frozen part, so they can be kept and learned from again without the features.

        Raises:
            UsageError: the keys are not placed yet.
            BadDataError: features that are not finite or of another dimension.
        """
        projections, keys = self._placed()
        index = self._index or KeyIndex(keys)
        features = checked_features(features, self._dimension)
        allowed: Mask | None = self._values.written.reshape(keys.shape[:2]) if written_only else None
        blocks = [features[start : start + _BLOCK] for start in range(0, len(features), _BLOCK)]
        found = [index.nearest(projections.apply(block), allowed) for block in blocks]
        return np.concatenate(found) if found else np.zeros((0, len(keys)), dtype=np.int32)

    def learn_codes(self, codes: Codes, labels: Sequence[str]) -> None:
        """Learn an increment from codes that `codes` returned earlier: the same as `learn` with their features.

        Raises:
            UsageError: the keys are not placed yet.
            BadDataError: codes that no lookup in these keys returns, or labels that do not fit.
        """
        names = checked_labels(labels, len(codes))
        self._check_codes(codes)
        if names:
            self._classes = widened(self._classes, names)
            self._learn_codes(codes, columns_of(self._classes, names))

    def forget_codes(self, codes: Codes) -> int:
        """Empty every pair that items of these codes fetch; return how many pairs had been written.

        This removes at least the items' influence on the values, and that of other items in the same pairs with it: the
        items' class falls below chance when all of them go, other classes fall back on their remaining pairs. It is
        weak unlearning: keys and encoder may still betray that the items were there.
        Source: Shah et al., arXiv 2311.15268 ("unlearning via examples").

        Raises:
            UsageError: the keys are not placed yet.
            BadDataError: codes that no lookup in these keys returns.
        """
        self._check_codes(codes)
        removed = self._values.written.copy()
        removed[np.unique(codes)] = False
        if not removed.reshape(self.keys.shape[:2]).any(axis=1).all():
            raise UsageError(
                "a head would lose its last written pair: nothing would be left to predict with",
                hint="begin a new learner without these items",
                unchanged="the learner",
            )
        return self._values.forget(codes)

    def relearn_codes(self, increments: Iterable[tuple[Codes, Sequence[str]]]) -> None:
        """Empty all values and learn these codes in their place, increment by increment, as if no others ever came.

        Whoever keeps items' codes can so take items out exactly, for keys never move: values become those of a learner
        with these keys that was taught the others alone. The label map stays. Costs learning all others from codes.

        Raises:
            UsageError: the keys are not placed yet.
            BadDataError: codes that no lookup in these keys returns, or labels that do not fit.
        """
        checked = [(codes, checked_labels(labels, len(codes))) for codes, labels in increments]
        for codes, _ in checked:
            self._check_codes(codes)
        self._values = self._new_values()
        self._values.widen(len(self._classes))
        self._generator = np.random.default_rng(self.parameters.seed)
        for codes, names in checked:
            self.learn_codes(codes, names)

    def _check_codes(self, codes: Codes) -> None:
        heads, pairs, _ = self.keys.shape
        starts = np.arange(heads) * pairs
        fits = codes.ndim == 2 and codes.shape[1] == heads
        if not fits or ((codes < starts) | (codes >= starts + pairs)).any():
            message = f"codes must be a pair of each head in turn: {heads} heads of {pairs} pairs"
            raise BadDataError(message, hint="use the codes of this learner's own keys", unchanged="the learner")

    def drift(self, features: Features) -> Drift:
        """Say how far these items lie from the keys and from what was learned; NaN for no items.

        An alarm, not a measure of accuracy: where both figures rise, the keys lie elsewhere than the data, and only a
        new learner with new keys, taught again from the store, helps.

        Raises:
            UsageError: the keys are not placed yet.
            BadDataError: features that are not finite or of another dimension.
        """
        codes = self.codes(features)
        if not len(codes):
            return Drift(float("nan"), float("nan"))
        unwritten = 1.0 - float(self._values.written[codes].mean())
        return Drift(self._distance(features) / float(self._reach[0]), unwritten)

    def _distance(self, features: Features) -> float:
        projections, keys = self._placed()
        flat = keys.reshape(-1, keys.shape[2])
        total = 0.0
        for start in range(0, len(features), _BLOCK):
            block = checked_features(features[start : start + _BLOCK], self._dimension)
            apart = projections.apply(block).astype(np.float64) - flat[self.codes(block)]
            total += float(np.sqrt(np.square(apart).sum(axis=2)).sum())
        return total / (len(features) * len(keys))

    def share_fetched(self, features: Features) -> float:
        """Return the share of all pairs, in [0, 1], that these items fetch: a low one means badly placed keys."""
        return len(np.unique(self.codes(features))) / len(self._values.usage)

    def _learn(self, features: Features, targets: Integers) -> None:
        if not self.initialised:
            self._place(features)
        self._learn_codes(self.codes(features), targets)

    def _learn_codes(self, codes: Codes, targets: Integers) -> None:
        rates = self.parameters
        self._values.widen(len(self.classes))
        self._values.count(codes)
        for _ in range(rates.passes):
            for batch in shuffled_batches(len(codes), rates.batch_size, self._generator):
                self._values.descend(
                    codes[batch],
                    targets[batch],
                    rate=rates.learning_rate,
                    smoothing=rates.label_smoothing,
                    clip=rates.gradient_clip,
                )

    def _predict(self, features: Features) -> Floats:
        logits = self._values.logits(self.codes(features, written_only=True))
        return softmax(logits[:, : len(self.classes)])

    def _placed(self) -> tuple[Projections, Features]:
        if self._projections is None or self._keys is None:
            raise UsageError("the keys are not placed yet", hint="call initialise or learn first")
        return self._projections, self._keys

    def _new_values(self) -> ValueTable:
        return ValueTable(self.parameters.heads * self.parameters.pairs, self.parameters.reserved_classes)

    def _arrays(self) -> dict[str, Array]:
        if self._projections is None or self._keys is None:
            return {}
        return {"keys": self._keys, "reach": self._reach, **self._projections.arrays(), **self._values.arrays()}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        if not arrays:
            self._projections, self._keys, self._index = None, None, None
            self._values = self._new_values()
            return
        self._projections, self._reach = Projections.restore(arrays), arrays["reach"]
        self._freeze(arrays["keys"])
        self._values = ValueTable.restore(len(self._values.usage), arrays)
