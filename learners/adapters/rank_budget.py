"""AdaLoRA's budget of ranks, which `peft` wants to be told of each step, and which a resume must bring back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

_AVERAGES = ("ipt", "exp_avg_ipt", "exp_avg_unc")


class RankBudget:
    """Takes ranks away where they matter least: Zhang et al., ICLR 2023 (arXiv 2303.10512)."""

    def __init__(self, model: Any) -> None:
        self._tuner = model.base_model
        self._name = self._tuner.trainable_adapter_name
        self._configuration = self._tuner.peft_config[self._name]

    def penalty(self) -> torch.Tensor:
        """Return how far the two factors are from orthogonal, weighed: without it ranks cannot be compared.

        `peft` adds it only to a loss that the network itself works out.
        """
        factors = [
            part if "lora_A" in name else part.T
            for name, part in self._tuner.model.named_parameters()
            if ("lora_A" in name or "lora_B" in name) and self._name in name
        ]
        distances = [torch.norm(part @ part.T - torch.eye(len(part), device=part.device)) for part in factors]
        return torch.stack(distances).mean() * float(self._configuration.orth_reg_weight)

    def after(self, step: int) -> None:
        """Weigh the ranks after a step, counted from 0, while its gradients are there."""
        self._tuner.update_and_allocate(step + 1)

    def state(self) -> dict[str, torch.Tensor]:
        """Return what `load` takes."""
        allocator = self._tuner.rankallocator
        found = {f"{kind}/{name}": tensor for kind in _AVERAGES for name, tensor in getattr(allocator, kind).items()}
        pattern = self._configuration.rank_pattern or {}
        return found | {f"pattern/{name}": torch.tensor(kept, dtype=torch.uint8) for name, kept in pattern.items()}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over a saved state."""
        parts: dict[str, dict[str, torch.Tensor]] = {kind: {} for kind in (*_AVERAGES, "pattern")}
        for key, tensor in state.items():
            kind, _, name = key.partition("/")
            parts[kind][name] = tensor
        pattern = {name: [bool(each) for each in kept] for name, kept in parts.pop("pattern").items()}
        self._configuration.rank_pattern = pattern or None
        device = next(self._tuner.model.parameters()).device
        for kind, averages in parts.items():
            moved = {name: tensor.to(device) for name, tensor in averages.items()}
            setattr(self._tuner.rankallocator, kind, moved)
