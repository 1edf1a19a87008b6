"""An inventory of low-rank adapters of one linear layer, mixed for each task and each block of the layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.distributions.relaxed_bernoulli import RelaxedBernoulli

from curate.errors import ConfigurationError
from curate.learners.multitask.parameters import RoutingParameters

_SMALL = 1e-3
_NOTHING = 1e-12


class Inventory(nn.Module):
    """Adapters that tasks share, and each task's logits: multi-head routing (Caccia et al., NeurIPS 2023).

    down: (splits, skills, inputs / splits, rank); up: (splits, skills, rank, outputs / splits), zero at the beginning,
    so that a new inventory changes nothing. logits: (splits, skills) for each task, a parameter of its own, so that one
    task's can be trained while all else is frozen. The layout and the division by the rank are `peft`'s.
    """

    def __init__(
        self, inputs: int, outputs: int, parameters: RoutingParameters, generator: torch.Generator | None = None
    ) -> None:
        """Draw a new inventory without a task.

        Raises:
            ConfigurationError: inputs or outputs cannot be cut into this many blocks of one size.
        """
        super().__init__()
        splits, skills, rank = parameters.splits, parameters.skills, parameters.rank
        if inputs % splits or outputs % splits:
            raise ConfigurationError(
                f"a layer of {inputs} inputs and {outputs} outputs cannot be cut into {splits} blocks of one size",
                hint="take a number of splits that divides both",
            )
        self.rank, self.noise = rank, bool(parameters.noise)
        width = inputs // splits
        bound = 1 / math.sqrt(width)
        drawn = torch.empty(splits, skills, width, rank).uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(drawn)
        self.up = nn.Parameter(torch.zeros(splits, skills, rank, outputs // splits))
        self.logits = nn.ParameterList()

    @property
    def skills(self) -> int:
        """How many adapters there are."""
        return self.down.shape[1]

    def add_task(self, generator: torch.Generator | None = None) -> nn.Parameter:
        """Add a task that begins with nearly the same of each adapter, and return its logits."""
        splits, skills = self.down.shape[:2]
        drawn = torch.empty(splits, skills).uniform_(-_SMALL, _SMALL, generator=generator)
        logits = nn.Parameter(drawn.to(self.down.device))
        self.logits.append(logits)
        return logits

    def shares(self, logits: torch.Tensor) -> torch.Tensor:
        """Return what each adapter has in a mixture: gates between 0 and 1, divided by their sum."""
        drawing = self.noise and self.training
        one = torch.ones((), device=logits.device)
        gates = RelaxedBernoulli(one, logits=logits).rsample() if drawing else torch.sigmoid(logits)
        return gates / (gates.sum(dim=-1, keepdim=True) + _NOTHING)

    def mixed(self, shares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the adapters of mixtures (…, splits, skills): down (…, inputs, rank) and up (…, rank, outputs).

        What they add is divided by the rank.
        """
        down = torch.einsum("...qs,qsdr->...qdr", shares, self.down).flatten(-3, -2)
        up = torch.einsum("...qs,qsre->...rqe", shares, self.up).flatten(-2)
        return down, up

    def forward(self, inputs: torch.Tensor, tasks: int | torch.Tensor) -> torch.Tensor:
        """Return what the adapters add for rows (rows, …, inputs) of one task, or of one task each (rows).

        Adapters are mixed once for each task, and where gates are drawn once for each row. Memory: inputs and outputs
        times rank for each row.
        """
        if isinstance(tasks, int):
            down, up = self.mixed(self.shares(self.logits[tasks]))
            return inputs @ down @ up / self.rank
        logits = torch.stack(list(self.logits))
        if self.noise and self.training:
            down, up = self.mixed(self.shares(logits[tasks]))
        else:
            down, up = (part[tasks] for part in self.mixed(self.shares(logits)))
        hidden = torch.einsum("b...d,bdr->b...r", inputs, down)
        return torch.einsum("b...r,bre->b...e", hidden, up) / self.rank


def averaged(inventory: Inventory, generator: torch.Generator | None = None) -> Inventory:
    """Return one adapter of one block that is the mean of all: where MHR-mu begins."""
    down = inventory.down.detach().mean(dim=1).flatten(0, 1)
    up = inventory.up.detach().mean(dim=1).transpose(0, 1).flatten(1)
    parameters = RoutingParameters(skills=1, rank=inventory.rank, splits=1)
    found = Inventory(len(down), up.shape[1], parameters, generator).to(down.device)
    with torch.no_grad():
        found.down.copy_(down[None, None])
        found.up.copy_(up[None, None])
    return found


def frozen_but(module: nn.Module, trained: Sequence[nn.Parameter]) -> None:
    """Freeze all parameters of a module but these."""
    module.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
