"""Texts and images as a base model takes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import ConfigurationError
from curate.learners.adapters.packing import Tokens
from curate.learners.encoders.pictures import decoded
from curate.learners.numerics import Array

_PREPROCESSOR = "preprocessor_config.json"
_SIZE = 224
_HALF = (0.5, 0.5, 0.5)


class TextInput:
    """Texts to tokens; one of a causal model ends with the token that ends a text, and `length` cuts (0: nothing)."""

    def __init__(self, tokenizer: Any, *, ends: bool, length: int = 0) -> None:
        self._tokenizer = tokenizer
        self._end = tokenizer.eos_token_id if ends else None
        self._length = length
        self.cut = 0

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """Return each text's tokens, and count in `cut` those that were longer."""
        found = [self._ended(ids) for ids in self._tokenizer(list(texts), verbose=False)["input_ids"]] if texts else []
        if self._length:
            self.cut += sum(len(each) > self._length for each in found)
            found = [each[: self._length] for each in found]
        return found

    def _ended(self, ids: list[int]) -> Tokens:
        if self._end is not None and ids[-1:] != [self._end]:
            ids = [*ids, self._end]
        return np.asarray(ids, np.int32)


class ImageInput:
    """Images to float32 of (channels, height, width): squeezed to the base model's size, scaled as it wants them."""

    def __init__(self, place: Path, configuration: Any) -> None:
        """Read size and colours from the network's configuration, mean and deviation from what lies beside it.

        Raises:
            ConfigurationError: what lies beside it cannot be read.
        """
        wanted = _preprocessor(place)
        size: Any = getattr(configuration, "image_size", None) or wanted.get("size", _SIZE)
        self._height, self._width = _height_and_width(size)
        self._channels = int(getattr(configuration, "num_channels", 3))
        self._mean = _by_channel(wanted.get("image_mean", _HALF), self._channels)
        self._deviation = _by_channel(wanted.get("image_std", _HALF), self._channels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self._channels, self._height, self._width

    def __call__(self, item_id: str, image: bytes) -> Array:
        """Return an image's pixels.

        Raises:
            BadDataError: it does not decode; names the item.
        """
        from PIL.Image import Resampling

        seen = decoded(item_id, image).resize((self._width, self._height), Resampling.BILINEAR)
        pixels = np.asarray(seen.convert("L" if self._channels == 1 else "RGB"), np.float32) / 255
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        scaled: Array = ((planes - self._mean) / self._deviation).astype(np.float32)
        return scaled


def _preprocessor(place: Path) -> dict[str, Any]:
    file = place / _PREPROCESSOR
    if not file.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}", hint="put the base model's own there") from error
    return found


def _height_and_width(size: Any) -> tuple[int, int]:
    if isinstance(size, dict):
        either: Any = size.get("shortest_edge", _SIZE)
        height: Any = size.get("height", either)
        width: Any = size.get("width", either)
        return int(height), int(width)
    if isinstance(size, Sequence):
        return int(size[0]), int(size[-1])
    return int(size), int(size)


def _by_channel(values: Sequence[float], channels: int) -> Array:
    chosen = list(values)[:channels] if len(values) >= channels else [values[0]] * channels
    return np.asarray(chosen, np.float32)[:, None, None]
