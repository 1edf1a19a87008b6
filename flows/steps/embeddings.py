"""Encoders over the store: what was encoded once is read, and what is new can be kept."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.flows.project import Project
from curate.store.embeddings import embedding_rows, kept_embeddings
from curate.store.reader import Reader
from curate.store.work import batches
from curate.store.write import Write
from curate.types import Encoder, Progress

Features = NDArray[np.float32]
ROWS_AT_ONCE = 512
"""Items whose embeddings are committed at once: a kill costs no more than their forward pass."""


class KeptEncoder:
    """A `curate.types.Encoder` that reads what the store has of a costly encoder, and computes the rest.

    What it had to compute waits in `fresh_rows` for a commit. Features of other encoders are computed each time,
    unless `keep` says that they are to be kept as well.
    """

    def __init__(self, encoder: Encoder, reader: Reader, *, keep: bool = False) -> None:
        self._encoder, self._reader = encoder, reader
        self._keeps = keep or encoder.costly
        self._fresh: list[pa.Table] = []
        self.version, self.costly, self.modalities = encoder.version, encoder.costly, encoder.modalities

    @property
    def dimension(self) -> int:
        """The width of the features."""
        return self._encoder.dimension

    def encode(self, items: pa.Table) -> Features:
        """Return float32 of shape (items, dimension)."""
        if not self._keeps:
            return self._encoder.encode(items)
        ids: list[str] = items["item_id"].to_pylist()
        known, kept = kept_embeddings(self._reader, self.version, ids)
        if not known:
            return self._computed(items)
        row = {item_id: number for number, item_id in enumerate(known)}
        rows = np.array([row.get(item_id, -1) for item_id in ids])
        features: Features = kept[rows]
        missing = rows < 0
        if missing.any():
            features[missing] = self._computed(items.filter(pa.array(missing)))
        return features

    def fresh_rows(self) -> pa.Table:
        """Return what was computed since the last call, as rows of the table `embeddings`."""
        rows = [*self._fresh, embedding_rows(self.version, [], np.zeros((0, 1), np.float32))]
        self._fresh.clear()
        return pa.concat_tables(rows)

    def _computed(self, items: pa.Table) -> Features:
        features = self._encoder.encode(items)
        self._fresh.append(embedding_rows(self.version, items["item_id"].to_pylist(), features))
        return features


def keep_embeddings(project: Project, progress: Progress, encoder: Encoder, items: pa.Table) -> None:
    """Encode items that have no embedding by a costly encoder yet, and commit batch after batch.

    A run that is killed loses one batch. Memory: `ROWS_AT_ONCE` items beside the table.
    """
    if not encoder.costly or not len(items):
        return
    name = f"embed {encoder.version.partition('/')[0]}"
    progress.start(name, len(items))
    for batch in batches(items, ROWS_AT_ONCE):
        with project.reader() as reader:
            kept = KeptEncoder(encoder, reader)
            kept.encode(batch)
        project.store.commit(Write("embed", {"embeddings": kept.fresh_rows()}))
        progress.advance(len(batch))
    progress.finish(name)
