"""What an adapter is fitted to and judged by: a snapshot's items as the network takes them, read a few at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.errors import BadDataError, ConfigurationError, StoreError
from curate.flows.steps.trainees import Trainee
from curate.learners.adapters.classifier import fill_up
from curate.learners.adapters.examples import Examples
from curate.learners.adapters.inputs import ImageInput, TextInput
from curate.learners.adapters.labelled import LabelledTexts
from curate.learners.adapters.packing import Tokens, apart
from curate.learners.adapters.pictures import LabelledImages
from curate.learners.adapters.tasks import Task
from curate.learners.adapters.texts import TextExamples, blocks_for
from curate.store.reader import Reader
from curate.store.snapshots import Numbered, stream_snapshot

LONGEST_BLOCK = 1_024


@dataclass(frozen=True, slots=True)
class Part:
    """The items of one split in the order of their ids, with their labels ("" without), as examples."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    examples: Examples

    def named(self, documents: Sequence[int]) -> list[str]:
        """Return the ids of the texts that a trainer knows by their places."""
        return [self.ids[document] for document in documents]


class Materials:
    """Reads splits of one number of a snapshot for one trainee; `classes` are those of a classifier, in order.

    Memory: a text's tokens at four bytes each. Pixels go to a file in `folder`.
    """

    def __init__(
        self, trainee: Trainee, snapshot: Numbered, network: Any, classes: Sequence[str], folder: Path
    ) -> None:
        """Look at what the network takes.

        Raises:
            ConfigurationError: blocks are to be longer than the network reads, or there is no tokenizer.
        """
        self._trainee, self._snapshot, self._network, self._folder = trainee, snapshot, network, folder
        self._column = {name: place for place, name in enumerate(classes)}
        self.input: TextInput | ImageInput
        if trainee.task is Task.IMAGES:
            self.input = ImageInput(trainee.base.place, network.config)
        else:
            self.input = text_input(trainee, network)
        self.length = block_length(trainee, network)

    def part(self, reader: Reader, split: str, *, judged: bool = False) -> Part:
        """Read a split; texts of one that is `judged` are kept apart, and classes that are not known are kept.

        Raises:
            BadDataError: an image does not decode, or a text has no tokens; names the item.
            StoreError: the pixels cannot be written.
        """
        labelled = self._trainee.settings.classifies
        batches = stream_snapshot(reader, self._snapshot.snapshot, self._snapshot.number, split, labelled=labelled)
        if self._trainee.task is Task.IMAGES:
            return self._images(batches, split, judged=judged)
        return self._texts(batches, judged=judged)

    def _texts(self, batches: pa.RecordBatchReader, *, judged: bool) -> Part:
        assert isinstance(self.input, TextInput)
        ids: list[str] = []
        labels: list[str] = []
        documents: list[Tokens] = []
        for batch in batches:
            known = self._known(batch, judged=judged)
            ids += known["item_id"].to_pylist()
            labels += [label or "" for label in known["label"].to_pylist()]
            documents += self.input(known["text"].to_pylist())
        if self._trainee.task is Task.CAUSAL:
            return Part(tuple(ids), tuple(labels), self._blocks(documents, judged=judged))
        if empty := [item_id for item_id, tokens in zip(ids, documents, strict=True) if not len(tokens)]:
            raise BadDataError(f"the text of item {empty[0]} has no tokens", hint="leave it out of the snapshot")
        return Part(tuple(ids), tuple(labels), LabelledTexts(documents, self._columns(labels)))

    def _blocks(self, documents: Sequence[Tokens], *, judged: bool) -> TextExamples:
        if judged:
            return TextExamples(apart(documents, self.length))
        return TextExamples(blocks_for(self._network, self._trainee.method, documents, self.length))

    def _images(self, batches: pa.RecordBatchReader, split: str, *, judged: bool) -> Part:
        """Write the pixels beside the fit, as memory that the system may take back."""
        assert isinstance(self.input, ImageInput)
        ids: list[str] = []
        labels: list[str] = []
        file = self._folder / f"{split}{'-judged' if judged else ''}.pixels"
        try:
            with file.open("wb") as stream:
                for item_id, label, image in self._pictures(batches, judged=judged):
                    stream.write(self.input(item_id, image).tobytes())
                    ids.append(item_id)
                    labels.append(label)
        except OSError as error:
            raise StoreError(f"pixels cannot be written to {file}: {error}", hint="make room, and try again") from error
        shape = (len(ids), *self.input.shape)
        pixels = np.memmap(file, np.float32, "r", shape=shape) if ids else np.zeros(shape, np.float32)
        return Part(tuple(ids), tuple(labels), LabelledImages(pixels, self._columns(labels)))

    def _pictures(self, batches: pa.RecordBatchReader, *, judged: bool) -> Iterator[tuple[str, str, bytes]]:
        for batch in batches:
            known = self._known(batch, judged=judged).select(["item_id", "label", "image"])
            for row in known.to_pylist():
                yield row["item_id"], row["label"] or "", row["image"]

    def _known(self, batch: pa.RecordBatch, *, judged: bool) -> pa.RecordBatch:
        """Leave out items whose class the network does not tell; where it is judged, they count against it."""
        if judged or not self._column:
            return batch
        return batch.filter(pa.array([label in self._column for label in batch["label"].to_pylist()], pa.bool_()))

    def _columns(self, labels: Sequence[str]) -> list[int]:
        return [self._column.get(label, 0) for label in labels]


def text_input(trainee: Trainee, network: Any) -> TextInput:
    """Return what turns texts into the network's tokens, and give the network the token that fills up.

    Raises:
        ConfigurationError: the base model has no tokenizer.
    """
    tokenizer = trainee.base.tokenizer()
    fill_up(network, trainee.base, trainee.task)
    causal = trainee.task is Task.CAUSAL
    return TextInput(tokenizer, ends=causal, length=0 if causal else trainee.settings.length)


def virtual_tokens(trainee: Trainee) -> int:
    """Return how many tokens the method puts before a text."""
    return int({**trainee.method.options, **trainee.settings.options}.get("num_virtual_tokens", 0))


def block_length(trainee: Trainee, network: Any) -> int:
    """Return how many tokens a block, or a classifier's text, has at most.

    Raises:
        ConfigurationError: that is more than the network reads.
    """
    room = getattr(network.config, "max_position_embeddings", None) or LONGEST_BLOCK
    own = virtual_tokens(trainee)
    wanted = trainee.settings.length
    if wanted + own > room:
        raise ConfigurationError(
            f"adapter {trainee.settings.name!r}: {wanted} tokens"
            + (f" behind {own} virtual ones" if own else "")
            + f" are longer than the base model reads, which is {room}",
            hint=f"length = {room - own}",
        )
    return wanted or min(room - own, LONGEST_BLOCK)
