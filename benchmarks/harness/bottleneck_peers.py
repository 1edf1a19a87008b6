"""What the bottleneck's speed is compared with: the registry's package, and the specification written plainly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADS, PAIRS, WIDTH, CLASSES, DIMENSION = 256, 4096, 14, 10, 1280
BATCH, RATE, SMOOTHING = 256, 0.3, 0.1


class Straightforward:
    """The specification as one would write it with torch: nearest key by `cdist`, dense values and descent."""

    def __init__(self, seed: int) -> None:
        import torch

        generator = torch.Generator().manual_seed(seed)
        projections = torch.randn(HEADS, DIMENSION, WIDTH, generator=generator)
        self._projections = projections / projections.norm(dim=1, keepdim=True)
        self._keys = torch.randn(HEADS, PAIRS, WIDTH, generator=generator)
        self._values = torch.zeros(HEADS, PAIRS, CLASSES, requires_grad=True)
        self._optimizer = torch.optim.SGD([self._values], lr=RATE)

    def codes(self, features: NDArray[np.float32]) -> Any:
        """Return the nearest key of each head: (items, heads)."""
        import torch

        projected = torch.einsum("bd,cdk->cbk", torch.from_numpy(features), self._projections)
        return torch.cdist(projected, self._keys).argmin(dim=2).T

    def step(self, codes: Any, targets: NDArray[np.int64]) -> None:
        """Take one step of descent."""
        import torch

        fetched = self._values[torch.arange(HEADS), codes]
        loss = torch.nn.functional.cross_entropy(
            fetched.mean(dim=1), torch.from_numpy(targets), label_smoothing=SMOOTHING
        )
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([self._values], 1.0)
        self._optimizer.step()


class Package:
    """`discrete-key-value-bottleneck-pytorch` with its keys at rest; it has no way to learn from codes.

    It copies the value table for each item of a batch, so batches must be small: 16 items take 1.3 GB.
    """

    def __init__(self, seed: int) -> None:
        import torch
        from discrete_key_value_bottleneck_pytorch import DiscreteKeyValueBottleneck

        torch.manual_seed(seed)
        self._model: Any = DiscreteKeyValueBottleneck(
            WIDTH,
            num_memories=PAIRS,
            dim_embed=DIMENSION,
            num_memory_codebooks=HEADS,
            dim_memory=CLASSES,
            codebook_dim=WIDTH,  # its default projects into 256 times as many dimensions, 13 GB of weights
        )
        self._model.vq.eval()
        self._optimizer = torch.optim.SGD([self._model.values], lr=RATE)

    def step(self, features: NDArray[np.float32], targets: NDArray[np.int64]) -> None:
        """Take one step of descent from features."""
        import torch

        logits = self._model(torch.from_numpy(features)[:, None])[:, 0]
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets), label_smoothing=SMOOTHING)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
