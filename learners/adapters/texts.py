"""Texts for a causal language model: each token of a text is predicted from those before it in the same text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from curate.errors import ConfigurationError
from curate.learners.adapters.examples import Batch, refuse_too_long, refuse_unknown_tokens
from curate.learners.adapters.methods import Method
from curate.learners.adapters.packing import Packing, Tokens, apart, pack
from curate.learners.adapters.tasks import Task
from curate.learners.numerics import Integers

_NOTHING = -100


class TextExamples:
    """Blocks of texts. In a packed block positions begin anew with each text, and none sees another."""

    task = Task.CAUSAL

    def __init__(self, packing: Packing) -> None:
        self._packing = packing
        self.packed = any(len(block) > 1 for block in packing.blocks)
        self.fingerprint = _fingerprint(packing)

    def __len__(self) -> int:
        return len(self._packing)

    @property
    def texts(self) -> int:
        """How many texts have anything to predict."""
        return len({piece.document for block in self._packing.blocks for piece in block})

    def predicted(self, texts: int) -> NDArray[np.bool_]:
        """Return for each of so many texts whether it has anything to predict."""
        has = np.zeros(texts, np.bool_)
        has[[piece.document for block in self._packing.blocks for piece in block]] = True
        return has

    @property
    def sizes(self) -> list[int]:
        """How many tokens of each block are predicted."""
        return [sum(len(piece) - 1 for piece in block) for block in self._packing.blocks]

    def check(self, network: Any, method: Method, virtual_tokens: int) -> None:
        """Refuse texts that are too long, of another vocabulary, or packed where they would see each other.

        Raises:
            ConfigurationError: the blocks are too long, or packed and neither method nor network keeps texts apart.
            BadDataError: a token that the network does not know.
        """
        blocks = self._packing.blocks
        longest = max((sum(map(len, block)) for block in blocks), default=0)
        refuse_too_long(longest, network, virtual_tokens)
        refuse_unknown_tokens(int(self._packing.tokens.max(initial=0)), network)
        if self.packed and (method.virtual or not keeps_apart(network)):
            who = f"the method {method.name!r}" if method.virtual else "this network"
            raise ConfigurationError(
                f"{who} cannot keep the texts of a packed block apart", hint="give each text a block of its own"
            )

    def batch(self, rows: Integers, device: torch.device) -> Batch:
        """Return blocks, filled up on the right to the longest of them."""
        blocks = [self._packing.blocks[row] for row in rows]
        shape = (len(blocks), max(sum(map(len, block)) for block in blocks))
        tokens, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        targets, seen = np.full(shape, _NOTHING, np.int64), np.zeros(shape, np.int64)
        for row, block in enumerate(blocks):
            start = 0
            for piece in block:
                place = slice(start, start + len(piece))
                tokens[row, place] = self._packing.tokens[piece.start : piece.stop]
                targets[row, start + 1 : place.stop] = tokens[row, start + 1 : place.stop]
                positions[row, place] = np.arange(len(piece))
                seen[row, place] = 1
                start = place.stop
        inputs = {"input_ids": tokens, **({"position_ids": positions} if self.packed else {"attention_mask": seen})}
        there = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}
        documents = tuple(piece.document for block in blocks for piece in block)
        count = int((targets != _NOTHING).sum())
        return Batch(there | {"use_cache": False}, torch.from_numpy(targets).to(device), count, documents)

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the summed cross-entropy of all predicted tokens; virtual tokens before the text are not asked."""
        logits = model(**batch.inputs).logits[:, -batch.targets.shape[1] :]
        said, wanted = logits[:, :-1].flatten(0, 1).float(), batch.targets[:, 1:].flatten()
        return nn.functional.cross_entropy(said, wanted, ignore_index=_NOTHING, reduction="sum")


def blocks_for(network: Any, method: Method, documents: Iterable[Sequence[int] | Tokens], length: int) -> Packing:
    """Pack texts where method and network keep them apart, and give each a block of its own where they do not."""
    packs = not method.virtual and keeps_apart(network)
    return (pack if packs else apart)(documents, length)


def keeps_apart(network: Any) -> bool:
    """Whether a network whose positions begin anew sees nothing of what stands before: tried, to the bit."""
    device = next(network.parameters()).device
    tokens = torch.tensor([[1, 0, 1, 1, 0, 1], [0, 1, 0, 1, 0, 1]], device=device)
    positions = torch.tensor([[0, 1, 2, 0, 1, 2]], device=device).expand(2, -1)
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            said = network(input_ids=tokens, position_ids=positions, use_cache=False).logits[:, 3:]
    except TypeError:
        return False
    finally:
        network.train(training)
    return bool((said[0] == said[1]).all())


def _fingerprint(packing: Packing) -> str:
    """Return a hash of all blocks, which a checkpoint carries."""
    places = np.array(
        [(number, piece.start, piece.stop) for number, block in enumerate(packing.blocks) for piece in block], np.int64
    )
    digest = sha256(packing.tokens.tobytes())
    digest.update(places.tobytes())
    return digest.hexdigest()[:16]
