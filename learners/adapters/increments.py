"""Adapters for what arrives in increments: one for each, apart or added up, or changes that spare what matters most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from curate.errors import ConfigurationError, UsageError
from curate.learners.adapters.extra import needing_peft


def overlap(new: torch.Tensor, earlier: Iterable[torch.Tensor]) -> torch.Tensor:
    """Return how far the rows of a first factor (rank, inputs) lie along those of earlier ones: the sum of |A_i A'|.

    Nothing where they are orthogonal: then a new increment reads what no earlier one reads. O-LoRA (Wang et al., EMNLP
    2023, arXiv 2310.14152) adds it to the loss.

    >>> overlap(torch.eye(2)[:1], [torch.eye(2)[1:], torch.eye(2)])
    tensor(1.)
    """
    found = [(old @ new.T).abs().sum() for old in earlier]
    return torch.stack(found).sum() if found else new.new_zeros(())


class IncrementalAdapters:
    """A LoRA for each increment over one frozen network; only the newest is ever trained.

    Added up, as O-LoRA has it, they need nobody to say which increment an item belongs to. Each by itself they do, and
    later increments then change nothing, to the bit. `model` is `peft`'s, and saves each adapter under its name.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str], *, rank: int = 8, alpha: int = 16) -> None:
        self._network, self._layers, self._rank, self._alpha = network, list(layers), rank, alpha
        self.names: list[str] = []
        self.model: Any = network

    def begin(self, name: str, *, seed: int = 0) -> list[nn.Parameter]:
        """Add an adapter that changes nothing yet, drawn with this seed alone, and return what of it is to be trained.

        Raises:
            MissingExtraError: the packages of the extra `peft` are not installed.
            UsageError: there is an adapter of this name, or the name has a dot.
            ConfigurationError: the network has no such layers.
        """
        with needing_peft("an adapter for an increment"):
            from peft import LoraConfig, get_peft_model
        if name in self.names or "." in name:
            raise UsageError(f"an increment cannot be named {name!r}", hint="take a new name without a dot")
        chosen = LoraConfig(r=self._rank, lora_alpha=self._alpha, target_modules=self._layers)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                if self.names:
                    self.model.add_adapter(name, chosen)
                else:
                    self.model = get_peft_model(self._network, chosen, adapter_name=name)
        except ValueError as error:
            raise ConfigurationError(f"the adapters do not fit this network: {error}") from error
        self.names.append(name)
        self.add_up(self.names)
        return [part for part in self.model.parameters() if part.requires_grad]

    def add_up(self, names: Sequence[str]) -> None:
        """Let the network answer with these adapters added up; one name, with that one alone.

        Raises:
            UsageError: there is no adapter of a name.
        """
        for name in names:
            if name not in self.names:
                raise UsageError(f"there is no increment {name!r}", hint=f"there are: {', '.join(self.names)}")
        self.model.base_model.set_adapter(list(names))
        for part, parameter in self.model.named_parameters():
            parameter.requires_grad_(f".{self.names[-1]}." in part)

    def overlap(self) -> torch.Tensor:
        """Return the newest adapter's overlap with all earlier ones, over all layers; times a weight, a penalty."""
        *earlier, newest = self.names
        layers = [layer.lora_A for layer in self.model.modules() if hasattr(layer, "lora_A")]
        return torch.stack(
            [overlap(factors[newest].weight, [factors[name].weight for name in earlier]) for factors in layers]
        ).sum()


class ProtectedSubspace:
    """`peft`'s OSF: weights change only outside their largest singular directions, decomposed anew by increment.

    The network itself changes: there is no adapter to be switched off afterwards. `peft` projects *gradients*, which
    Adam then scales one by one, so that its steps leave the subspace; `keep` brings the weights back into it.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str]) -> None:
        self._layers = list(layers)
        self.model: Any = network
        self._wrapped = False

    def begin(self, protected: float) -> list[nn.Parameter]:
        """Take over what was learned, protect this share of each layer's directions, and return what is to be trained.

        Raises:
            MissingExtraError: the packages of the extra `peft` are not installed.
            ConfigurationError: the share is not between 0 and 1, or the network has no such layers.
        """
        with needing_peft("the protection of a subspace"):
            from peft import OSFConfig, get_peft_model
        if not 0 < protected < 1:
            raise ConfigurationError(f"the share of protected directions is between 0 and 1, not {protected}")
        network = self.model.merge_and_unload() if self._wrapped else self.model
        try:
            self.model = get_peft_model(
                network, OSFConfig(effective_rank=float(protected), target_modules=self._layers)
            )
        except ValueError as error:
            raise ConfigurationError(f"OSF does not fit this network: {error}") from error
        self._wrapped = True
        return [part for part in self.model.parameters() if part.requires_grad]

    def keep(self) -> None:
        """Take out of the trained factors what has come to lie in the protected directions: after each step of Adam."""
        with torch.no_grad():
            for layer in self.model.modules():
                if hasattr(layer, "osf_svd_params"):
                    _project(layer)


def _project(layer: Any) -> None:
    """Left factors are columns, right factors rows; `peft` keeps the protected ones only where they are not implied."""
    for name, factors in layer.osf_svd_params.items():
        left, right = factors["U_low"], factors["V_low"]
        if name in layer._osf_U_high:
            protected = layer._osf_U_high[name]
            left -= protected @ (protected.T @ left)
        else:
            spared = layer._osf_U_low_init[name]
            left.copy_(spared @ (spared.T @ left))
        if name in layer._osf_V_high:
            protected = layer._osf_V_high[name]
            right -= (right @ protected.T) @ protected
        else:
            spared = layer._osf_V_low_init[name]
            right.copy_((right @ spared.T) @ spared)
