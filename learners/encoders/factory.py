"""Making an encoder from its name in a project's settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from curate.errors import ConfigurationError, UnknownNameError
from curate.learners.encoders.hashed_text import HashedTextEncoder
from curate.learners.encoders.pixels import PixelEncoder
from curate.types import Encoder

_Maker = Callable[[str, Path], Encoder]


def _numbered(example: str, maker: Callable[[int], Encoder]) -> _Maker:
    """Return a maker of what is named by a kind, a colon and a whole number."""

    def make(number: str, project: Path) -> Encoder:
        if not (number.isascii() and number.isdigit()):
            kind = example.partition(":")[0]
            raise ConfigurationError(f"the encoder {kind!r} lacks its number", hint=f"write for example {example!r}")
        return maker(int(number))

    return make


def _lite0(number: str, project: Path) -> Encoder:
    from curate.learners.encoders.timm_models import EfficientNetLite0

    return _numbered("efficientnet-lite0:224", EfficientNetLite0)(number or "224", project)


def _timm(name: str, project: Path) -> Encoder:
    from curate.learners.encoders.timm_models import TimmEncoder

    model, at, file = name.partition("@")
    return TimmEncoder(model, project / file if at else None)


def _minilm(rest: str, project: Path) -> Encoder:
    from curate.learners.encoders.minilm import MiniLMEncoder

    if rest:
        raise ConfigurationError(f"the encoder 'minilm' takes nothing behind a colon, and not {rest!r}")
    return MiniLMEncoder()


def _clip_image(where: str, project: Path) -> Encoder:
    from curate.learners.encoders.clip import ClipImageEncoder, ClipSource

    return ClipImageEncoder(ClipSource.parse(where, project))


def _clip_text(where: str, project: Path) -> Encoder:
    from curate.learners.encoders.clip import ClipSource, ClipTextEncoder

    return ClipTextEncoder(ClipSource.parse(where, project))


def _arrays(file: str, project: Path) -> Encoder:
    from curate.learners.encoders.arrays import ArrayEncoder

    return ArrayEncoder.from_parquet(project / file)


_MAKERS: dict[str, tuple[str, _Maker]] = {
    "pixels": ("pixels:8", _numbered("pixels:8", PixelEncoder)),
    "hashed-ngrams": ("hashed-ngrams:512", _numbered("hashed-ngrams:512", HashedTextEncoder)),
    "efficientnet-lite0": ("efficientnet-lite0", _lite0),
    "timm": ("timm:resnet18.a1_in1k", _timm),
    "minilm": ("minilm", _minilm),
    "clip-image": ("clip-image:ViT-B-32/openai", _clip_image),
    "clip-text": ("clip-text:ViT-B-32/openai", _clip_text),
    "arrays": ("arrays:features.parquet", _arrays),
}


def encoder_named(name: str, project: Path = Path()) -> Encoder:
    """Return the encoder of this name: a kind, and behind a colon what the kind needs.

    Files and folders are relative to the project's folder. Weights are hashed and not loaded before an item is encoded,
    so this imports no torch, except where weights are fetched by name.

    Raises:
        UnknownNameError: no such kind.
        ConfigurationError: what the kind needs is missing, out of range or not to be had.
        MissingExtraError: the kind needs packages of the extra `encoders`.

    >>> encoder_named("pixels:8").dimension
    64
    """
    kind, _, rest = name.partition(":")
    if kind not in _MAKERS:
        raise UnknownNameError("encoder", name, [example for example, _ in _MAKERS.values()])
    return _MAKERS[kind][1](rest, project)
