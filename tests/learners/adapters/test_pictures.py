"""Adapters are fitted to image classifiers, too."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from curate.errors import BadDataError, ConfigurationError
from curate.learners.adapters.export import export_adapter
from curate.learners.adapters.methods import METHODS
from curate.learners.adapters.parameters import FitParameters
from curate.learners.adapters.pictures import LabelledImages
from curate.learners.adapters.tasks import Task
from curate.learners.adapters.trainer import AdapterTrainer, mean_loss
from curate.learners.numerics import Array

USUAL = {"lora", "adalora", "oft", "ln-tuning"}  # one of each kind; the others are slow
FITTING = [name for name, method in METHODS.items() if not method.virtual and name != "ia3"]


@pytest.fixture(scope="module")
def images() -> tuple[Array, list[int]]:
    pixels, classes = load_digits(return_X_y=True)
    return (pixels[:200].reshape(-1, 1, 8, 8) / 8 - 1).astype(np.float32), [int(each) for each in classes[:200]]


@pytest.fixture(scope="module")
def taught(make_image_classifier: Callable[..., Any], images: tuple[Array, list[int]]) -> Any:
    """A vision transformer that has learned the images as they stand."""
    network, examples = make_image_classifier(), LabelledImages(*images)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    for step in range(60):
        batch = examples.batch(np.arange(50) + 50 * (step % 4), torch.device("cpu"))
        optimiser.zero_grad()
        (examples.loss(network, batch) / 50).backward()
        optimiser.step()
    return network


@pytest.mark.parametrize(
    "name", [name if name in USUAL else pytest.param(name, marks=pytest.mark.slow) for name in FITTING]
)
def test_a_method_turns_a_vision_transformer_to_turned_images(
    name: str, taught: Any, images: tuple[Array, list[int]], tmp_path: Path
) -> None:
    from peft import PeftModel

    turned = np.ascontiguousarray(np.rot90(images[0], axes=(2, 3)))
    network, examples = deepcopy(taught), LabelledImages(turned, images[1])
    assert examples.task is Task.IMAGES
    some = torch.from_numpy(turned[:5])
    before, start = said(network, some), mean_loss(network, examples, batch_size=50)
    parameters = FitParameters(passes=4, batch_size=20)
    fitted = AdapterTrainer(network, name, examples, parameters).fit(tmp_path / "fit")
    assert mean_loss(fitted.model, examples, batch_size=50) < 0.85 * start
    head = [tensor for key, tensor in fitted.model.named_parameters() if "classifier" in key and tensor.requires_grad]
    assert [tuple(tensor.shape) for tensor in head] == [(10, 32), (10,)]
    with fitted.model.disable_adapter():
        assert torch.equal(said(fitted.model, some), before)
    again = PeftModel.from_pretrained(deepcopy(taught), str(export_adapter(fitted, tmp_path / "adapter")))
    assert torch.allclose(said(again.eval(), some), said(fitted.model, some), atol=1e-5)


def said(network: Any, pixels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = network(pixel_values=pixels).logits
    return found


def test_images_that_do_not_fit_are_refused(
    make_image_classifier: Callable[..., Any], images: tuple[Array, list[int]]
) -> None:
    network, lora = make_image_classifier(), METHODS["lora"]
    pixels, classes = images
    with pytest.raises(BadDataError, match="float32 of four dimensions"):
        LabelledImages(pixels[:, 0], classes)
    with pytest.raises(BadDataError, match="200 images and 199 classes"):
        LabelledImages(pixels, classes[1:])
    broken = pixels.copy()
    broken[7, 0, 3, 3] = np.nan
    with pytest.raises(BadDataError, match="image 7"):
        LabelledImages(broken, classes)
    with pytest.raises(BadDataError, match="from 0 to 9"):
        LabelledImages(pixels[:1], [10]).check(network, lora, 0)
    with pytest.raises(BadDataError, match="image_size 6, and the network takes 8"):
        LabelledImages(pixels[..., :6, :6], classes).check(network, lora, 0)


def test_what_a_method_cannot_do_to_images_is_refused(
    make_image_classifier: Callable[..., Any], images: tuple[Array, list[int]]
) -> None:
    examples = LabelledImages(*images)
    with pytest.raises(ConfigurationError, match="cannot be fitted to a classifier"):
        AdapterTrainer(make_image_classifier(), "prefix", examples)
    with pytest.raises(ConfigurationError, match="'ia3' does not fit this network"):
        AdapterTrainer(make_image_classifier(), "ia3", examples)
