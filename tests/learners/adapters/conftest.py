"""Small networks that are made on the spot, and texts that they can learn."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    ViTConfig,
    ViTForImageClassification,
)

WORDS = 48
ROOM = 64


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these are many times slower with threads where the processors have other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def drawn(kind: Any, configuration: Any, seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(configuration).eval()


def llama(**more: Any) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=WORDS, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=ROOM, pad_token_id=0, **more,
    )  # fmt: skip


def counting(steps: tuple[int, ...], texts: int, seed: int) -> list[list[int]]:
    """Return texts of 5 to 30 tokens that count up from any token, by one of some steps."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(texts):
        start, step, length = generator.integers(1, WORDS), generator.choice(steps), generator.integers(5, 31)
        found.append([int(1 + (start + step * place) % (WORDS - 1)) for place in range(length)])
    return found


@pytest.fixture(scope="session")
def _taught() -> Any:
    """A Llama that has learned to count by ones and twos."""
    network = drawn(LlamaForCausalLM, llama(), 0)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    for turn in range(8):
        for text in counting((1, 2), 25, turn):
            row = torch.tensor([text])
            optimiser.zero_grad()
            network(input_ids=row, labels=row, use_cache=False).loss.backward()
            optimiser.step()
    return network.requires_grad_(True)


@pytest.fixture(scope="session")
def make_language_model(_taught: Any) -> Callable[..., Any]:
    """Return a function that makes a Llama of 100,000 weights: one that can count, or with a seed one that cannot."""
    return lambda seed=None: deepcopy(_taught) if seed is None else drawn(LlamaForCausalLM, llama(), seed)


@pytest.fixture(scope="session")
def make_classifier() -> Callable[..., Any]:
    """Return a function that makes a Llama that tells three classes apart."""
    return lambda seed=0: drawn(LlamaForSequenceClassification, llama(num_labels=3), seed)


@pytest.fixture(scope="session")
def make_image_classifier() -> Callable[..., Any]:
    """Return a function that makes a vision transformer for ten kinds of images of 8 by 8 grey pixels."""
    configuration = ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=8, patch_size=2,
        num_channels=1, num_labels=10,
    )  # fmt: skip
    return lambda seed=0: drawn(ViTForImageClassification, configuration, seed)


@pytest.fixture(scope="session")
def make_gpt2() -> Callable[..., Any]:
    """Return a function that makes a GPT-2: learned positions, and dropout while it is taught."""
    configuration = GPT2Config(
        vocab_size=WORDS, n_embd=32, n_layer=2, n_head=4, n_positions=ROOM, bos_token_id=0, eos_token_id=0
    )
    return lambda seed=0: drawn(GPT2LMHeadModel, configuration, seed)


@pytest.fixture(scope="session")
def documents() -> list[list[int]]:
    """Forty texts that count up by threes."""
    return counting((3,), 40, 100)
