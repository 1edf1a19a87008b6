"""Many small networks of one shape fitted side by side: `torch.func.vmap` over whatever forward pass the network has.

Each network has its own items, order, learning rate and Adam; nothing passes from one to another. On two cores a small
network's step is nearly all overhead, which thirty of them share here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

Tensors = Mapping[str, torch.Tensor]
_FIRST, _SECOND, _SMALL = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Stack:
    """Networks like `template`, in its mode: the tensors that are trained and those that are not, one after another."""

    template: nn.Module
    trained: Tensors
    frozen: Tensors

    @classmethod
    def of(cls, networks: Sequence[nn.Module], copies: int = 1) -> Stack:
        """Stack networks, and the whole stack as often as `copies` says; what requires gradients is trained."""
        parts = [_tensors(one) for one in networks]
        found = {name: torch.stack([part[name].detach() for part in parts]) for name in parts[0]}
        repeated = {name: one.repeat(copies, *[1] * (one.dim() - 1)) for name, one in found.items()}
        chosen = {name for name, one in networks[0].named_parameters() if one.requires_grad}
        trained = {name: one for name, one in repeated.items() if name in chosen}
        return cls(deepcopy(networks[0]), trained, {name: one for name, one in repeated.items() if name not in chosen})

    def pour(self, place: int, network: nn.Module) -> None:
        """Copy all tensors of one network into another of the same shape."""
        found = {**self.frozen, **self.trained}
        with torch.no_grad():
            for name, tensor in _tensors(network).items():
                tensor.copy_(found[name][place])

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what each network says of its own items (networks, items, …)."""
        with torch.no_grad(), _plain_products():
            said: torch.Tensor = vmap(self._call)(self.trained, self.frozen, inputs)
        return said

    def right(self, inputs: torch.Tensor, targets: torch.Tensor) -> list[float]:
        """Return the accuracy of each network in percent."""
        right = self.logits(inputs).argmax(-1) == targets
        return [100 * float(each) for each in right.flatten(1).double().mean(dim=1)]

    def fitted(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        rates: torch.Tensor,
        orders: Sequence[torch.Tensor],
        size: int,
        factor: Callable[[str], float] | None = None,
    ) -> Stack:
        """Fit every network with Adam at its own rate; `orders` has the items of each pass (networks, items).

        `factor` says, by name, how much faster than the rate a tensor learns.
        """
        gradients = vmap(grad(self._loss))
        trained = dict(self.trained)
        first = {name: torch.zeros_like(one) for name, one in trained.items()}
        second = {name: torch.zeros_like(one) for name, one in trained.items()}
        networks = torch.arange(len(inputs))[:, None]
        for step, rows in enumerate((part for order in orders for part in torch.split(order, size, dim=1)), start=1):
            with _plain_products():
                found = gradients(trained, self.frozen, inputs[networks, rows], targets[networks, rows])
            for name, slope in found.items():
                first[name].mul_(_FIRST).add_(slope, alpha=1 - _FIRST)
                second[name].mul_(_SECOND).addcmul_(slope, slope, value=1 - _SECOND)
                length = (second[name] / (1 - _SECOND**step)).sqrt_().add_(_SMALL)
                faster = factor(name) if factor else 1.0
                rate = faster * rates.view(-1, *[1] * (slope.dim() - 1)) / (1 - _FIRST**step)
                trained[name] = trained[name] - rate * first[name] / length
        return Stack(self.template, trained, self.frozen)

    def _call(self, trained: Tensors, frozen: Tensors, inputs: torch.Tensor) -> Any:
        return functional_call(self.template, {**frozen, **trained}, (inputs,))

    def _loss(self, trained: Tensors, frozen: Tensors, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        said = self._call(trained, frozen, inputs)
        return nn.functional.cross_entropy(said.flatten(0, -2), targets.flatten())


def _tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def orders(networks: int, items: int, passes: int, seed: int, copies: int = 1) -> list[torch.Tensor]:
    """Draw the order of the items in each pass for each network; copies of a network go through the same."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [[torch.randperm(items, generator=generator) for _ in range(networks)] for _ in range(passes)]
    return [torch.stack(each).repeat(copies, 1) for each in drawn]


@contextmanager
def _plain_products() -> Iterator[None]:
    """LoHa's and OFT's products as plain tensors: `peft` writes in place, or backwards by hand, which vmap refuses."""
    with (
        patch("peft.tuners.loha.layer.make_weight", _hadamard),
        patch("peft.tuners.oft.layer.OFTRotationModule._cayley_batch", _cayley),
    ):
        yield


def _hadamard(
    w1a: torch.Tensor, w1b: torch.Tensor, w2a: torch.Tensor, w2b: torch.Tensor, scale: torch.Tensor | float
) -> torch.Tensor:
    return (w1a @ w1b) * (w2a @ w2b) * scale


def _cayley(
    module: Any, entries: torch.Tensor, size: int, use_cayley_neumann: bool = True, num_neumann_terms: int = 5
) -> torch.Tensor:
    """Rotations from the entries above the diagonal of skew matrices: a series, of `peft`'s usual length."""
    assert use_cayley_neumann
    one = (torch.arange(size * size) == (module.rows * size + module.cols)[:, None]).to(entries.dtype)
    above = (entries @ one).reshape(-1, size, size)
    skew = above - above.transpose(-2, -1)
    found, power = torch.eye(size) + 2 * skew, skew
    for _ in range(2, num_neumann_terms - 1):
        power = power @ skew
        found = found + 2 * power
    rotations: torch.Tensor = found + power @ skew
    return rotations
