"""A fitted adapter in its base model, asked for the classes of items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from curate.errors import BadDataError
from curate.learners.adapters.adapted import Adapted
from curate.learners.adapters.answers import class_probabilities
from curate.learners.adapters.base_models import BaseModel
from curate.learners.adapters.examples import Examples
from curate.learners.adapters.inputs import ImageInput, TextInput
from curate.learners.adapters.kept_adapter import adapter_header, load_adapter
from curate.learners.adapters.labelled import LabelledTexts
from curate.learners.adapters.methods import Method
from curate.learners.adapters.pictures import LabelledImages
from curate.learners.adapters.tasks import Task
from curate.learners.encoders.column import column_of
from curate.learners.numerics import Floats

if TYPE_CHECKING:
    import pyarrow as pa


def with_adapter(base: BaseModel, method: Method, task: Task, state: bytes) -> Adapted:
    """Load a base model, and put a fitted adapter into it.

    Raises:
        StoreError: the state is corrupt.
        ConfigurationError: the adapter belongs to another base model or method.
    """
    header = adapter_header(state)
    network = base.network(task, header["classes"], header["seed"])
    fill_up(network, base, task)
    options, seed = header["options"], header["seed"]
    adapted = Adapted(network, method, task, steps=header["steps"], seed=seed, options=options)
    load_adapter(state, adapted)
    adapted.model.eval()
    return adapted


def fill_up(network: Any, base: BaseModel, task: Task) -> None:
    """Give a network of texts the token that fills up the shorter ones of a batch, where it has none."""
    if task is Task.IMAGES or network.config.pad_token_id is not None:
        return
    tokenizer = base.tokenizer()
    padding = tokenizer.pad_token_id
    network.config.pad_token_id = tokenizer.eos_token_id if padding is None else padding


class AdapterClassifier:
    """Tells the classes of texts or images. Memory: the base model in float32, and a batch."""

    def __init__(self, base: BaseModel, method: Method, task: Task, state: bytes) -> None:
        """Load base model and adapter; raises as `with_adapter` does."""
        header = adapter_header(state)
        self._adapted = with_adapter(base, method, task, state)
        self._method, self._task = method, task
        self.classes = tuple(header["classes"])
        configuration = self._adapted.model.config
        self._room = getattr(configuration, "max_position_embeddings", None)
        self._input: TextInput | ImageInput
        if task is Task.IMAGES:
            self._input = ImageInput(base.place, configuration)
        else:
            self._input = TextInput(base.tokenizer(), ends=False, length=header["length"])

    def probabilities(self, items: pa.Table) -> Floats:
        """Return the probabilities of the classes: float64 of shape (items, classes).

        Raises:
            BadDataError: an item cannot be read, or is longer than the base model reads; names it.
        """
        examples = self._examples(items)
        examples.check(self._adapted.model, self._method, 0)
        return class_probabilities(self._adapted.model, examples)

    def _examples(self, items: pa.Table) -> Examples:
        if isinstance(self._input, ImageInput):
            pixels = [self._input(item_id, image) for item_id, image in column_of(items, "image")]
            return LabelledImages(np.stack(pixels), [0] * len(pixels))
        ids, texts = zip(*column_of(items, "text"), strict=True)
        documents = self._input(texts)
        for item_id, tokens in zip(ids, documents, strict=True):
            if not len(tokens) or (self._room and len(tokens) > self._room):
                raise BadDataError(
                    f"the text of item {item_id} has {len(tokens)} tokens, and 1 to {self._room} are read"
                )
        return LabelledTexts(documents, [0] * len(documents))
