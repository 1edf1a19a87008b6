import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_images

from curate.errors import ConfigurationError
from curate.select.perceptual import PerceptualHash, distances, image_hash, image_hashes


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def photographs() -> list[Image.Image]:
    """Twelve pieces of each of two photographs that come with scikit-learn: a temple, two of them sky, and a flower."""
    return [
        Image.fromarray(pixels[row : row + 140, column : column + 150])
        for pixels in load_sample_images().images
        for row in (0, 140, 280)
        for column in (0, 160, 320, 480)
    ]


def bits(first: int | None, second: int | None) -> int:
    assert first is not None
    assert second is not None
    return (first ^ second).bit_count()


PHOTOGRAPHS = [image for image in photographs() if image_hash(encoded(image)) is not None]
CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "half the size": lambda image: encoded(image.resize((75, 70), Image.Resampling.LANCZOS)),
    "twice the size": lambda image: encoded(image.resize((300, 280), Image.Resampling.BICUBIC)),
    "another shape": lambda image: encoded(image.resize((100, 140), Image.Resampling.BILINEAR)),
    "JPEG": lambda image: encoded(image, "JPEG", quality=90),
    "poor JPEG": lambda image: encoded(image, "JPEG", quality=35),
    "WebP": lambda image: encoded(image, "WEBP", quality=50),
    "darker": lambda image: encoded(ImageEnhance.Brightness(image).enhance(0.7)),
    "less contrast": lambda image: encoded(ImageEnhance.Contrast(image).enhance(0.6)),
    "grey": lambda image: encoded(image.convert("L")),
    "with an alpha channel": lambda image: encoded(image.convert("RGBA")),
    "turned by its EXIF": lambda image: turned(image),
}


def turned(image: Image.Image) -> bytes:
    """The picture stored on its side, with the note that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)


@pytest.mark.parametrize("change", CHANGES)
def test_what_hardly_changes_a_picture_hardly_changes_its_hash(change: str) -> None:
    found = [bits(image_hash(encoded(image)), image_hash(CHANGES[change](image))) for image in PHOTOGRAPHS]
    assert sum(count <= PerceptualHash().distance for count in found) >= 0.9 * len(found), found


def test_other_pictures_are_far_away() -> None:
    assert len(PHOTOGRAPHS) == 22
    hashes = image_hashes(encoded(image) for image in PHOTOGRAPHS)
    apart = [bits(one, other) for place, one in enumerate(hashes) for other in hashes[:place]]
    assert min(apart) > 8


def test_what_shows_too_little_has_no_hash() -> None:
    assert image_hash(encoded(PHOTOGRAPHS[0].resize((31, 200)))) is None
    assert image_hash(encoded(Image.new("RGB", (64, 64), "navy"))) is None
    assert image_hash(b"no image") is None
    assert image_hash(encoded(PHOTOGRAPHS[0])[:200]) is None
    assert image_hashes([None]) == [None]


def test_what_is_transparent_lies_on_white() -> None:
    """The colours under full transparency are nobody's to see."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[16:40, 20:60] = (200, 30, 60, 255)
    hidden = np.where(pixels[..., 3:] == 0, np.uint8(77), pixels)
    hidden[..., 3] = pixels[..., 3]
    seen = Image.alpha_composite(Image.new("RGBA", (64, 64), "white"), Image.fromarray(pixels)).convert("RGB")
    assert image_hash(encoded(Image.fromarray(hidden))) == image_hash(encoded(seen))


def test_hashes_never_change() -> None:
    """Stores hold them: another value needs another version. Most frequencies of this pattern are 0, everywhere."""
    rows, columns = np.mgrid[0:32, 0:32]
    assert image_hash(encoded(Image.fromarray((rows * 5 + columns * columns % 97).astype(np.uint8)))) == 68987912704


@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63), max_size=8), st.integers(0, 8))
def test_hashes_within_the_distance_share_a_key(value: int, flipped: set[int], distance: int) -> None:
    other = value
    for bit in flipped:
        other ^= 1 << bit
    one, two = PerceptualHash(distance).keys(np.array([value, other], np.uint64))
    if len(flipped) <= distance:
        assert set(one) & set(two)
    assert distances(np.array([value], np.uint64), np.array([other], np.uint64)).tolist() == [len(flipped)]


def test_a_key_is_one_pair_of_blocks() -> None:
    keys = PerceptualHash(4).keys(np.random.default_rng(0).integers(0, 2**64, 1_000, np.uint64))
    assert keys.shape == (1_000, 15)
    assert len(np.unique(keys)) > 14_000
    assert not set(keys.ravel()) & set(PerceptualHash(5).keys(np.zeros(1, np.uint64)).ravel())


@pytest.mark.parametrize("distance", [-1, 9])
def test_other_distances_are_refused(distance: int) -> None:
    with pytest.raises(ConfigurationError, match="distance"):
        PerceptualHash(distance)
