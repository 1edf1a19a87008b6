"""Rules over images: pictures made for each, and bytes that are none."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from curate.errors import UnknownNameError, UsageError
from curate.select.quality.images import RULES, ImageQuality, measures


def photograph(width: int = 320, height: int = 240, seed: int = 0) -> Image.Image:
    """A picture with what photographs have: areas, edges and a little grain."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(20, 235, (12, 16, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)
    grain = generator.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(picture, np.float64) + grain, 0, 255).astype(np.uint8))


def encoded(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    written = io.BytesIO()
    picture.save(written, form, **options)
    return written.getvalue()


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8))


def flag() -> Image.Image:
    picture = Image.new("RGB", (300, 300), (200, 30, 30))
    picture.paste((250, 250, 250), (0, 0, 40, 40))
    return picture


PICTURES = {
    "short_side": photograph(320, 199),
    "long_side": photograph(20_001, 300),
    "aspect_ratio": photograph(601, 200),
    "blurred": photograph().filter(ImageFilter.GaussianBlur(6)),
    "dark": photograph().point(lambda level: level // 5),
    "bright": photograph().point(lambda level: 245 + level // 25),
    "low_entropy": flag(),
    "compressible": flag(),
    "incompressible": noise(),
    "near_solid": flag(),
}


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_nothing_is_said_against_an_ordinary_picture(form: str) -> None:
    assert ImageQuality().reasons([encoded(photograph(), form)]) == [()]


def test_there_is_a_picture_for_every_rule() -> None:
    assert set(PICTURES) == {rule.name for rule in RULES}


@pytest.mark.parametrize("rule", PICTURES)
def test_each_rule_objects_to_what_it_is_for(rule: str) -> None:
    (found,) = ImageQuality().reasons([encoded(PICTURES[rule])])
    assert rule in found


def test_sizes_at_the_bound_pass() -> None:
    rules = [rule.name for rule in RULES if rule.name not in ("short_side", "aspect_ratio")]
    quality = ImageQuality(without=rules)
    assert quality.reasons([encoded(photograph(600, 200)), encoded(photograph(601, 200))]) == [(), ("aspect_ratio",)]


def test_a_turned_picture_has_the_sides_that_a_viewer_shows() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = measures(encoded(photograph(1_200, 300), "JPEG", exif=exif))
    assert (found["short_side"], found["long_side"], found["aspect_ratio"]) == (300, 1_200, 4)


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    found = measures(encoded(clear))
    assert (found["bright"], found["near_solid"]) == pytest.approx((1, 1))


@pytest.mark.parametrize("image", [None, b"", b"no image", encoded(photograph())[:200]])
def test_bytes_that_are_no_image_are_called_so(image: bytes | None) -> None:
    assert ImageQuality().reasons([image]) == [("undecodable",)]


def test_a_single_pixel_is_measured() -> None:
    (found,) = ImageQuality().reasons([encoded(Image.new("L", (1, 1), 128))])
    assert {"short_side", "near_solid", "low_entropy"} <= set(found)


def test_bounds_change_and_wrong_ones_are_refused() -> None:
    small = encoded(photograph(64, 48))
    assert ImageQuality(bounds={"short_side": 32}).reasons([small]) == [()]
    with pytest.raises(UnknownNameError, match="blurry"):
        ImageQuality(without=["blurry"])
    with pytest.raises(UsageError, match="no number"):
        ImageQuality(bounds={"dark": float("nan")})
