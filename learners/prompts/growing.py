"""A tensor that grows by rows: what was there before is frozen for good, only the newest rows are learned."""

from __future__ import annotations

import torch
from torch import nn


class GrowingTensor(nn.Module):
    """Rows of one shape: the old in a buffer, the newest in a parameter.

    No gradient, momentum or weight decay can reach a buffer, so what earlier increments learned stays to the bit. After
    growth the parameter is another one: make the optimiser anew.
    """

    frozen: torch.Tensor
    live: nn.Parameter

    def __init__(self, *shape: int) -> None:
        """`shape` is that of one row; there are none yet."""
        super().__init__()
        self.register_buffer("frozen", torch.zeros(0, *shape))
        self.live = nn.Parameter(torch.zeros(0, *shape))

    def __len__(self) -> int:
        return len(self.frozen) + len(self.live)

    @property
    def whole(self) -> torch.Tensor:
        """All rows, the oldest first: shape (rows, ...)."""
        return torch.cat([self.frozen, self.live]) if len(self.frozen) else self.live

    def parts(self) -> tuple[tuple[str, torch.Tensor], ...]:
        """The frozen and the live rows by their names."""
        return ("frozen", self.frozen), ("live", self.live)

    def grow(self, rows: torch.Tensor) -> None:
        """Freeze what there is, and add rows that are learned from now on; there may be none."""
        self._set(self.whole.detach(), rows)

    def replace(self, frozen: torch.Tensor, live: torch.Tensor) -> None:
        """Put other rows in the place of all that there are."""
        self._set(frozen, live)

    def move(self, number: int, row: torch.Tensor) -> None:
        """Put one row in the place of another, be it frozen or not."""
        old = len(self.frozen)
        with torch.no_grad():
            (self.frozen[number] if number < old else self.live[number - old]).copy_(row)

    def _set(self, frozen: torch.Tensor, live: torch.Tensor) -> None:
        device = self.live.device
        self.frozen = frozen.to(device).clone()
        self.live = nn.Parameter(live.to(device).clone(), requires_grad=bool(len(live)))
