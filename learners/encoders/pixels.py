"""Images as their own features: a small grey picture of each."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from curate.errors import BadDataError, ConfigurationError
from curate.learners.encoders.column import column_of
from curate.learners.numerics import Array, Features
from curate.types import Modality

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

_LARGEST_SIZE = 256


class PixelEncoder:
    """Shrinks each image to `size` by `size` grey values in [0, 1] by averaging areas; deterministic.

    Orientation tags are applied, transparency is laid over white, colours become grey by ITU-R 601, 16-bit and 32-bit
    integer grey divides by 65535, and the picture is stretched where it is not square. Costs decoding, and one image's
    pixels in memory at a time.

    Raises:
        ConfigurationError: `size` is not between 1 and 256.
    """

    costly = False
    modalities: tuple[Modality, ...] = ("image",)

    def __init__(self, size: int) -> None:
        if not 1 <= size <= _LARGEST_SIZE:
            message = f"the encoder 'pixels' needs a size between 1 and {_LARGEST_SIZE}, not {size}"
            raise ConfigurationError(message, hint="write for example 'pixels:8'")
        self.size = size
        self.version = f"pixels:{size}/1"
        self.dimension = size * size

    def encode(self, items: pa.Table) -> Features:
        """Return float32 of shape (items, size²), rows of pixels from the top.

        Raises:
            BadDataError: an item without an image, or one that does not decode; names the item.
        """
        features = np.empty((items.num_rows, self.dimension), dtype=np.float32)
        for row, (item_id, image) in enumerate(column_of(items, "image")):
            features[row] = self._pixels(item_id, image)
        return features

    def _pixels(self, item_id: str, image: bytes) -> Array:
        from PIL import Image, ImageOps

        try:
            with Image.open(io.BytesIO(image)) as opened:
                grey = _grey(ImageOps.exif_transpose(opened))
                small = grey.resize((self.size, self.size), Image.Resampling.BOX)
        except Exception as error:  # Pillow's decoders raise whatever their formats suggest
            hint = "leave it out of the snapshot, or ingest it again"
            raise BadDataError(f"the image of item {item_id} does not decode: {error}", hint=hint) from error
        return np.asarray(small, dtype=np.float32).ravel()


def _grey(image: Image) -> Image:
    """Return the image as single-precision grey in [0, 1]."""
    from PIL import Image as images

    if image.mode.startswith("I"):
        return images.fromarray(np.clip(np.asarray(image, dtype=np.float32) / 65535, 0, 1))
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = images.alpha_composite(images.new("RGBA", seen.size, "white"), seen)
    return images.fromarray(np.asarray(image.convert("L"), dtype=np.float32) / 255)
