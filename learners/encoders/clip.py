"""open_clip's two towers as encoders: images and texts in one space, from a local checkpoint or by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from curate.errors import ConfigurationError
from curate.learners.encoders.network import Network, NetworkEncoder
from curate.learners.encoders.pictures import Geometry, PictureEncoder, forward_pictures
from curate.learners.encoders.weights import device, hash_of_files, needing_encoders
from curate.learners.numerics import Array
from curate.types import Modality

CONFIGURATION = "open_clip_config.json"
_PARTS = ("open_clip*.safetensors", "open_clip*.bin", "*.pt", "*.pth", "tokenizer*.json", "vocab*")


@dataclass(frozen=True, slots=True)
class ClipSource:
    """Where a model is: a `folder` with a local checkpoint, or a `model` with `weights` that open_clip knows by name.

    `digest` is the hash of the weights (and of the configuration beside them, or what open_clip calls the model).
    """

    folder: Path | None
    model: str
    weights: str
    digest: str

    @classmethod
    def parse(cls, where: str, project: Path) -> ClipSource:
        """Read "models/clip", a folder (relative to the project's) with open_clip_config.json, or "ViT-B-32/openai".

        Named weights are fetched to be hashed, unless they were fetched before.

        Raises:
            ConfigurationError: neither of the two, or weights that cannot be had.
            MissingExtraError: open_clip is not installed.
        """
        folder = project / where
        if where and (folder / CONFIGURATION).is_file():
            found = sorted(path for pattern in _PARTS for path in folder.glob(pattern))
            return cls(folder, "", "", hash_of_files(folder / CONFIGURATION, *found))
        model, _, weights = where.partition("/")
        return cls(None, model, weights, f"{model}.{hash_of_files(_fetched(model, weights, where))}")

    @property
    def name(self) -> str:
        """What open_clip finds the model by."""
        return f"local-dir:{self.folder}" if self.folder else self.model


class ClipImageEncoder(PictureEncoder):
    """The image tower: features of length 1, comparable with those of the same model's text tower."""

    def __init__(self, source: ClipSource) -> None:
        self._source = source
        self.version = f"clip-image/1+{source.digest}"

    def network(self) -> Network:
        """Return the tower, loaded once in a process."""
        return _towers(self._source).images


class ClipTextEncoder(NetworkEncoder):
    """The text tower: features of length 1; what lies behind the model's context (mostly 77 tokens) does not show."""

    modalities: tuple[Modality, ...] = ("text",)

    def __init__(self, source: ClipSource) -> None:
        self._source = source
        self.version = f"clip-text/1+{source.digest}"

    def network(self) -> Network:
        """Return the tower, loaded once in a process."""
        return _towers(self._source).texts

    def prepare(self, network: Network, values: Sequence[tuple[str, Any]]) -> Array:
        """Return token numbers of shape (items, context)."""
        tokens: Array = network.extra([text for _, text in values]).numpy()
        return tokens


def similarity_scale(source: ClipSource) -> float:
    """Return what the model multiplies cosines with before they become probabilities."""
    return _towers(source).scale


def tokenizer_of(source: ClipSource) -> Any:
    """Return open_clip's tokenizer for the model's texts."""
    return _towers(source).texts.extra


@dataclass(frozen=True, slots=True)
class _Towers:
    images: Network
    texts: Network
    scale: float


def _fetched(model: str, weights: str, where: str) -> Path:
    with needing_encoders("clip"):
        from open_clip.pretrained import download_pretrained, get_pretrained_cfg
    known = get_pretrained_cfg(model, weights)
    if not known:
        raise ConfigurationError(
            f"{where!r} is no folder with {CONFIGURATION}, and open_clip knows no weights of that name",
            hint="write a folder, or MODEL/WEIGHTS such as 'ViT-B-32/openai'",
        )
    try:
        return Path(download_pretrained(known))
    except Exception as error:  # whatever the hub's client makes of a missing network
        raise ConfigurationError(
            f"the weights of {where!r} cannot be fetched: {error}", hint="save the model in a folder and name that"
        ) from error


@lru_cache(maxsize=1)
def _towers(source: ClipSource) -> _Towers:
    with needing_encoders("clip"):
        import open_clip
        import torch
    name, where = source.name, device()
    try:
        module, transform = open_clip.create_model_from_pretrained(name, source.weights or None, device=where)
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # whatever open_clip makes of a configuration or of weights that do not fit
        raise ConfigurationError(f"open_clip cannot load {name!r}: {error}") from error
    module.eval()
    geometry = Geometry.of(transform)
    images = forward_pictures(lambda pixels: module.encode_image(pixels, normalize=True), geometry, where)

    def texts(tokens: Array) -> Array:
        with torch.inference_mode():
            found: Array = module.encode_text(torch.from_numpy(tokens).to(where), normalize=True).float().cpu().numpy()
        return found

    dimension = texts(tokenizer(["a"]).numpy()).shape[1]
    scale = float(module.logit_scale.detach().exp())
    return _Towers(
        Network(images, dimension, where, geometry, module), Network(texts, dimension, where, tokenizer, module), scale
    )
