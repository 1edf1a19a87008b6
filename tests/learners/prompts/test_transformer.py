"""Prompts join a frozen vision transformer, which without them is what timm makes of it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import VisionTransformer as TimmTransformer
from torch import nn

from curate.errors import ConfigurationError
from curate.learners.numerics import Features
from curate.learners.prompts.transformer import Prompts, by_layer
from curate.learners.prompts.vision import VisionTransformer

WIDTH, LAYERS = 16, 3


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def module(**settings: Any) -> TimmTransformer:
    """A small transformer over 8 by 8 grey pixels: 16 patches and [CLS]; its weights are not near zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = {"img_size": 8, "patch_size": 2, "in_chans": 1, "embed_dim": WIDTH, "depth": LAYERS, "num_heads": 4}
        made = TimmTransformer(**(plain | {"num_classes": 0, "qkv_bias": True} | settings))
        for parameter in made.parameters():
            nn.init.normal_(parameter, std=0.3)
        return made.eval()


def pixels(items: int = 5) -> Features:
    return np.random.default_rng(0).random((items, 64), dtype=np.float32)


SETTINGS = [{}, {"qk_norm": True}, {"init_values": 0.1, "pre_norm": True}, {"scale_attn_norm": True}]


@pytest.mark.parametrize("settings", SETTINGS)
def test_without_prompts_it_is_timms_own(settings: dict[str, Any]) -> None:
    made = module(**settings)
    transformer = VisionTransformer(made, (1, 8, 8))
    inputs = transformer.inputs(pixels())
    assert (transformer.width, transformer.layers, transformer.dimension) == (WIDTH, LAYERS, 64)
    assert inputs.shape == (5, 1, 8, 8)
    assert inputs.min() < -0.9
    with torch.no_grad():
        assert torch.equal(transformer.tokens(inputs), made.forward_features(inputs))


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_prefix_of_no_length_changes_nothing(settings: dict[str, Any]) -> None:
    """So the attention beside timm's own does what that does, with any of its options."""
    transformer = VisionTransformer(module(**settings), (1, 8, 8))
    inputs = transformer.inputs(pixels())
    prefixes = by_layer(torch.zeros(5, LAYERS, 2, 0, WIDTH))
    found = transformer.tokens(inputs, Prompts(prefixes=prefixes))
    assert torch.allclose(found, transformer.tokens(inputs), atol=1e-5)


def test_a_prefix_is_attended_to_beside_the_tokens() -> None:
    """Attention with a prefix, written out for each item and head."""
    made = module()
    transformer = VisionTransformer(made, (1, 8, 8))
    inputs, prefix = transformer.inputs(pixels(2)), drawn(1, 2, 2, 3, WIDTH)
    block: Any = made.blocks[0]
    tokens = made._pos_embed(made.patch_embed(inputs))
    first = tokens + block.attn.proj(_written_out(block.attn, block.norm1(tokens), prefix))
    expected = first + block.mlp(block.norm2(first))
    for later in made.blocks[1:]:
        expected = later(expected)
    found = transformer.tokens(inputs, Prompts(prefixes={0: prefix}))
    assert torch.allclose(found, made.norm(expected), atol=1e-4)


def _written_out(attention: Attention, tokens: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
    found = torch.zeros_like(tokens)
    for item, own in enumerate(tokens):
        queries, keys, values = attention.qkv(own).split(WIDTH, dim=1)
        keys, values = torch.cat([prefix[item, 0], keys]), torch.cat([prefix[item, 1], values])
        for head in range(4):
            part = slice(4 * head, 4 * head + 4)
            weights = torch.softmax(queries[:, part] @ keys[:, part].T / 4**0.5, dim=1)
            found[item, :, part] = weights @ values[:, part]
    return found


def test_prompt_tokens_come_first_and_are_seen_by_the_others() -> None:
    transformer = VisionTransformer(module(), (1, 8, 8))
    inputs = transformer.inputs(pixels())
    found = transformer.tokens(inputs, Prompts(drawn(0, 5, 4, WIDTH)))
    assert found.shape == (5, 4 + 17, WIDTH)
    assert not torch.isclose(found[:, 4], transformer.tokens(inputs)[:, 0]).all(dim=1).any()


def test_prompts_get_gradients_and_the_transformer_none() -> None:
    made = module()
    transformer = VisionTransformer(made, (1, 8, 8))
    tokens, prefix = drawn(0, 5, 4, WIDTH).requires_grad_(), drawn(1, 5, 1, 2, 3, WIDTH).requires_grad_()
    prompts = Prompts(tokens, by_layer(prefix, first=1))
    assert prompts.prefixes.keys() == {1}
    transformer.tokens(transformer.inputs(pixels()), prompts)[:, 4].sum().backward()  # type: ignore[no-untyped-call]
    assert tokens.grad is not None
    assert prefix.grad is not None
    assert (tokens.grad.abs().sum(dim=2) > 0).all()
    assert (prefix.grad.abs().sum(dim=4) > 0).all()
    assert all(parameter.grad is None and parameter.requires_grad for parameter in made.parameters())


def test_another_weight_is_another_identity() -> None:
    made = module()
    before = VisionTransformer(made, (1, 8, 8))
    nn.init.zeros_(made.norm.weight)
    assert VisionTransformer(made, (1, 8, 8)).identity != before.identity
    assert before.tokens(before.inputs(pixels())).abs().sum() > 0.0


@pytest.mark.parametrize("other", [nn.Linear(2, 2), module(attn_layer="diff")], ids=["no transformer", "attention"])
def test_what_prompts_cannot_join_is_refused(other: nn.Module) -> None:
    with pytest.raises(ConfigurationError, match="vision transformer"):
        VisionTransformer(other, (1, 8, 8))
