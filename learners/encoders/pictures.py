"""Images as networks take them: decoded, upright, in colour, and brought to size as the network was taught."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.errors import BadDataError
from curate.learners.encoders.network import Network, NetworkEncoder
from curate.learners.numerics import Array
from curate.types import Modality

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

_TO_TENSOR = ("MaybeToTensor", "ToTensor", "PILToTensor")


@dataclass(frozen=True, slots=True)
class Geometry:
    """A library's own way from an image to pixels, and the mean and deviation that its network expects by channel."""

    steps: Sequence[Callable[[Any], Any]]
    mean: Sequence[float]
    deviation: Sequence[float]

    @classmethod
    def of(cls, transform: Any) -> Geometry:
        """Take apart what timm and open_clip make: steps over images, then one to a tensor, then a normalisation."""
        names = [type(step).__name__ for step in transform.transforms]
        border = next(place for place, name in enumerate(names) if name in _TO_TENSOR)
        normalise = transform.transforms[names.index("Normalize")]
        mean, deviation = ([float(value) for value in part] for part in (normalise.mean, normalise.std))
        return cls(transform.transforms[:border], mean, deviation)

    def pixels(self, image: Image) -> Array:
        """Return uint8 of shape (height, width, 3)."""
        for step in self.steps:
            image = step(image)
        return np.asarray(image)


class PictureEncoder(NetworkEncoder):
    """A network over images: orientation tags are applied, transparency is laid over white."""

    modalities: tuple[Modality, ...] = ("image",)

    @abstractmethod
    def network(self) -> Network:
        """Return the network; its `extra` is the `Geometry`."""

    def pixels(self, items: pa.Table) -> Array:
        """Return what the network is given of each of at least one item: uint8 of shape (items, height, width, 3).

        Raises:
            BadDataError: an item without an image, or one that does not decode; names it.
        """
        return np.concatenate([prepared for _, prepared in self._prepared(items, self.network())])

    def prepare(self, network: Network, values: Sequence[tuple[str, Any]]) -> Array:
        """Return uint8 of shape (items, height, width, 3)."""
        return np.stack([network.extra.pixels(decoded(item_id, image)) for item_id, image in values])


def forward_pictures(module: Any, geometry: Geometry, device: str) -> Callable[[Array], Array]:
    """Return a function from pixels to what the module says of them; their scale is set on the device."""
    import torch

    scale = 1 / (255 * torch.tensor(geometry.deviation, device=device)).view(1, 3, 1, 1)
    shift = (torch.tensor(geometry.mean) / torch.tensor(geometry.deviation)).to(device).view(1, 3, 1, 1)

    def forward(pixels: Array) -> Array:
        with torch.inference_mode():
            given = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().mul_(scale).sub_(shift)
            found: Array = module(given).float().cpu().numpy()
        return found

    return forward


def decoded(item_id: str, image: bytes) -> Image:
    """Return an image in RGB, upright, transparency over white.

    Raises:
        BadDataError: it does not decode; names the item.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(image)) as opened:
            return _coloured(ImageOps.exif_transpose(opened))
    except Exception as error:  # Pillow's decoders raise whatever their formats suggest
        hint = "leave it out of the snapshot, or ingest it again"
        raise BadDataError(f"the image of item {item_id} does not decode: {error}", hint=hint) from error


def _coloured(image: Image) -> Image:
    from PIL import Image as images

    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image, dtype=np.float32) / 257, 0, 255)
        return images.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = images.alpha_composite(images.new("RGBA", seen.size, "white"), seen)
    return image.convert("RGB")
