"""Labelled texts for a sequence classifier."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import nn

from curate.errors import BadDataError, ConfigurationError
from curate.learners.adapters.examples import (
    Batch,
    refuse_too_long,
    refuse_unknown_classes,
    refuse_unknown_tokens,
)
from curate.learners.adapters.methods import Method
from curate.learners.adapters.packing import Tokens
from curate.learners.adapters.tasks import Task
from curate.learners.numerics import Integers


class LabelledTexts:
    """Texts, each with the number of its class. None is cut: what is too long for the network is refused."""

    task = Task.CLASSIFY

    def __init__(self, documents: Sequence[Sequence[int] | Tokens], classes: Sequence[int]) -> None:
        """Take tokenised texts and their classes.

        Raises:
            BadDataError: a text without tokens, or not one class for each text.
        """
        self._documents = [np.asarray(document, np.int64) for document in documents]
        self._classes = np.asarray(classes, np.int64)
        if len(self._documents) != len(self._classes):
            raise BadDataError(f"there are {len(self._documents)} texts and {len(self._classes)} classes")
        for number, document in enumerate(self._documents):
            if not document.size:
                raise BadDataError(f"text {number} has no tokens")
        digest = sha256(self._classes.tobytes())
        for document in self._documents:
            digest.update(len(document).to_bytes(8, "little") + document.tobytes())
        self.fingerprint = digest.hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._documents)

    def check(self, network: Any, method: Method, virtual_tokens: int) -> None:
        """Refuse a network that the texts or the classes do not fit.

        Raises:
            ConfigurationError: a text is longer than the network can read, or the network has no token to fill up with.
            BadDataError: a token or a class that the network does not know.
        """
        refuse_too_long(max(map(len, self._documents), default=0), network, virtual_tokens)
        refuse_unknown_tokens(max((int(document.max()) for document in self._documents), default=0), network)
        refuse_unknown_classes(self._classes, network)
        if network.config.pad_token_id is None:
            raise ConfigurationError("the network has no pad token", hint="set config.pad_token_id to a token's number")
        self._pad = network.config.pad_token_id

    def batch(self, rows: Integers, device: torch.device) -> Batch:
        """Return texts, filled up on the right to the longest of them."""
        chosen = [self._documents[row] for row in rows]
        shape = (len(chosen), max(map(len, chosen)))
        tokens, seen = np.full(shape, self._pad, np.int64), np.zeros(shape, np.int64)
        for row, document in enumerate(chosen):
            tokens[row, : len(document)] = document
            seen[row, : len(document)] = 1
        inputs = {"input_ids": torch.from_numpy(tokens).to(device), "attention_mask": torch.from_numpy(seen).to(device)}
        targets = torch.from_numpy(self._classes[rows]).to(device)
        return Batch(inputs, targets, len(chosen), tuple(int(row) for row in rows))

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the summed cross-entropy of all texts."""
        return nn.functional.cross_entropy(model(**batch.inputs).logits.float(), batch.targets, reduction="sum")
