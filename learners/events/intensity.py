"""From a hidden state to intensities, which are positive and can be bounded."""

from __future__ import annotations

import math

import torch
from torch import nn


class IntensityHead(nn.Module):
    """λ_k = s_k softplus((w_k · h + b_k) / s_k) with a learned s_k (Mei and Eisner, NeurIPS 2017, equation 4).

    In the beginning all types together come about once in a tick.
    """

    def __init__(self, width: int, type_count: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, type_count)
        self.log_scale = nn.Parameter(torch.zeros(type_count))
        nn.init.constant_(self.linear.bias, math.log(math.expm1(1 / type_count)))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return intensities of shape (…, types) of hidden states of shape (…, width)."""
        return self.positive(self.linear(hidden))

    def bounds(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """Return what the sum of the intensities cannot exceed where each number of the state lies in [low, high]."""
        up, down = self.linear.weight.clamp(min=0), self.linear.weight.clamp(max=0)
        return self.positive(high @ up.T + low @ down.T + self.linear.bias).sum(dim=-1)

    def positive(self, scores: torch.Tensor) -> torch.Tensor:
        """Return intensities of scores w · h + b, of shape (…, types); they rise with the scores."""
        scale = self.log_scale.exp()
        return scale * nn.functional.softplus(scores / scale)
