"""What a fitted model says of held-out items, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from curate.learners.adapters.examples import Examples
from curate.learners.adapters.texts import TextExamples
from curate.learners.numerics import Floats


def text_losses(model: Any, examples: TextExamples, texts: int) -> Floats:
    """Return the mean loss over the tokens of each of so many texts; NaN where nothing is predicted.

    The examples hold one text, or part of one, in each block (`apart`). The model is left as it was.
    """
    device = next(model.parameters()).device
    losses, answers = np.zeros(texts), np.zeros(texts)
    with _asked(model):
        for row in range(len(examples)):
            batch = examples.batch(np.array([row]), device)
            losses[batch.documents[0]] += float(examples.loss(model, batch))
            answers[batch.documents[0]] += batch.count
    return np.where(answers > 0, losses / np.maximum(answers, 1), np.nan)


def class_probabilities(model: Any, examples: Examples, *, batch_size: int = 16) -> Floats:
    """Return the probabilities of the classes for each example: float64 of shape (examples, classes)."""
    device = next(model.parameters()).device
    found = []
    with _asked(model):
        for start in range(0, len(examples), batch_size):
            batch = examples.batch(np.arange(start, min(start + batch_size, len(examples))), device)
            said = torch.softmax(model(**batch.inputs).logits.double(), dim=1)
            found.append(said.cpu().numpy())
    return np.concatenate(found) if found else np.zeros((0, 0))


@contextmanager
def _asked(model: Any) -> Iterator[None]:
    """Ask a model in the block, and teach it nothing."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
