"""Pictures of more than 8 bits a channel as a viewer shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

_WHITE_16 = 65_535


def eight_bits(picture: Image) -> Image:
    """Scale greys of 16 or 32 bits to 8, where Pillow's own conversion would clip all of them to white.

    Integers span 16 bits, as PNG has them; fractions (mode F) run from their least to their largest value, for nothing
    says what white is. Other pictures are returned as they are.
    """
    import numpy as np
    from PIL import Image

    if picture.mode not in {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}:
        return picture
    values: Any = np.asarray(picture, dtype=np.float64)
    low, high = (float(values.min()), float(values.max())) if picture.mode == "F" else (0.0, float(_WHITE_16))
    scaled = (values - low) * (255 / max(high - low, 1e-12))
    return Image.fromarray(np.rint(np.nan_to_num(scaled).clip(0, 255)).astype(np.uint8))
