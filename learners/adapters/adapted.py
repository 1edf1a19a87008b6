"""A frozen network with an adapter: which tensors are the adapter's, and which network it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from curate.errors import ConfigurationError
from curate.learners.adapters.configurations import configuration
from curate.learners.adapters.extra import needing_peft
from curate.learners.adapters.methods import Method
from curate.learners.adapters.tasks import Task
from curate.learners.encoders.weights import hash_of_state


class Adapted:
    """`peft` puts the adapter into the network itself; the network's own tensors stay what they are, bit for bit.

    base: a hash of them, which every checkpoint carries.
    tensors: all that the adapter adds, drawn once and frozen or trained; trained: the part that is trained.
    """

    def __init__(
        self,
        network: nn.Module,
        method: Method,
        task: Task,
        *,
        steps: int,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a new adapter into a network, drawn with this seed alone.

        Raises:
            MissingExtraError: the packages of the extra `peft` are not installed.
            ConfigurationError: the method or its options do not fit the network.
        """
        with needing_peft(f"the method {method.name!r}"):
            from peft import get_peft_model
        chosen = configuration(method, network, task, steps=steps, seed=seed, options=options)
        self.method = method
        self.base = hash_of_state(network.state_dict())
        self.device = next(network.parameters()).device
        theirs = {id(tensor) for tensor in _tensors_of(network).values()}
        try:
            with self.drawing(seed):
                self.model: Any = get_peft_model(network, chosen)
        except (TypeError, ValueError, NotImplementedError) as error:
            raise ConfigurationError(
                f"the method {method.name!r} does not fit this network: {error}",
                hint="take another method, or other options; load the network anew, for it may be changed in part",
            ) from error
        self.tensors = {name: tensor for name, tensor in _tensors_of(self.model).items() if id(tensor) not in theirs}
        self.trained = {name: tensor for name, tensor in self.tensors.items() if tensor.requires_grad}

    @property
    def size(self) -> int:
        """How many numbers are trained."""
        return sum(tensor.numel() for tensor in self.trained.values())

    @contextmanager
    def drawing(self, seed: int) -> Iterator[None]:
        """Draw from this seed inside the block; the caller's generators are left as they were."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            yield


def _tensors_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}
