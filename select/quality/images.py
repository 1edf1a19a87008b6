"""Rules over images: resolution, shape, sharpness, exposure, how much there is to see.

The bounds of size and shape are those of DataComp's basic filter (Gadre et al. 2023, arXiv 2304.14108, section 3.2:
shorter side over 200 pixels, aspect ratio below 3). The variance of the Laplacian as a measure of sharpness is that of
Pech-Pacheco et al. 2000 (ICPR, "Diatom autofocusing in brightfield microscopy"), with the bound of 100 that many use.
The others have no published standard: their bounds keep ordinary photographs and are there to be changed.

All but size and shape is measured on the picture as a viewer shows it, shrunk to at most 512 pixels on the longer side,
what is transparent on white, so that a bound means about the same at every resolution.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from curate.select.quality.bounds import Rule, described, objecting, with_bounds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METHOD = "1"
"""The number grows whenever an image would get other measures."""
UNDECODABLE = "undecodable"
"""What is said of bytes that are no image, and where there are none."""
RULES: tuple[Rule, ...] = (
    Rule("short_side", "at least", 200, "pixels of the shorter side"),
    Rule("long_side", "at most", 20_000, "pixels of the longer side"),
    Rule("aspect_ratio", "at most", 3, "longer side over shorter side"),
    Rule("blurred", "at least", 100, "variance of the Laplacian of the greys from 0 to 255"),
    Rule("dark", "at least", 0.3, "brightness that 1 % of the pixels exceed, from 0 to 1"),
    Rule("bright", "at most", 0.95, "brightness that 95 % of the pixels exceed, from 0 to 1"),
    Rule("low_entropy", "at least", 3, "bits of entropy of the greys, at most 8"),
    Rule("compressible", "at least", 0.5, "bits of a PNG for each pixel of the greys"),
    Rule("incompressible", "at most", 7.5, "bits of a PNG for each pixel of the greys"),
    Rule("near_solid", "at most", 0.95, "share of pixels within 8 of 255 of the median colour"),
)
_SIDE = 512
_NEAR = 8


class ImageQuality:
    """Rules over images with their bounds.

    Args:
        bounds: other bounds by the names of `RULES`.
        without: names of rules that are not asked.

    Cost: the decoding, of large JPEGs at a fraction of their size, and some 20 ms. Memory: one image.

    Raises:
        UnknownNameError: there is no such rule.
        UsageError: no rule left, or a bound that is no number.
    """

    name = "image quality"

    def __init__(self, *, bounds: Mapping[str, float] = MappingProxyType({}), without: Sequence[str] = ()) -> None:
        self.rules = with_bounds(RULES, bounds, without)
        self.version = f"image-quality:{METHOD} {described(self.rules)}"

    def reasons(self, images: Iterable[bytes | None]) -> list[tuple[str, ...]]:
        """Return the names of the rules that object to each image in its file format."""
        found = (measures(image) if image is not None else {} for image in images)
        return [objecting(self.rules, one) if one else (UNDECODABLE,) for one in found]


def measures(image: bytes) -> dict[str, float]:
    """Return the measure of each rule by its name; none for bytes that do not decode."""
    import numpy as np
    from PIL import Image

    try:
        picture, width, height = _decoded(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return {}
    colours = np.asarray(picture, np.uint8)
    greys = np.asarray(picture.convert("L"), np.uint8)
    brightness = np.sqrt(colours.astype(np.float32) ** 2 @ np.array([0.299, 0.587, 0.114], np.float32)) / 255
    packed = _png_bits(greys)
    return {
        "short_side": min(width, height),
        "long_side": max(width, height),
        "aspect_ratio": max(width, height) / min(width, height),
        "blurred": _laplacian_variance(greys),
        "dark": float(np.percentile(brightness, 99)),
        "bright": float(np.percentile(brightness, 5)),
        "low_entropy": _entropy(greys),
        "compressible": packed,
        "incompressible": packed,
        "near_solid": _near_share(colours),
    }


def _decoded(image: bytes) -> tuple[Any, int, int]:
    """Return the picture as a viewer shows it, shrunk, in RGB, and its width and height as they are stored."""
    from PIL import Image, ImageOps

    from curate.select.bit_depth import eight_bits

    with Image.open(io.BytesIO(image)) as opened:
        width, height = opened.size
        opened.draft("RGB", (_SIDE, _SIDE))
        shown: Any = ImageOps.exif_transpose(opened)
        if shown.has_transparency_data:
            shown = shown.convert("RGBA")
            shown = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
        shown = eight_bits(shown).convert("RGB")
        shown.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    return shown, width, height


def _laplacian_variance(greys: NDArray[np.uint8]) -> float:
    """Return the variance of each pixel's difference from its four neighbours; NaN for less than 3 x 3 pixels."""
    import numpy as np

    if min(greys.shape) < 3:
        return float("nan")
    levels = greys.astype(np.int32)
    inner = levels[1:-1, 1:-1]
    return float((levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:] - 4 * inner).var())


def _entropy(greys: NDArray[np.uint8]) -> float:
    import numpy as np

    shares = np.bincount(greys.ravel(), minlength=256) / greys.size
    return float(-(shares[shares > 0] * np.log2(shares[shares > 0])).sum())


def _png_bits(greys: NDArray[np.uint8]) -> float:
    """Return the bits a pixel of a PNG, beyond those of a single pixel's file."""
    from PIL import Image

    def size(levels: NDArray[np.uint8]) -> int:
        written = io.BytesIO()
        Image.fromarray(levels).save(written, "PNG", compress_level=6)
        return written.tell()

    return 8 * (size(greys) - size(greys[:1, :1])) / greys.size


def _near_share(colours: NDArray[np.uint8]) -> float:
    import numpy as np

    pixels = colours.reshape(-1, 3).T
    near = np.ones(pixels.shape[1], np.bool_)
    for levels in pixels:
        counts = np.cumsum(np.bincount(levels, minlength=256))
        median = int(np.searchsorted(counts, len(levels) / 2))
        near &= (levels >= max(0, median - _NEAR)) & (levels <= min(255, median + _NEAR))
    return float(near.mean())
