"""Base models that are made on the spot, as folders of transformers: weights of chance, and words for tokens."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, ViTConfig, ViTForImageClassification

SPECIAL = ("<pad>", "<end>", "<unknown>")


def drawn(kind: Any, configuration: Any, seed: int) -> Any:
    """Return a network with weights that this seed alone decides."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(configuration).eval()


def write_language_model(folder: Path, words: Iterable[str], *, seed: int = 0, room: int = 64) -> Path:
    """Write a Llama of about 50,000 weights that reads these words and at most `room` of them."""
    known = {word: number for number, word in enumerate([*SPECIAL, *sorted(set(words))])}
    rules = Tokenizer(WordLevel(known, unk_token="<unknown>"))
    rules.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=rules, pad_token="<pad>", eos_token="<end>", unk_token="<unknown>"
    )
    tokenizer.save_pretrained(folder)
    configuration = LlamaConfig(
        vocab_size=len(known), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=room, pad_token_id=0, eos_token_id=1, bos_token_id=1,
    )  # fmt: skip
    drawn(LlamaForCausalLM, configuration, seed).save_pretrained(folder)
    return folder


def write_image_classifier(folder: Path, *, seed: int = 0) -> Path:
    """Write a vision transformer for grey images of 8 by 8."""
    configuration = ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=8, patch_size=2,
        num_channels=1, num_labels=2,
    )  # fmt: skip
    drawn(ViTForImageClassification, configuration, seed).save_pretrained(folder)
    return folder
