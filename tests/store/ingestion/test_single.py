"""Files that are one item: texts and images."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.store.ingestion.canonical import image_id, text_id
from curate.store.ingestion.mapping import Mapping

Read = Callable[..., Any]
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def _png(pixels: np.ndarray) -> bytes:  # type: ignore[type-arg]
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


NOISE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
PNG = _png(NOISE)


def test_a_text_file_is_one_item(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "Größe.rst"
    path.write_bytes("\ufeffeins\r\nzwei ä".encode())
    (record,) = read(path, licence="MIT").records
    assert record == {
        "item_id": text_id("eins\nzwei ä"),
        "modality": "text",
        "text": "eins\nzwei ä",
        "image": None,
        "events": None,
        "time_unit": None,
        "size": len("eins\nzwei ä".encode()),
        "locator": "Größe.rst",
        "entity": "s:Größe.rst",
        "licence": "MIT",
        "metadata": "",
        "label": None,
    }
    assert read(path, start_row=1).records == []


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        (b"", "empty-text", ""),
        (b"\xef\xbb\xbf \r\n\t", "empty-text", ""),
        (b"text\0", "binary", "byte 4"),
        ("text".encode("utf-16") + b"x", "not-utf-8", "begins like UTF-16"),
        (b"\xff\xfe\0\xd8", "not-utf-8", "byte 3"),
        (b"caf\xe9 au lait", "not-utf-8", r"byte 3, near 'caf\xe9 au lait'"),
        (b"\xed\xa0\x80", "not-utf-8", "byte 0"),
        (b"12345678901", "too-large", "10 bytes"),
        (PNG[:10], "unsupported-format", "a PNG image; set modality"),
        (b"GIF89a\x10\0", "unsupported-format", "a GIF image"),
        (b"\xff\xd8\xff\xe0", "unsupported-format", "a JPEG image"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "unsupported-format", "a WebP image"),
    ],
)
def test_what_is_no_text_is_a_reject(tmp_path: Path, read: Read, content: bytes, reason: str, words: str) -> None:
    (tmp_path / "a").write_bytes(content)
    limit = 10 if reason == "too-large" else 2**20
    (reject,) = read(tmp_path / "a", item_bytes=limit).rejects
    assert (reject["locator"], reject["reason"]) == ("a", reason)
    assert words in reject["detail"]


@SAME_FOLDER
@given(content=st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_record_or_a_reject(tmp_path: Path, read: Read, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    reading = read(tmp_path / "a")
    assert len(reading.records) + len(reading.rejects) == 1
    if reading.records:
        assert reading.column("item_id") == [text_id(content.decode())]


def test_an_image_keeps_its_bytes_and_is_named_by_its_pixels(tmp_path: Path, read: Read) -> None:
    (tmp_path / "seven").mkdir()
    path = tmp_path / "seven" / "a.png"
    path.write_bytes(PNG)
    (record,) = read(path, modality="image", label="folder").records
    assert record["image"] == PNG
    assert record["size"] == len(PNG)
    assert record["item_id"] == image_id(Image.fromarray(NOISE))
    assert record["label"] == "seven"


def test_one_picture_has_one_id_in_every_lossless_format(tmp_path: Path, read: Read) -> None:
    for name, options in {"a.png": {}, "b.png": {"compress_level": 0}, "c.webp": {"lossless": True}}.items():
        Image.fromarray(NOISE).save(tmp_path / name, **options)
    names = ("a.png", "b.png", "c.webp")
    assert len({read(tmp_path / name, modality="image").column("item_id")[0] for name in names}) == 1


def test_a_moving_picture_counts_by_its_first_frame(tmp_path: Path, read: Read) -> None:
    frames = [Image.new("L", (4, 4), grey) for grey in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "b.gif")
    moving, still = (read(tmp_path / name, modality="image").column("item_id") for name in ("a.gif", "b.gif"))
    assert moving == still


def test_every_flipped_bit_of_a_png_is_noticed(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.png"
    end = PNG.index(b"IEND") - 4
    for position in range(len(PNG)):
        damaged = bytearray(PNG)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        reading = read(path, modality="image")
        assert reading.reasons in (["image-does-not-decode"], ["image-too-large"], [] if position >= end else None)
        assert set(reading.column("item_id")) <= {image_id(Image.fromarray(NOISE))}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_truncated_images_are_rejects(tmp_path: Path, read: Read, kind: str) -> None:
    path = tmp_path / "a"
    Image.fromarray(NOISE).save(path, kind)
    content = path.read_bytes()
    for length in (0, 1, 20, len(content) // 2, len(content) - len(content) // 8):
        path.write_bytes(content[:length])
        assert read(path, modality="image").reasons == ["image-does-not-decode"]


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, read: Read) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    for side in (10_000, 60_000):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
        (tmp_path / "bomb.png").write_bytes(bomb)
        assert read(tmp_path / "bomb.png", modality="image").reasons == ["image-too-large"]


def _with_side(content: bytes, kind: str) -> bytes:
    """The same picture with a header that says 16,000 by 16,000 pixels, or about that."""
    damaged = bytearray(content)
    side = (16_000).to_bytes(2, "little")
    if kind == "GIF":
        damaged[6:10] = side + side
        at = content.index(b"\x2c\0\0\0\0") + 5
        damaged[at : at + 4] = side + side
    elif kind == "WEBP":
        at = content.index(b"VP8L") + 9
        damaged[at : at + 3] = b"\xff\xff\xff"
    else:
        at = content.index(b"\xff\xc0") + 5
        damaged[at : at + 4] = (side + side)[::-1]
    return bytes(damaged)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "JPEG"])
def test_bombs_of_every_kind_are_refused_by_their_header(tmp_path: Path, read: Read, kind: str) -> None:
    path = tmp_path / "bomb"
    Image.fromarray(NOISE).save(path, kind, **({"lossless": True} if kind == "WEBP" else {}))
    path.write_bytes(_with_side(path.read_bytes(), kind))
    reason = "decompression-bomb" if kind == "WEBP" else "image-too-large"  # three bytes of it say 16,384 by 1,024
    assert read(path, modality="image").reasons == [reason]


def test_the_limit_of_pixels_is_the_mappings(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    assert read(tmp_path / "a.png", modality="image", image_pixels=64).reasons == []
    assert read(tmp_path / "a.png", modality="image", image_pixels=63).reasons == ["image-too-large"]


@SAME_FOLDER
@given(content=st.binary() | st.binary().map(lambda tail: PNG[:40] + tail))
def test_any_bytes_in_an_image_folder_are_a_reject_or_a_record(tmp_path: Path, read: Read, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    reading = read(tmp_path / "a.png", modality="image")
    assert len(reading.records) + len(reading.rejects) == 1


def test_the_default_limits_are_documented() -> None:
    mapping = Mapping(source="s", modality="image")
    assert (mapping.batch_rows, mapping.image_pixels) == (1000, 64_000_000)
    assert mapping.batch_bytes == mapping.item_bytes == 16 * 2**20
