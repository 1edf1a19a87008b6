"""Encoders give the same features for the same item, and name the item that they cannot read."""

import io
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curate.errors import BadDataError, ConfigurationError, UnknownNameError
from curate.learners.encoders import hashed_text
from curate.learners.encoders.factory import encoder_named
from curate.learners.encoders.hashed_text import HashedTextEncoder
from curate.learners.encoders.pixels import PixelEncoder
from curate.types import Encoder

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pictures(*images: bytes | None) -> pa.Table:
    columns = {"item_id": [f"item{row}" for row in range(len(images))], "image": pa.array(images, pa.binary())}
    return pa.table(columns)


def texts(*values: str | None) -> pa.Table:
    columns = {"item_id": [f"item{row}" for row in range(len(values))], "text": pa.array(values, pa.string())}
    return pa.table(columns)


def vectors(values: Sequence[str], dimension: int = 64) -> np.ndarray:
    return HashedTextEncoder(dimension).encode(texts(*values))


def test_pixels_average_areas() -> None:
    features = PixelEncoder(8).encode(pictures(encoded(Image.fromarray(GREY))))
    expected = GREY.reshape(8, 2, 8, 2).mean(axis=(1, 3)) / 255
    assert features.dtype == np.float32
    assert np.allclose(features[0], expected.ravel(), atol=1e-6)


def test_pixels_of_the_same_size_are_the_pixels() -> None:
    features = PixelEncoder(16).encode(pictures(encoded(Image.fromarray(GREY))))
    assert np.allclose(features[0] * 255, GREY.ravel(), atol=1e-4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_gives_values_in_range(mode: str) -> None:
    deep = Image.fromarray(GREY.astype(np.uint16) * 257)
    image = deep if mode == "I;16" else Image.fromarray(GREY).convert(mode)
    features = PixelEncoder(4).encode(pictures(encoded(image, "TIFF" if mode == "CMYK" else "PNG")))
    assert features.shape == (1, 16)
    assert features.min() >= 0.0
    assert features.max() <= 1.0
    assert features.max() > features.min()


def test_sixteen_bits_are_not_cut_off() -> None:
    deep = PixelEncoder(8).encode(pictures(encoded(Image.fromarray(GREY.astype(np.uint16) * 257))))
    assert np.allclose(deep, PixelEncoder(8).encode(pictures(encoded(Image.fromarray(GREY)))), atol=1e-6)


def test_transparency_lies_over_white() -> None:
    clear = encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 0)))
    assert np.allclose(PixelEncoder(2).encode(pictures(clear)), 1.0)


def test_orientation_is_applied() -> None:
    left = np.zeros((16, 16), dtype=np.uint8)
    left[:, :8] = 255
    orientation = Image.Exif()
    orientation[0x0112] = 3  # turned by half a circle
    turned = PixelEncoder(2).encode(pictures(encoded(Image.fromarray(left), exif=orientation)))
    assert turned[0].tolist() == [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("image", [None, b"", b"not an image", encoded(Image.fromarray(GREY))[:50]])
def test_an_image_that_does_not_decode_is_named(image: bytes | None) -> None:
    with pytest.raises(BadDataError, match="item1"):
        PixelEncoder(8).encode(pictures(encoded(Image.fromarray(GREY)), image))


def test_a_text_that_is_missing_is_named() -> None:
    with pytest.raises(BadDataError, match="item1 has no text"):
        HashedTextEncoder(64).encode(texts("here", None))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(BadDataError, match="no column 'image'"):
        PixelEncoder(8).encode(texts("here"))


@pytest.mark.parametrize("name", ["pixels:8", "hashed-ngrams:512"])
def test_no_items_give_no_rows(name: str) -> None:
    encoder = encoder_named(name)
    empty = pa.table(
        {"item_id": pa.array([], pa.string()), "text": pa.array([], pa.string()), "image": pa.array([], pa.binary())}
    )
    assert isinstance(encoder, Encoder)
    assert encoder.encode(empty).shape == (0, encoder.dimension)
    assert encoder.version == f"{name}/1"


def test_texts_have_length_one_and_empty_ones_are_zero() -> None:
    found = vectors(["", "a", "a longer text", "日本語"])
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), [0, 1, 1, 1], atol=1e-6)


def reference(text: str, dimension: int) -> np.ndarray:
    """Count n-grams one by one, in Python's own integers."""
    counts = np.zeros(dimension)
    characters = [0x110000, *map(ord, text), 0x110000]
    for length in (3, 4, 5):
        for start in range(len(characters) - length + 1):
            value = length
            for character in characters[start : start + length]:
                value = mixed(value ^ character)
            counts[value % dimension] += -1 if value >> 63 else 1
    norm = np.linalg.norm(counts)
    return counts / norm if norm else counts


def mixed(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
    return value ^ value >> 31


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=5))
def test_the_arrays_count_what_a_loop_counts(values: list[str]) -> None:
    expected = np.array([reference(value, 50) for value in values]).reshape(len(values), 50)
    assert np.allclose(vectors(values, 50), expected, atol=1e-6)


def test_neighbours_and_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [f"text number {number} " * (number % 7) for number in range(40)]
    whole = vectors(values)
    assert np.array_equal(whole, np.concatenate([vectors([value]) for value in values]))
    monkeypatch.setattr(hashed_text, "_BLOCK_CHARACTERS", 50)
    assert np.array_equal(whole, vectors(values))


def test_the_hash_is_the_same_in_every_process() -> None:
    program = (
        "import pyarrow as pa; from curate.learners.encoders.factory import encoder_named;"
        "items = pa.table({'item_id': ['x'], 'text': ['def function(): pass']});"
        "print(encoder_named('hashed-ngrams:512').encode(items).tobytes().hex())"
    )
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in "12"]
    assert runs[0].stdout == runs[1].stdout


def test_similar_texts_are_nearer_than_others() -> None:
    first, second, other = vectors(
        ["def add(a, b): return a + b", "def sub(a, b): return a - b", "It rained all day."], 512
    )
    assert first @ second > first @ other + 0.3


@pytest.mark.parametrize("name", ["pixel:8", "hashed:512", "", "clip"])
def test_unknown_encoders_are_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="pixels:8"):
        encoder_named(name)


@pytest.mark.parametrize(
    "name", ["pixels", "pixels:", "pixels:-8", "pixels:0", "pixels:999", "hashed-ngrams:x", "hashed-ngrams:0"]
)
def test_numbers_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"pixels|hashed-ngrams"):
        encoder_named(name)
