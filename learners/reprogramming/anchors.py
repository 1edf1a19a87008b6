"""Telling tasks apart by their inputs: Gaussians over what the frozen network and plain statistics see in an image."""

from __future__ import annotations

import numpy as np

from curate.learners.baselines import DiscriminantParameters, StreamingDiscriminant
from curate.learners.numerics import Array, Features
from curate.learners.reprogramming.network import FrozenNetwork
from curate.learners.reprogramming.tasks import features_of

_SHRINKAGE = 0.01
_ONE_STEP = np.float32(1 / 255)
"""The least difference that eight bits can tell, so that none at all has a logarithm."""


class TaskAnchors:
    """Each task's mean over what its items look like, and one scatter for all, as in linear discriminant analysis.

    What an item looks like are its features under the frozen network as it was, the mean and the deviation of each
    colour, and logarithms of mean differences: between colours, and between neighbours in each column and row, for
    what was added, put together or taken away by hand shows there. Adding a task changes nothing of the others but the
    common scatter. Close to the anchors of the paper's successor (Ge et al., TMLR 2023, arXiv 2305.15591).
    Memory: 8 bytes times the square of the features' width.
    """

    def __init__(self, network: FrozenNetwork) -> None:
        self._network = network
        self._start = network.at_start()
        self._discriminant = StreamingDiscriminant(DiscriminantParameters(shrinkage=_SHRINKAGE))

    def add(self, pixels: Features, task: str) -> None:
        """Add items of a task."""
        self._discriminant.learn(self._looks(pixels), [task] * len(pixels))

    def tasks_of(self, pixels: Features) -> list[str]:
        """Return the most likely task of each item; without a look where there is one task only."""
        names = self._discriminant.classes
        if len(names) == 1 or not len(pixels):
            return [names[0]] * len(pixels)
        return [names[column] for column in self._discriminant.predict(self._looks(pixels)).argmax(axis=1)]

    def state(self) -> Array:
        """Return what `load` takes: uint8."""
        return np.frombuffer(self._discriminant.state(), np.uint8)

    def load(self, state: Array) -> None:
        """Take over a saved state."""
        self._discriminant.load(state.tobytes())

    def _looks(self, pixels: Features) -> Features:
        images = pixels.reshape(-1, *self._network.shape)
        colours = np.abs(images - np.roll(images, 1, axis=1)).mean((2, 3))
        across, down = (np.abs(np.diff(images, axis=axis)).mean((1, 5 - axis)) for axis in (3, 2))
        plain = [images.mean((2, 3)), images.std((2, 3))]
        steps = [np.log(_ONE_STEP + part) for part in (colours, across, down)]
        return np.concatenate([features_of(self._network, self._start, pixels), *plain, *steps], axis=1)
