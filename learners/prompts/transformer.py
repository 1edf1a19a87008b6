"""What a pool needs of a frozen transformer: tokens for its items, with prompts before them or in its attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch

from curate.learners.numerics import Features


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is put beside each item's own tokens.

    tokens (items, length, width) come before them at the input (prompt tuning). prefixes are, for each layer that has
    any, keys and values (items, 2, length, width) before those of the tokens in the layer's attention (prefix tuning):
    tokens attend to them, and no token is added.
    """

    tokens: torch.Tensor | None = None
    prefixes: Mapping[int, torch.Tensor] = field(default_factory=dict)


class PromptedTransformer(Protocol):
    """A transformer whose own weights never change.

    `identity` names it by a hash, `dimension` is how many numbers an item is given as, `width` the size of a token.
    """

    identity: str
    width: int
    layers: int

    @property
    def dimension(self) -> int:
        """How many numbers an item is given as."""
        ...

    def inputs(self, features: Features) -> torch.Tensor:
        """Return features (items, dimension) as what `tokens` takes."""
        ...

    def tokens(self, inputs: torch.Tensor, prompts: Prompts | None = None) -> torch.Tensor:
        """Return the last layer's normalised tokens, those of the prompts first: (items, length, width)."""
        ...


def by_layer(values: torch.Tensor, first: int = 0) -> dict[int, torch.Tensor]:
    """Cut prompts of shape (items, layers, 2, length, width) into prefixes for the layers from `first` on."""
    return {first + number: prefix for number, prefix in enumerate(values.unbind(dim=1))}
