"""Times as waves, which attention can compare."""

from __future__ import annotations

import math

import torch
from torch import nn


class TimeCode(nn.Module):
    """Sines and cosines of a time in ticks, with wavelengths in geometric steps from 2π to 2π · `longest` ticks.

    After Vaswani et al. (NeurIPS 2017), with the time in the place of the position.
    """

    frequencies: torch.Tensor

    def __init__(self, width: int, longest: float = 10_000.0) -> None:
        super().__init__()
        steps = torch.arange(0, width, 2) / width
        self.register_buffer("frequencies", torch.exp(-math.log(longest) * steps), persistent=False)

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        """Return the code of times of shape (…): (…, width)."""
        angles = times[..., None] * self.frequencies
        return torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
