"""Pictures of 16 bits are judged as the same picture of 8 bits is."""

import io

import numpy as np
import pytest
from PIL import Image

from curate.select.bit_depth import eight_bits
from curate.select.perceptual import image_hash
from curate.select.quality.images import ImageQuality, measures

ROWS, COLUMNS = np.mgrid[0:300, 0:300]
GREYS = ((np.sin(COLUMNS / 9) + np.cos(ROWS / 7) + 2) / 4 * 235 + (ROWS * 7 + COLUMNS * 3) % 20).clip(0, 255)


def encoded(values: np.ndarray, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, form)
    return file.getvalue()


SMALL = encoded(GREYS.astype(np.uint8))


@pytest.mark.parametrize(("kind", "form"), [(np.uint16, "PNG"), (np.uint16, "TIFF"), (np.int32, "TIFF")])
def test_sixteen_bits_are_judged_as_eight(kind: type, form: str) -> None:
    deep = encoded((GREYS.astype(np.uint8) * 257.0).astype(kind), form)
    rules = ImageQuality()
    assert rules.reasons([deep]) == rules.reasons([SMALL])
    assert measures(deep)["near_solid"] == pytest.approx(measures(SMALL)["near_solid"], abs=0.01)
    assert image_hash(deep) == image_hash(SMALL)


def test_fractions_run_from_their_least_to_their_largest() -> None:
    values = np.array([[0.5, 1.0], [0.75, np.nan]], dtype=np.float32)
    assert np.asarray(eight_bits(Image.fromarray(values[:, :1]))).ravel().tolist() == [0, 255]
    picture = Image.fromarray(GREYS.astype(np.uint8))
    assert eight_bits(picture) is picture
