"""Any of timm's plain vision transformers, frozen, with room for prompts."""

from __future__ import annotations

from copy import deepcopy
from math import prod
from typing import Any

import torch
from torch import nn

from curate.errors import ConfigurationError
from curate.learners.encoders.weights import hash_of_state, needing_encoders
from curate.learners.numerics import Features
from curate.learners.prompts.transformer import Prompts


class VisionTransformer:
    """A frozen copy of a vision transformer of timm, as a `PromptedTransformer` over pixels in [0, 1].

    `shape` is that of an image: channels, height, width; `mean` and `deviation` are what its pixels are scaled by.

    Raises:
        ConfigurationError: it is no vision transformer, or one whose attention is not the plain one.
        MissingExtraError: the packages of the extra `encoders` are not installed.
    """

    def __init__(
        self, module: nn.Module, shape: tuple[int, int, int], *, mean: float = 0.5, deviation: float = 0.5
    ) -> None:
        _require_plain(module)
        self._module = _frozen(module)
        self._shape, self._mean, self._deviation = shape, mean, deviation
        self.width: int = self._module.embed_dim
        self.layers = len(self._module.blocks)
        self.identity = f"{hash_of_state(self._module.state_dict())} {shape} {mean} {deviation}"

    @property
    def dimension(self) -> int:
        """How many numbers an image is given as: its pixels, channel by channel, row by row."""
        return prod(self._shape)

    def inputs(self, features: Features) -> torch.Tensor:
        """Return pixels (items, dimension) as scaled images."""
        images = torch.from_numpy(features).reshape(-1, *self._shape)
        return (images - self._mean) / self._deviation

    def tokens(self, inputs: torch.Tensor, prompts: Prompts | None = None) -> torch.Tensor:
        """Return the last layer's normalised tokens, those of the prompts first, then [CLS]: (items, length, width)."""
        prompts = prompts or Prompts()
        tokens = self._module.norm_pre(self._module._pos_embed(self._module.patch_embed(inputs)))
        if prompts.tokens is not None:
            tokens = torch.cat([prompts.tokens, tokens], dim=1)
        for number, block in enumerate(self._module.blocks):
            tokens = _through(block, tokens, prompts.prefixes.get(number))
        found: torch.Tensor = self._module.norm(tokens)
        return found


def _frozen(module: nn.Module) -> Any:
    return deepcopy(module).eval().requires_grad_(False)


def _require_plain(module: nn.Module) -> None:
    with needing_encoders("vision transformer"):
        from timm.layers.attention import Attention
        from timm.models import vision_transformer as timm
    if not isinstance(module, timm.VisionTransformer):
        raise ConfigurationError(f"{type(module).__name__} is no vision transformer of timm")
    for block in module.blocks:
        if type(block) is not timm.Block or type(block.attn) is not Attention:
            raise ConfigurationError("prompts need a vision transformer with plain blocks and plain attention")


def _through(block: Any, tokens: torch.Tensor, prefix: torch.Tensor | None) -> torch.Tensor:
    """Send tokens through a block as the block itself does, in the mode of no training."""
    if prefix is None:
        found: torch.Tensor = block(tokens)
        return found
    tokens = tokens + block.ls1(_attend(block.attn, block.norm1(tokens), prefix))
    through: torch.Tensor = tokens + block.ls2(block.mlp(block.norm2(tokens)))
    return through


def _attend(attention: Any, tokens: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
    """Do what timm's attention does, with the prefix before its keys and its values.

    DualPrompt (arXiv 2204.04799), section 4.2: f(p, h) = MSA(h, [p_K; h], [p_V; h]). As its code and CODA-Prompt's do,
    the prefix joins behind the projections, so it is itself what is attended to.
    """

    def heads(rows: torch.Tensor) -> torch.Tensor:
        return rows.reshape(*rows.shape[:2], attention.num_heads, attention.head_dim).transpose(1, 2)

    queries, keys, values = (heads(part) for part in attention.qkv(tokens).chunk(3, dim=-1))
    keys = torch.cat([heads(prefix[:, 0]), attention.k_norm(keys)], dim=2)
    values = torch.cat([heads(prefix[:, 1]), values], dim=2)
    found = nn.functional.scaled_dot_product_attention(attention.q_norm(queries), keys, values)
    found = attention.norm(found.transpose(1, 2).flatten(start_dim=2))
    if attention.gate is not None:
        found = found * attention.gate(tokens).sigmoid()
    projected: torch.Tensor = attention.proj(found)
    return projected
