"""One layer of attention over what is known: keys and values are made once, and asked at any time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class LayerMemory:
    """Keys and values, (sequences, heads, places, width of a head); place 0 holds nothing: see `AttentionLayer`."""

    keys: torch.Tensor
    values: torch.Tensor


class AttentionLayer(nn.Module):
    """h ← h + tanh(Σ_j a_j v_j / (1 + Σ_j a_j)) with a_j = exp(q · k_j / √d), over the places that may be seen.

    Yang, Mei and Eisner (ICLR 2022, arXiv 2201.00044), equation 6. The 1 is a place whose key and value are zeros, so
    that who sees nothing, gets nothing. Keys, values and queries are made of a state and the code of its time.
    """

    def __init__(self, width: int, time_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width + time_width, width) for _ in range(3))

    def remember(self, tokens: torch.Tensor) -> LayerMemory:
        """Return the memory of tokens, which are states with their times' codes: (sequences, tokens, width of both)."""
        keys, values = (nn.functional.pad(made(tokens), (0, 0, 1, 0)) for made in (self.key, self.value))
        return LayerMemory(self._in_heads(keys), self._in_heads(values))

    def forward(
        self, states: torch.Tensor, codes: torch.Tensor, memory: LayerMemory, seen: torch.Tensor
    ) -> torch.Tensor:
        """Return what (sequences, queries, width) become. `seen`: (1 or sequences, queries, places), true if seen."""
        asked = self._in_heads(self.query(torch.cat([states, codes], dim=2)))
        found = nn.functional.scaled_dot_product_attention(asked, memory.keys, memory.values, attn_mask=seen[:, None])
        return states + torch.tanh(found.transpose(1, 2).flatten(2))

    def _in_heads(self, states: torch.Tensor) -> torch.Tensor:
        sequences, tokens, width = states.shape
        return states.view(sequences, tokens, self.heads, width // self.heads).transpose(1, 2)


def reach(memory: LayerMemory, seen_until: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return between which bounds a layer's step lies for who sees the places up to (1 or sequences, positions).

    The step is the tanh of a mean of values, and a mean lies between the least and the greatest of them.
    """
    values = memory.values.transpose(1, 2).flatten(2)
    places = seen_until.expand(len(values), -1)[..., None].expand(-1, -1, values.shape[2])
    low, high = torch.cummin(values, dim=1).values, torch.cummax(values, dim=1).values
    return torch.tanh(low.gather(1, places)), torch.tanh(high.gather(1, places))
