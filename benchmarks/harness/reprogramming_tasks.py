"""Six small tasks of images for channel reprogramming, and the network that is taught on the spot for them.

Five classes of CIFAR-10 (0 to 4) teach the network. The tasks are made of the other five, of those again with their
blocks in another order, and of handwritten digits: images of 32 by 32 pixels in three colours, whose kind can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness.cifar import HELD_OUT, IMAGES, cached_file, found_images
from curate.errors import BadDataError
from curate.learners.reprogramming.backbones import frozen_residual_network, taught_residual_network
from curate.learners.reprogramming.backbones import residual_network as untaught_network
from curate.learners.reprogramming.network import FrozenNetwork

SIDE = 32
PASSES = 15
Pixels = NDArray[np.float32]
Labels = NDArray[np.str_]


@dataclass(frozen=True)
class Pictures:
    """Pixels in [0, 1], float32 of shape (images, 3, 32, 32), and their labels."""

    pixels: Pixels
    labels: Labels

    def some(self, places: NDArray[np.int64]) -> Pictures:
        """Return those at these places."""
        return Pictures(self.pixels[places], self.labels[places])

    def of(self, classes: str) -> Pictures:
        """Return those whose label is one of these letters."""
        return self.some(np.flatnonzero(np.isin(self.labels, list(classes))))

    def flat(self) -> Pixels:
        """Return float32 of shape (images, 3072)."""
        return self.pixels.reshape(len(self.pixels), -1)


@dataclass(frozen=True)
class TaskData:
    """Images to learn from and images held out, of one task."""

    learned: Pictures
    held_out: Pictures


def photographs(name: Path) -> Pictures:
    """Return CIFAR-10's images of a file beside the checkout.

    Raises:
        BadDataError: the file is not there.
    """
    import pyarrow.parquet as parquet
    from PIL import Image

    file = found_images(name)
    if not file.is_file():
        raise BadDataError(f"the images are missing: there is no {file.name} in ../shared/data, beside the checkout")
    table = parquet.read_table(file, columns=["image", "label"]).to_pylist()
    pixels = np.stack([np.asarray(Image.open(BytesIO(row["image"]["bytes"])).convert("RGB")) for row in table])
    labels = np.array([str(row["label"]) for row in table])
    return Pictures((pixels.transpose(0, 3, 1, 2) / 255).astype(np.float32), labels)


def digits() -> Pictures:
    """Return scikit-learn's 1,797 handwritten digits, white on black, brought to 32 by 32 pixels."""
    from PIL import Image
    from sklearn.datasets import load_digits

    images, labels = load_digits().images, load_digits().target
    large = [np.asarray(Image.fromarray((one / 16).astype(np.float32)).resize((SIDE, SIDE), 2)) for one in images]
    grey = np.clip(np.stack(large), 0, 1)
    return Pictures(np.repeat(grey[:, None], 3, axis=1), np.array([str(label) for label in labels]))


def inverted(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Return the negatives."""
    return 1 - pixels


def in_other_blocks(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Return images whose 16 blocks of 8 by 8 pixels are in one other order."""
    order = generator.permutation(16)
    blocks = pixels.reshape(-1, 3, 4, 8, 4, 8).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 16, 3, 8, 8)[:, order]
    return np.ascontiguousarray(blocks.reshape(-1, 4, 4, 3, 8, 8).transpose(0, 3, 1, 4, 2, 5).reshape(pixels.shape))


def grey_negatives(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Return the negatives without colour."""
    return np.repeat(1 - pixels.mean(axis=1, keepdims=True), 3, axis=1)


def striped_and_turned(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Return images turned by a quarter, under coloured stripes."""
    stripes = np.zeros((3, SIDE, SIDE), np.float32)
    stripes[:2, :, ::4] = 0.5
    return np.maximum(np.rot90(pixels, axes=(2, 3)), stripes).astype(np.float32)


Change = Callable[[Pixels, np.random.Generator], Pixels]
TASKS: Mapping[str, tuple[str, Change]] = {
    "photographs": ("photographs", lambda pixels, generator: pixels),
    "photographs, grey negatives": ("photographs", grey_negatives),
    "photographs, other blocks": ("photographs", in_other_blocks),
    "digits": ("digits", lambda pixels, generator: pixels),
    "digits, inverted": ("digits", inverted),
    "digits, turned under stripes": ("digits", striped_and_turned),
}


def task_data(seed: int, learned: int, held_out: int) -> dict[str, TaskData]:
    """Draw each task's images to learn from and those held out; photographs are held out from a file of their own."""
    there, elsewhere = photographs(IMAGES).of("56789"), photographs(HELD_OUT).of("56789")
    written = digits()
    found = {}
    for number, (name, (source, change)) in enumerate(TASKS.items()):
        generator, task = np.random.default_rng([seed, number]), np.random.default_rng(number)
        if source == "photographs":
            first, second = _drawn(there, learned, generator), _drawn(elsewhere, held_out, generator)
        else:
            both = written.some(generator.permutation(len(written.labels)))
            first, second = both.some(np.arange(learned)), both.some(np.arange(learned, learned + held_out))
        whole = change(np.concatenate([first.pixels, second.pixels]), task)
        labels = [np.array([f"{name}/{label}" for label in part.labels]) for part in (first, second)]
        found[name] = TaskData(Pictures(whole[:learned], labels[0]), Pictures(whole[learned:], labels[1]))
    return found


def _drawn(pictures: Pictures, count: int, generator: np.random.Generator) -> Pictures:
    return pictures.some(generator.permutation(len(pictures.labels))[:count])


def residual_network() -> FrozenNetwork:
    """Return the frozen residual network, taught once and then read from `CURATE_BENCHMARK_CACHE`."""
    cache = cached_file("residual-network.pt")
    if not cache.is_file():
        images = photographs(IMAGES).of("01234")
        taught = taught_residual_network(images.flat(), images.labels.tolist(), side=SIDE, passes=PASSES)
        torch.save(taught.state_dict(), cache)
    module = untaught_network(5)
    module.load_state_dict(torch.load(cache, weights_only=True))
    return frozen_residual_network(module, SIDE)
