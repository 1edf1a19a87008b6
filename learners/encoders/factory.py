"""Making an encoder from its name in a project's settings."""

from __future__ import annotations

from collections.abc import Callable

from curate.errors import ConfigurationError, UnknownNameError
from curate.learners.encoders.hashed_text import HashedTextEncoder
from curate.learners.encoders.pixels import PixelEncoder
from curate.types import Encoder

_MAKERS: dict[str, tuple[str, Callable[[int], Encoder]]] = {
    "pixels": ("8", PixelEncoder),
    "hashed-ngrams": ("512", HashedTextEncoder),
}


def encoder_named(name: str) -> Encoder:
    """Return the encoder of this name, which is a kind, a colon and a whole number.

    Raises:
        UnknownNameError: no such kind.
        ConfigurationError: the number is missing or out of range.

    >>> encoder_named("pixels:8").dimension
    64
    """
    kind, _, number = name.partition(":")
    if kind not in _MAKERS:
        raise UnknownNameError("encoder", name, [f"{known}:{example}" for known, (example, _) in _MAKERS.items()])
    example, maker = _MAKERS[kind]
    if not (number.isascii() and number.isdigit()):
        raise ConfigurationError(f"the encoder {name!r} lacks its number", hint=f"write for example '{kind}:{example}'")
    return maker(int(number))
