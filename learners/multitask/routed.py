"""A frozen network whose linear layers have inventories: trained on many tasks, then adapted to a new one cheaply."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import torch
from torch import nn

from curate.errors import UnknownNameError, UsageError
from curate.learners.multitask.inventory import Inventory, averaged, frozen_but
from curate.learners.multitask.parameters import RoutingParameters


class Trained(StrEnum):
    """What of a routed network is trained."""

    ALL = "all"
    """The inventory and the logits of every task."""
    TASK = "task"
    """The inventory and the logits of one task."""
    ROUTING = "routing"
    """The logits of one task, the inventory frozen: MHR-z."""


class _Chosen:
    """The task or tasks of the forward pass that is on, which the layers look up; none means adapters off."""

    tasks: int | torch.Tensor | None = None


class _RoutedLinear(nn.Module):
    """A linear layer with an inventory beside it."""

    def __init__(self, layer: nn.Linear, inventory: Inventory, chosen: _Chosen) -> None:
        super().__init__()
        self.layer, self.inventory = layer, inventory
        self._chosen = chosen

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        said: torch.Tensor = self.layer(inputs)
        tasks = self._chosen.tasks
        return said if tasks is None else said + self.inventory(inputs, tasks)


class RoutedNetwork(nn.Module):
    """Puts inventories into a network's linear layers, which stay what they are, bit for bit.

    Call it with inputs and the number of their task, or one number for each row, or with none: the network as it was.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str], tasks: int, parameters: RoutingParameters) -> None:
        """Put a new inventory with this many tasks into each named layer.

        Raises:
            UnknownNameError: the network has no linear layer of this name.
            ConfigurationError: a layer cannot be cut into as many blocks.
        """
        super().__init__()
        self._generator = torch.Generator().manual_seed(parameters.seed)
        linear = {name: part for name, part in network.named_modules() if isinstance(part, nn.Linear)}
        unknown = [name for name in layers if name not in linear]
        if unknown:
            raise UnknownNameError("linear layer", unknown[0], linear)
        found = {
            name: Inventory(linear[name].in_features, linear[name].out_features, parameters, self._generator)
            for name in layers
        }
        self._put_in(network, found)
        for _ in range(tasks):
            self.add_task()
        self.train_only(Trained.ALL)

    def _put_in(self, network: nn.Module, inventories: dict[str, Inventory]) -> None:
        self._chosen = _Chosen()
        self.network, self._names = network, tuple(inventories)
        for name, inventory in inventories.items():
            layer = network.get_submodule(name)
            plain = layer.layer if isinstance(layer, _RoutedLinear) else layer
            assert isinstance(plain, nn.Linear)
            network.set_submodule(name, _RoutedLinear(plain, inventory.to(plain.weight.device), self._chosen))

    @property
    def inventories(self) -> dict[str, Inventory]:
        """The inventory of each routed layer."""
        found = {name: self.network.get_submodule(name) for name in self._names}
        return {name: layer.inventory for name, layer in found.items() if isinstance(layer, _RoutedLinear)}

    @property
    def tasks(self) -> int:
        """How many tasks there are."""
        return min(len(inventory.logits) for inventory in self.inventories.values())

    @property
    def size(self) -> int:
        """How many numbers are trained as it stands."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def add_task(self) -> int:
        """Add a task to each layer, and return its number; it is not trained until `train_only` says so."""
        for inventory in self.inventories.values():
            inventory.add_task(self._generator).requires_grad_(False)
        return self.tasks - 1

    def train_only(self, what: Trained, task: int = -1) -> list[nn.Parameter]:
        """Freeze everything but this, and return what is trained.

        Raises:
            UsageError: there is no such task.
        """
        if what is not Trained.ALL and not 0 <= task < self.tasks:
            raise UsageError(f"there is no task {task} among {self.tasks}", hint="add it first")
        trained: list[nn.Parameter] = []
        for inventory in self.inventories.values():
            if inventory.skills > 1:  # a single adapter has all of every mixture
                trained += list(inventory.logits) if what is Trained.ALL else [inventory.logits[task]]
            trained += [] if what is Trained.ROUTING else [inventory.down, inventory.up]
        frozen_but(self, trained)
        return trained

    def average(self) -> None:
        """Replace each inventory by the mean of its adapters, for one task, trained whole: MHR-mu."""
        self._put_in(self.network, {name: averaged(one, self._generator) for name, one in self.inventories.items()})
        self.train_only(Trained.TASK, self.add_task())

    def forward(self, inputs: Any, tasks: int | torch.Tensor | None = None) -> Any:
        """Return what the network says of these inputs, as these tasks have it."""
        self._chosen.tasks = tasks
        try:
            return self.network(inputs)
        finally:
            self._chosen.tasks = None
