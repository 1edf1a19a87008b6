"""Item ids, recomputed independently from the words of the contract."""

import hashlib
import io
import json
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curate.store.ingestion.canonical import (
    canonical_image,
    canonical_json,
    canonical_text,
    canonical_texts,
    events_id,
    events_ids,
    image_id,
    text_id,
    text_ids,
)
from curate.store.schema import EVENTS

LINES = st.text(st.sampled_from("ab\r\n\ufeffé"))
TIMES = st.floats(allow_nan=False, allow_infinity=False)
SEQUENCES = st.lists(st.tuples(TIMES, st.integers(-(2**31), 2**31 - 1)))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@given(st.lists(st.none() | LINES | st.text()), st.integers(0, 3))
def test_text_ids_are_those_of_the_canonical_text(texts: list[str | None], skipped: int) -> None:
    canonical = canonical_texts(pa.array(texts, pa.string()).slice(skipped))
    texts = texts[skipped:]
    assert canonical.to_pylist() == [text if text is None else canonical_text(text) for text in texts]
    expected = [
        text if text is None else _sha256(text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").encode())
        for text in texts
    ]
    assert text_ids(canonical).to_pylist() == expected
    assert [text if text is None else text_id(text) for text in texts] == expected


@given(LINES)
def test_canonical_text_is_its_own_canonical_text(text: str) -> None:
    once = canonical_text(text)
    assert canonical_text(once) == once
    assert "\r" not in once


def test_the_id_of_a_text_never_changes() -> None:
    expected = "21066d108d5319ecb5a1fc4454f42ef22fc5f1c7df49c31d90294950e0ea8b2c"  # printf 'one\ntwo' | sha256sum
    assert text_id("\ufeffone\r\ntwo") == expected


@given(st.lists(st.none() | SEQUENCES), st.integers(0, 3))
def test_event_ids_are_those_of_packed_events(sequences: list[list[tuple[float, int]] | None], skipped: int) -> None:
    values = [s if s is None else [{"time": time, "type": kind} for time, kind in s] for s in sequences]
    expected = [
        s if s is None else _sha256(b"events\0days\0" + b"".join(struct.pack("<di", *event) for event in s))
        for s in sequences
    ]
    array = pa.array(values, EVENTS)
    assert events_ids(array, "days").to_pylist() == expected
    assert events_ids(array.slice(skipped), "days").to_pylist() == expected[skipped:]
    assert [s if s is None else events_id(s, "days") for s in sequences] == expected


def test_event_ids_tell_time_units_apart() -> None:
    assert events_id([(1.0, 2)], "days") != events_id([(1.0, 2)], "seconds")


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_image_ids_are_those_of_header_and_pixels(mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, len(mode)), np.uint8)
    image = Image.frombytes(mode, (5, 3), pixels.tobytes())
    expected = _sha256(b"image\0" + mode.encode() + b"\0" + struct.pack("<II", 5, 3) + pixels.tobytes())
    assert image_id(canonical_image(image)) == expected


def _saved_and_opened(image: Image.Image, kind: str, **options: object) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return Image.open(stream)


def test_a_palette_is_the_colours_that_it_stands_for() -> None:
    colours = Image.new("RGB", (4, 4), (255, 0, 0))
    palette = _saved_and_opened(colours.quantize(2), "PNG")
    assert palette.mode == "P"
    assert image_id(canonical_image(palette)) == image_id(colours)
    transparent = _saved_and_opened(colours.quantize(2), "PNG", transparency=0)
    assert canonical_image(transparent).mode == "RGBA"


@pytest.mark.parametrize(
    ("mode", "expected"), [("1", "L"), ("CMYK", "RGB"), ("La", "LA"), ("RGBa", "RGBA"), ("F", "RGB")]
)
def test_other_modes_become_one_of_four(mode: str, expected: str) -> None:
    assert canonical_image(Image.new(mode, (2, 2))).mode == expected


def test_deep_greys_keep_their_upper_eight_bits() -> None:
    deep = _saved_and_opened(Image.fromarray(np.array([[0, 255, 256, 65535]], np.uint16)), "PNG")
    assert deep.mode.startswith("I")
    assert list(canonical_image(deep).tobytes()) == [0, 0, 1, 255]


def test_the_orientation_is_applied() -> None:
    upright = Image.frombytes("L", (2, 1), b"\x00\xff")
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer must turn it by 90 degrees clockwise
    arrived = _saved_and_opened(turned, "PNG", exif=exif)
    assert image_id(canonical_image(arrived)) == image_id(upright)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_canonical_json_is_json_for_every_value(value: object) -> None:
    def no_constant(name: str) -> None:
        raise AssertionError(name)

    text = canonical_json(value)
    again = json.loads(text, parse_constant=no_constant)
    assert canonical_json(again) == text
