"""Captions by open_clip's CoCa: an image tower, and a text decoder that looks at the image while it writes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.errors import ConfigurationError
from curate.learners.encoders.clip import ClipImageEncoder, ClipSource, tokenizer_of
from curate.learners.encoders.network import Network
from curate.learners.encoders.pictures import forward_pictures
from curate.learners.numerics import Array

if TYPE_CHECKING:
    import pyarrow as pa


class CocaCaptioner(ClipImageEncoder):
    """A `curate.types.Captioner`: each token is the likeliest after those before it, up to `most_tokens` of them.

    open_clip 3's own `generate` needs classes of transformers that version 5 no longer has, so decoding is done here:
    greedily, without a smallest length. Source: Yu et al. 2022, CoCa, section 3.2.
    Cost: the image tower once an item, both text towers once a token, over all tokens so far.
    """

    def __init__(self, source: ClipSource, most_tokens: int = 30) -> None:
        super().__init__(source)
        self.most_tokens = most_tokens
        self.version = f"coca-captions/1+{source.digest}+{most_tokens}"

    def captions(self, items: pa.Table) -> list[tuple[str, float]]:
        """Return each image's caption, "" where the model has nothing to say, and the mean probability of its tokens.

        The mean is the geometric one, the end of the caption included where it came.

        Raises:
            BadDataError: an item without an image, or one that does not decode; names it.
            ConfigurationError: the model does not caption.
        """
        if not items.num_rows:
            return []
        writing = _writing(self._source, self.most_tokens)
        told: list[tuple[str, float]] = []
        for _, pixels in self._prepared(items, self.network()):
            told += _read(writing.forward(pixels), writing.extra)
        return told


@lru_cache(maxsize=1)
def _writing(source: ClipSource, most_tokens: int) -> Network:
    """Return the captioner as a network from pixels to tokens and their log-probabilities; `extra` is the tokenizer."""
    tower = ClipImageEncoder(source).network()
    module, tokenizer = tower.module, tokenizer_of(source)
    if not hasattr(module, "text_decoder") or not hasattr(tokenizer, "eot_token_id"):
        raise ConfigurationError(
            f"the model {source.name!r} does not caption", hint="name a CoCa model with open_clip's own tokenizer"
        )
    most = min(most_tokens, int(module.context_length) - 1)
    begin, end = int(tokenizer.sot_token_id), int(tokenizer.eot_token_id)
    forward = forward_pictures(lambda pixels: _greedy(module, pixels, begin, end, most), tower.extra, tower.device)
    return Network(forward, most, tower.device, tokenizer, module)


def _greedy(module: Any, pixels: Any, begin: int, end: int, most: int) -> Any:
    """Return of shape (items, most, 2) tokens and their log-probabilities; behind an item's end both are end and 0."""
    import torch

    seen = module(pixels)
    given = {"image_latent": seen["image_features"], "image_embs": seen["image_embs"], "output_labels": False}
    tokens = torch.full((len(pixels), 1), begin, device=pixels.device)
    logs = torch.zeros((len(pixels), most), device=pixels.device)
    ended = torch.zeros(len(pixels), dtype=torch.bool, device=pixels.device)
    for place in range(most):
        best, token = module(pixels, tokens, **given)["logits"][:, -1].float().log_softmax(dim=1).max(dim=1)
        logs[:, place] = best.masked_fill(ended, 0.0)
        token = token.masked_fill(ended, end)
        ended = ended | (token == end)
        tokens = torch.cat([tokens, token[:, None]], dim=1)
        if ended.all():
            break
    written = torch.full((len(pixels), most), end, device=pixels.device)
    written[:, : tokens.shape[1] - 1] = tokens[:, 1:]
    return torch.stack([written.to(logs.dtype), logs], dim=2)


def _read(written: Array, tokenizer: Any) -> Iterator[tuple[str, float]]:
    for tokens, logs in zip(written[:, :, 0].astype(int).tolist(), written[:, :, 1], strict=True):
        own = tokens[: tokens.index(tokenizer.eot_token_id)] if tokenizer.eot_token_id in tokens else tokens
        said = min(len(own) + 1, len(tokens))
        text = " ".join(tokenizer.decode([token for token in own if token != tokenizer.sot_token_id]).split())
        yield text, float(np.exp(logs[:said].mean()))
