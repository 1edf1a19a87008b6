"""Labelled images for an image classifier."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import nn

from curate.errors import BadDataError
from curate.learners.adapters.examples import Batch, refuse_unknown_classes
from curate.learners.adapters.methods import Method
from curate.learners.adapters.tasks import Task
from curate.learners.numerics import Array, Integers


class LabelledImages:
    """Images as the network takes them, each with the number of its class."""

    task = Task.IMAGES

    def __init__(self, pixels: Array, classes: Sequence[int]) -> None:
        """Take float32 of shape (items, channels, height, width), scaled as the network wants it; nothing is copied.

        Raises:
            BadDataError: another shape, a pixel that is not finite, or not one class for each image.
        """
        if pixels.ndim != 4 or pixels.dtype != np.float32:
            raise BadDataError(f"images are float32 of four dimensions, not {pixels.dtype} of {pixels.ndim}")
        self._pixels, self._classes = pixels, np.asarray(classes, np.int64)
        if len(pixels) != len(self._classes):
            raise BadDataError(f"there are {len(pixels)} images and {len(self._classes)} classes")
        for row, image in enumerate(pixels):
            if not np.isfinite(image).all():
                raise BadDataError(f"image {row} has a pixel that is not finite")
        digest = sha256(str(pixels.shape).encode() + self._classes.tobytes())
        digest.update(np.ascontiguousarray(pixels).data)
        self.fingerprint = digest.hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._pixels)

    def check(self, network: Any, method: Method, virtual_tokens: int) -> None:
        """Refuse classes that the network does not have, and images of another size or number of colours.

        Raises:
            BadDataError: they do not fit.
        """
        refuse_unknown_classes(self._classes, network)
        given = {"num_channels": self._pixels.shape[1], "image_size": self._pixels.shape[2]}
        for name, size in given.items():
            wanted = getattr(network.config, name, size)
            if wanted != size and wanted != [size, size]:
                raise BadDataError(f"the images have {name} {size}, and the network takes {wanted}")

    def batch(self, rows: Integers, device: torch.device) -> Batch:
        """Return the images of these rows."""
        pixels = torch.from_numpy(self._pixels[rows]).to(device)
        targets = torch.from_numpy(self._classes[rows]).to(device)
        return Batch({"pixel_values": pixels}, targets, len(rows), tuple(int(row) for row in rows))

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the summed cross-entropy of all images."""
        return nn.functional.cross_entropy(model(**batch.inputs).logits.float(), batch.targets, reduction="sum")
