"""What a trainer asks of the examples that it fits an adapter to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from curate.errors import BadDataError, ConfigurationError
from curate.learners.adapters.methods import Method
from curate.learners.adapters.tasks import Task
from curate.learners.numerics import Integers


@dataclass(frozen=True, slots=True)
class Batch:
    """One forward pass: what the network is called with, what it should say, and how many answers that is.

    documents: which of the caller's texts are in it, for whoever must find a broken one.
    """

    inputs: Mapping[str, Any]
    targets: torch.Tensor
    count: int
    documents: tuple[int, ...]


class Examples(Protocol):
    """Examples that can be asked for by row."""

    task: Task
    fingerprint: str

    def __len__(self) -> int:
        """Return the number of rows."""

    def check(self, network: Any, method: Method, virtual_tokens: int) -> None:
        """Refuse a network or a method that the examples cannot be given to."""

    def batch(self, rows: Integers, device: torch.device) -> Batch:
        """Return the batch of these rows."""

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the sum of the errors of all answers in a batch."""


def refuse_too_long(longest: int, network: Any, virtual_tokens: int) -> None:
    """Refuse examples that are longer than the network can read."""
    room = getattr(network.config, "max_position_embeddings", None)
    if room is not None and longest + virtual_tokens > room:
        raise ConfigurationError(
            f"an example of {longest} tokens, with {virtual_tokens} virtual ones, is longer than the network's {room}",
            hint=f"take blocks of at most {room - virtual_tokens} tokens",
        )


def refuse_unknown_tokens(largest: int, network: Any) -> None:
    """Refuse tokens of another vocabulary."""
    size = network.get_input_embeddings().num_embeddings
    if largest >= size:
        raise BadDataError(
            f"the examples have a token {largest}, and the network knows {size}",
            hint="tokenise the texts with the network's own tokenizer",
        )


def refuse_unknown_classes(classes: Integers, network: Any) -> None:
    """Refuse classes that the network has no answer for."""
    known = network.config.num_labels
    if classes.size and not 0 <= classes.min() <= classes.max() < known:
        raise BadDataError(f"the classes are not whole numbers from 0 to {known - 1}, which the network knows")
