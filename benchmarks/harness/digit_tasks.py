"""Tasks made of handwritten digits: each an image changed in one way, and maybe labels in another order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.harness.turned_digits import CLASSES, PIXELS, Splits, splits

FEW, TAUGHT = 5, 480
Images = np.ndarray[Any, np.dtype[np.float32]]
Change = Callable[[Images], Images]


def _turned(images: Images) -> Images:
    return np.rot90(images, axes=(1, 2))


def _mirrored(images: Images) -> Images:
    return images[:, :, ::-1]


def _negative(images: Images) -> Images:
    return 1 - images


def _shifted(images: Images) -> Images:
    return np.roll(images, 2, axis=2)


def _shuffled(images: Images) -> Images:
    order = np.random.default_rng(0).permutation(PIXELS)
    return images.reshape(-1, PIXELS)[:, order].reshape(images.shape)


SOURCE: Mapping[str, tuple[tuple[Change, ...], bool]] = {
    "turned": ((_turned,), False),
    "half turned": ((_turned, _turned), False),
    "mirrored": ((_mirrored,), False),
    "negative": ((_negative,), False),
    "shifted": ((_shifted,), False),
    "other labels": ((), True),
    "negative, turned": ((_negative, _turned), False),
    "mirrored, other labels": ((_mirrored,), True),
}
NEW: Mapping[str, tuple[tuple[Change, ...], bool]] = {
    "turned, other labels": ((_turned,), True),
    "negative, mirrored": ((_negative, _mirrored), False),
    "negative, half turned": ((_negative, _turned, _turned), False),
    "shifted, mirrored": ((_shifted, _mirrored), False),
    "turned thrice": ((_turned, _turned, _turned), False),
    "pixels shuffled": ((_shuffled,), False),
}
"""What is done to the images, in turn, and whether each label is the one after it."""
Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class TaskImages:
    """Pixels and labels by seed: upright; of source tasks (seeds, images, tasks, …); of new ones (seeds, tasks, …)."""

    upright: torch.Tensor
    labels: torch.Tensor
    source: Pair
    source_kept: Pair
    source_held_out: Pair
    new: Pair
    new_kept: Pair
    new_held_out: Pair


def task_images(seeds: Sequence[int]) -> TaskImages:
    """Draw the images of each task for each seed; those of the few examples of new tasks are of no source task."""
    from sklearn.datasets import load_digits

    read = load_digits()
    images, labels, parts = (read.images / 16).astype(np.float32), read.target, splits(seeds)
    source, new = (_made(images, labels, kinds) for kinds in (SOURCE, NEW))
    taught, few = parts.fitted[:, :TAUGHT], _few(parts, labels)
    return TaskImages(
        upright=torch.from_numpy(images.reshape(-1, PIXELS))[parts.learned],
        labels=torch.from_numpy(labels)[parts.learned],
        source=_grouped(source, taught),
        source_kept=_grouped(source, parts.kept_aside),
        source_held_out=_grouped(source, parts.held_out),
        new=_apart(new, few),
        new_kept=_apart(new, parts.kept_aside),
        new_held_out=_apart(new, parts.held_out),
    )


def _made(images: Images, labels: Any, kinds: Mapping[str, tuple[tuple[Change, ...], bool]]) -> Pair:
    """Return all images as each task has them (images, tasks, pixels), and their labels."""
    pixels, wanted = [], []
    for changes, others in kinds.values():
        found = images
        for change in changes:
            found = change(found)
        pixels.append(found.reshape(-1, PIXELS))
        wanted.append((labels + 1) % CLASSES if others else labels)
    return torch.from_numpy(np.stack(pixels, axis=1)), torch.from_numpy(np.stack(wanted, axis=1))


def _few(parts: Splits, labels: Any) -> torch.Tensor:
    """As many of each class, from the images that no source task has."""
    found = []
    for rows in parts.fitted[:, TAUGHT:].numpy():
        found.append(np.concatenate([rows[labels[rows] == digit][:FEW] for digit in range(CLASSES)]))
    return torch.from_numpy(np.stack(found))


def _grouped(made: Pair, rows: torch.Tensor) -> Pair:
    return made[0][rows], made[1][rows]


def _apart(made: Pair, rows: torch.Tensor) -> Pair:
    return made[0][rows].transpose(1, 2).contiguous(), made[1][rows].transpose(1, 2).contiguous()


SEQUENCE: Mapping[str, Change] = {
    "turned": _turned,
    "half turned": lambda images: _turned(_turned(images)),
    "mirrored": _mirrored,
    "shifted": _shifted,
    "negative": _negative,
}
"""Tasks that come one after the other; their labels stay the same."""


@dataclass(frozen=True)
class Sequenced:
    """Pixels and labels of one seed: upright, and of each task in the seed's order."""

    upright: Pair
    upright_held_out: Pair
    learned: Sequence[Pair]
    kept: Sequence[Pair]
    held_out: Sequence[Pair]


def sequences(seed: int) -> Sequenced:
    """Draw the tasks' order and the images of each; all tasks have the same images held out."""
    from sklearn.datasets import load_digits

    read = load_digits()
    images, labels, parts = (read.images / 16).astype(np.float32), torch.from_numpy(read.target), splits([seed])
    learned, fitted, kept, held_out = (
        part[0] for part in (parts.learned, parts.fitted, parts.kept_aside, parts.held_out)
    )
    draw = np.random.default_rng(seed)
    order = [list(SEQUENCE.values())[place] for place in draw.permutation(len(SEQUENCE))]
    as_task = [torch.from_numpy(change(images).reshape(-1, PIXELS).copy()) for change in order]
    some = [fitted[torch.from_numpy(draw.permutation(len(fitted))[:TAUGHT])] for _ in order]
    upright = torch.from_numpy(images.reshape(-1, PIXELS))
    return Sequenced(
        upright=(upright[learned], labels[learned]),
        upright_held_out=(upright[held_out], labels[held_out]),
        learned=[(pixels[rows], labels[rows]) for pixels, rows in zip(as_task, some, strict=True)],
        kept=[(pixels[kept], labels[kept]) for pixels in as_task],
        held_out=[(pixels[held_out], labels[held_out]) for pixels in as_task],
    )
