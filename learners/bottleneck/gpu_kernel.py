"""The key lookup on a GPU, in Triton: distances are compared as they are made, and never written to memory."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

ITEMS, PAIRS = 128, 32
"""Items and pairs of one tile, the quickest of twelve sizes on an H200."""
_LEAST_WIDTH = 16  # of a matrix product in Triton


@triton.jit  # type: ignore[untyped-decorator]
def _nearest(
    projected: tl.tensor,
    keys: tl.tensor,
    halves: tl.tensor,
    codes: tl.tensor,
    items: tl.tensor,
    pairs: tl.tensor,
    WIDTH: tl.constexpr,
    TILE_ITEMS: tl.constexpr,
    TILE_PAIRS: tl.constexpr,
) -> None:
    """Write the first pair with the least `halves - projected · keys` of a tile of items of one head."""
    head = tl.program_id(1)
    rows = tl.program_id(0) * TILE_ITEMS + tl.arange(0, TILE_ITEMS)
    dimensions, columns = tl.arange(0, WIDTH), tl.arange(0, TILE_PAIRS)
    places = (head * items + rows)[:, None] * WIDTH + dimensions[None, :]
    mine = tl.load(projected + places, mask=(rows < items)[:, None], other=0.0)
    best = tl.full((TILE_ITEMS,), float("inf"), tl.float32)
    found = tl.zeros((TILE_ITEMS,), tl.int32)
    for start in range(0, pairs, TILE_PAIRS):
        known = start + columns < pairs
        key_places = (head * WIDTH + dimensions)[:, None] * pairs + (start + columns)[None, :]
        block = tl.load(keys + key_places, mask=known[None, :], other=0.0)
        half = tl.load(halves + head * pairs + start + columns, mask=known, other=float("inf"))
        distances = half[None, :] - tl.dot(mine, block, input_precision="ieee")
        least = tl.min(distances, axis=1)
        place = tl.argmin(distances, axis=1, tie_break_left=True)
        nearer = least < best
        best = tl.where(nearer, least, best)
        found = tl.where(nearer, start + place, found)
    tl.store(codes + head * items + rows, found, mask=rows < items)


class GpuKeys:
    """Keys that lie on the GPU, laid out once: see `KeyIndex`, whose codes these are where no two keys are as near."""

    def __init__(self, keys: Any, halves: Any) -> None:
        heads, pairs, width = keys.shape
        self._width = max(_LEAST_WIDTH, triton.next_power_of_2(width))
        self._keys = torch.zeros((heads, self._width, pairs), device="cuda")
        self._keys[:, :width] = torch.from_numpy(keys).to("cuda").transpose(1, 2)
        self._halves = torch.from_numpy(halves).to("cuda")

    def nearest(self, projected: Any, allowed: Any = None) -> Any:
        """Return the place of the nearest key in each head: NumPy in and out, int32 of shape (items, heads)."""
        laid_out = self.laid_out(torch.from_numpy(projected).to("cuda"))
        return self.nearest_of(laid_out, allowed).T.cpu().numpy()

    def laid_out(self, projected: Any) -> Any:
        """Return projections, (items, heads, width) on the GPU, as `nearest_of` wants them."""
        items, heads, width = projected.shape
        found = torch.zeros((heads, items, self._width), device="cuda")
        found[:, :, :width] = projected.transpose(0, 1)
        return found

    def nearest_of(self, laid_out: Any, allowed: Any = None) -> Any:
        """Return codes of shape (heads, items) for projections of shape (heads, items, padded width), on the GPU."""
        heads, items, _ = laid_out.shape
        halves = self._halves
        if allowed is not None:
            halves = halves.masked_fill(~torch.from_numpy(allowed).to("cuda"), float("inf"))
        codes = torch.empty((heads, items), dtype=torch.int32, device="cuda")
        grid = (triton.cdiv(items, ITEMS), heads)
        pairs = halves.shape[1]
        _nearest[grid](laid_out, self._keys, halves, codes, items, pairs, self._width, ITEMS, PAIRS)
        return codes
