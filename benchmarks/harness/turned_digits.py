"""Handwritten digits upright and turned, splits of several seeds side by side, and a small network that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

HELD_OUT, KEPT_ASIDE = 0.3, 0.2
PIXELS, HIDDEN, CLASSES = 64, 128, 10


@dataclass(frozen=True)
class Digits:
    """The 1,797 digits of scikit-learn as rows of 64 pixels in [0, 1], as they are and turned by a quarter."""

    upright: torch.Tensor
    turned: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Splits:
    """Row numbers for each seed (seeds, rows): what is learned, of it fitted and kept aside, and what is held out."""

    learned: torch.Tensor
    fitted: torch.Tensor
    kept_aside: torch.Tensor
    held_out: torch.Tensor


class DigitNetwork(nn.Module):
    """Two hidden layers of 128 and a head: 26,122 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(PIXELS, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.second(torch.relu(self.first(pixels))))
        logits: torch.Tensor = self.head(hidden)
        return logits


def digit_network(seed: int) -> DigitNetwork:
    """Draw a network with this seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DigitNetwork().eval()


def turned_digits() -> Digits:
    """Read the digits."""
    from sklearn.datasets import load_digits

    read = load_digits()
    images = (read.images / 16).astype(np.float32)
    turned = np.rot90(images, axes=(1, 2)).reshape(-1, PIXELS).copy()
    return Digits(torch.from_numpy(images.reshape(-1, PIXELS)), torch.from_numpy(turned), torch.from_numpy(read.target))


def splits(seeds: Sequence[int]) -> Splits:
    """Draw a split for each seed, every class in the same share."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    labels = load_digits().target
    found = []
    for seed in seeds:
        rows = np.arange(len(labels))
        learned, held_out = train_test_split(rows, test_size=HELD_OUT, stratify=labels, random_state=seed)
        fitted, kept = train_test_split(learned, test_size=KEPT_ASIDE, stratify=labels[learned], random_state=seed)
        found.append((learned, fitted, kept, held_out))
    return Splits(*(torch.from_numpy(np.stack(part)) for part in zip(*found, strict=True)))
