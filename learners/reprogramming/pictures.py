"""Which network a project's learner turns to its tasks: that of its encoder, given just what the encoder gives it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.errors import ConfigurationError
from curate.learners.encoders.pictures import PictureEncoder
from curate.learners.encoders.timm_models import EfficientNetLite0, TimmEncoder
from curate.learners.numerics import Features
from curate.learners.reprogramming.backbones import efficientnet_lite0
from curate.learners.reprogramming.network import FrozenNetwork
from curate.types import Encoder

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLE = 'encoder = "efficientnet-lite0:64"'


class Pictures:
    """A `curate.types.Encoder` whose features are pixels: what another encoder gives its network, which is `network`.

    Pixels are in [0, 1], channel by channel, row by row. Costs decoding; memory: 4 bytes a pixel and colour.

    Raises:
        ConfigurationError: the other is no network of convolutions with batch normalisation over images.
    """

    costly = False

    def __init__(self, encoder: Encoder) -> None:
        if not isinstance(encoder, EfficientNetLite0 | TimmEncoder):
            raise ConfigurationError(
                f"channel reprogramming needs the network of an encoder of images, which {encoder.version!r} has not",
                hint=EXAMPLE,
            )
        self._encoder: PictureEncoder = encoder
        self.version = f"pixels of {encoder.version}"
        self.modalities = encoder.modalities

    @property
    def network(self) -> FrozenNetwork:
        """The encoder's network, frozen, with room for kernels; made once in a process."""
        return _frozen(_Source(self.version, self._encoder))

    @property
    def dimension(self) -> int:
        """How many pixels an image has in all its channels."""
        return self.network.dimension

    def encode(self, items: pa.Table) -> Features:
        """Return float32 of shape (items, dimension).

        Raises:
            BadDataError: an item without an image, or one that does not decode; names it.
        """
        if not len(items):
            return np.zeros((0, self.dimension), np.float32)
        pixels = self._encoder.pixels(items).transpose(0, 3, 1, 2)
        return np.divide(pixels.reshape(len(items), -1), 255, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Source:
    """An encoder that is known by its version: equal ones have one network between them."""

    version: str
    encoder: PictureEncoder = field(compare=False)


@lru_cache(maxsize=2)
def _frozen(source: _Source) -> FrozenNetwork:
    from PIL import Image
    from torch import nn

    encoder = source.encoder
    found = encoder.network()
    geometry = found.extra
    height, width, _ = geometry.pixels(Image.new("RGB", (8, 8))).shape
    if isinstance(encoder, EfficientNetLite0):
        return efficientnet_lite0(height)
    module: Any = deepcopy(found.module).cpu()
    if not any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
        raise ConfigurationError(
            f"channel reprogramming needs convolutions with batch normalisation, which {encoder.version!r} has not",
            hint=EXAMPLE,
        )
    mean, deviation = tuple(geometry.mean), tuple(geometry.deviation)
    return FrozenNetwork(module, (3, height, width), mean=mean, deviation=deviation)
