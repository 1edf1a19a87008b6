"""The key-value bottleneck with one of its parts taken out: what each part is worth, and that its loss shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.learners.bottleneck.keys import KeyPlacement
from curate.learners.bottleneck.learner import KeyValueBottleneck
from curate.learners.bottleneck.lookup import Codes
from curate.learners.bottleneck.parameters import BottleneckParameters
from curate.learners.bottleneck.projections import Projections
from curate.learners.numerics import Features, Integers, shuffled_batches

DECAY = 1e-2


class _Placed(KeyValueBottleneck):
    """Places its keys with a `KeyPlacement` that it keeps."""

    placement: KeyPlacement

    def _place(self, features: Features) -> None:
        sizes = self.parameters
        self._dimension = features.shape[1]
        self._projections = Projections.draw(features, sizes.heads, sizes.key_width, self._generator)
        self.placement = self._begun()
        self._go_on(features)

    def _begun(self) -> KeyPlacement:
        return KeyPlacement(self.parameters, self._generator)

    def _go_on(self, features: Features) -> None:
        """Let the keys follow these features, and look codes up in where they are now."""
        assert self._projections is not None
        projected = self._projections.apply(features)
        for _ in range(self.parameters.key_passes):
            for batch in shuffled_batches(len(projected), self.parameters.batch_size, self._generator):
                self.placement.update(projected[batch])
        self._freeze(self.placement.keys.copy())


class WithoutReplacement(_Placed):
    """No dead key is replaced, and the sums begin at the random keys, as in the paper's code."""

    def _begun(self) -> KeyPlacement:
        placement = super()._begun()
        placement._sums = placement.keys.astype(np.float64)
        return placement


class MovingKeys(_Placed):
    """The keys go on moving with each increment, and what was written stays where it is."""

    def _learn(self, features: Features, targets: Integers) -> None:
        if not self.initialised:
            self._place(features)
        else:
            self._go_on(features)
        super()._learn(features, targets)


class DecayingValues(KeyValueBottleneck):
    """Weight decay of plain descent: every row shrinks with every step, whether it is fetched or not."""

    def _learn_codes(self, codes: Codes, targets: Integers) -> None:
        rates = self.parameters
        self._values.count(codes)
        for _ in range(rates.passes):
            for batch in shuffled_batches(len(codes), rates.batch_size, self._generator):
                self._values._rows *= np.float32(1.0 - rates.learning_rate * DECAY)
                self._values.descend(
                    codes[batch],
                    targets[batch],
                    rate=rates.learning_rate,
                    smoothing=rates.label_smoothing,
                    clip=rates.gradient_clip,
                )


_KINDS: dict[str, type[KeyValueBottleneck]] = {
    "without replacement": WithoutReplacement,
    "moving keys": MovingKeys,
    "decaying values": DecayingValues,
}


def ablated(kind: str, parameters: dict[str, Any], seed: int) -> KeyValueBottleneck:
    """Return a bottleneck without a part: "without replacement", "moving keys" or "decaying values"."""
    given = {"dead_share": 0.0, **parameters} if kind == "without replacement" else parameters
    return _KINDS[kind](BottleneckParameters.from_settings(given, seed=seed))
