"""The network that a project's learner turns is that of its encoder, and is given what the encoder gives it."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curate.errors import BadDataError, ConfigurationError
from curate.learners.encoders.hashed_text import HashedTextEncoder
from curate.learners.encoders.timm_models import EfficientNetLite0, TimmEncoder
from curate.learners.reprogramming.pictures import Pictures
from curate.learners.reprogramming.tasks import features_of
from curate.types import Encoder


def pictures(count: int) -> pa.Table:
    """Noise in colour, wider than high."""
    generator = np.random.default_rng(0)
    content = []
    for _ in range(count):
        stream = io.BytesIO()
        Image.fromarray(generator.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(stream, "PNG")
        content.append(stream.getvalue())
    return pa.table({"item_id": [str(number) for number in range(count)], "image": pa.array(content, pa.binary())})


def timm_encoder(name: str, folder: Path) -> TimmEncoder:
    """One of timm's smallest networks, with random weights."""
    import timm
    from safetensors.torch import save_file

    file = folder / "weights.safetensors"
    save_file(timm.create_model(name, num_classes=7).state_dict(), file)
    return TimmEncoder(name, file)


@pytest.mark.parametrize("kind", ["efficientnet-lite0", "timm"])
def test_untaught_it_says_what_the_encoder_says(kind: str, tmp_path: Path) -> None:
    encoder: Encoder = EfficientNetLite0(32) if kind != "timm" else timm_encoder("test_resnet", tmp_path)
    seen = Pictures(encoder)
    pixels = seen.encode(pictures(3))
    assert pixels.dtype == np.float32
    assert pixels.shape == (3, seen.dimension)
    assert 0 <= pixels.min() < 0.1 < 0.9 < pixels.max() <= 1
    said = features_of(seen.network, seen.network.at_start(), pixels)
    assert np.allclose(said, encoder.encode(pictures(3)), rtol=1e-3, atol=1e-4)
    assert seen.encode(pictures(0)).shape == (0, seen.dimension)
    assert seen.version != encoder.version


def test_encoders_of_one_version_have_one_network() -> None:
    assert Pictures(EfficientNetLite0(32)).network is Pictures(EfficientNetLite0(32)).network
    assert Pictures(EfficientNetLite0(32)).network is not Pictures(EfficientNetLite0(40)).network


def test_an_encoder_without_such_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="network of an encoder of images"):
        Pictures(HashedTextEncoder(64))
    with pytest.raises(ConfigurationError, match="convolutions with batch normalisation"):
        _ = Pictures(timm_encoder("test_vit", tmp_path)).network


def test_what_does_not_decode_is_named() -> None:
    broken = pa.table({"item_id": ["odd"], "image": pa.array([b"no picture"], pa.binary())})
    with pytest.raises(BadDataError, match="odd"):
        Pictures(EfficientNetLite0(32)).encode(broken)
