"""Images in requests: a reference stands for one until it is sent, so that no journal and no table holds it again."""

from __future__ import annotations

import io
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

IMAGE_TOKENS = 1_500
"""More than models take for an image of 768 pixels a side; those of other sides in proportion to their area."""
USUAL_SIDE = 768
_AS_THEY_ARE = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_REFERENCE = re.compile(r"sha256:([0-9a-f]{64})@([0-9]+)")
_ORIENTATION = 0x0112


def picture_part(image: bytes, side: int) -> dict[str, Any]:
    """Return the part of a message that shows an image, at most `side` pixels wide and high, by its reference."""
    return {"type": "image_url", "image_url": {"url": f"sha256:{sha256(image).hexdigest()}@{side}"}}


def picture_tokens(messages: str) -> int:
    """Estimate the tokens of the images in messages, written as JSON, too high rather than too low."""
    sides = [int(side) for _, side in _REFERENCE.findall(messages)]
    return sum(-(-IMAGE_TOKENS * side * side // USUAL_SIDE**2) for side in sides)


def with_picture(payload: Mapping[str, Any], image: bytes) -> Mapping[str, Any]:
    """Return a request as it is sent, with the image in the place of its reference.

    Raises:
        OSError, ValueError: the image does not decode, or is larger than Pillow opens.
    """
    return {**payload, "messages": [_shown(message, image) for message in payload["messages"]]}


def _shown(message: Mapping[str, Any], image: bytes) -> Mapping[str, Any]:
    parts = message["content"]
    if isinstance(parts, str):
        return message
    return {**message, "content": [_shown_part(part, image) for part in parts]}


def _shown_part(part: Mapping[str, Any], image: bytes) -> Mapping[str, Any]:
    found = _REFERENCE.fullmatch(part["image_url"]["url"])
    assert found is not None
    kind, content = sized(image, int(found[2]))
    return {**part, "image_url": {"url": f"data:{kind};base64,{b64encode(content).decode()}"}}


def sized(image: bytes, side: int) -> tuple[str, bytes]:
    """Return an image's media type and bytes, as it is where it is small and upright, else scaled down, as JPEG.

    Transparency is laid over white, and of moving images the first is taken.

    Raises:
        OSError, ValueError: it does not decode, or is larger than Pillow opens.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(image)) as opened:
            kind = _AS_THEY_ARE.get(opened.format or "")
            if kind and max(opened.size) <= side and opened.getexif().get(_ORIENTATION, 1) == 1:
                opened.load()
                return kind, image
            upright = ImageOps.exif_transpose(opened).convert("RGBA")
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    upright.thumbnail((side, side), Image.Resampling.LANCZOS)
    flat = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    written = io.BytesIO()
    flat.save(written, "JPEG", quality=90)
    return "image/jpeg", written.getvalue()
