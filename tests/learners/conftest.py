"""Handwritten digits, real and small, for the tests of learners."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from curate.learners.numerics import Features


@dataclass(frozen=True)
class Digits:
    """64 pixels in [0, 1] for each digit, cut into items to learn from and items held out."""

    features: Features
    labels: list[str]
    held_out: Features
    held_out_labels: list[str]

    def of(self, *names: str) -> tuple[Features, list[str]]:
        """Return the items to learn from that have one of these labels."""
        chosen = np.isin(self.labels, names)
        return self.features[chosen], [label for label in self.labels if label in names]

    def held_out_of(self, *names: str) -> tuple[Features, list[str]]:
        """Return the held-out items that have one of these labels."""
        chosen = np.isin(self.held_out_labels, names)
        return self.held_out[chosen], [label for label in self.held_out_labels if label in names]


@pytest.fixture(scope="session")
def digits() -> Digits:
    images, targets = load_digits(return_X_y=True)
    labels = [str(target) for target in targets]
    parts = train_test_split((images / 16).astype(np.float32), labels, test_size=0.3, stratify=labels, random_state=0)
    return Digits(parts[0], parts[2], parts[1], parts[3])
