"""Embeddings: the features that a frozen encoder gave an item, kept by the encoder's version."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import StoreError
from curate.store.reader import Reader
from curate.store.write import rows

Features = NDArray[np.float32]


def kept_embeddings(reader: Reader, encoder_version: str, ids: Sequence[str]) -> tuple[list[str], Features]:
    """Return those of the items that have an embedding by this encoder, and their features in the same order.

    Features are float32 of shape (items found, dimension). Cost: that of `Reader.find`, which grows with what is found
    by any encoder; memory: those vectors.

    Raises:
        StoreError: the vectors of one encoder differ in their dimension.
    """
    found = reader.find("embeddings", "item_id", ids, ("item_id", "encoder_version", "vector"))
    found = found.filter(pc.equal(found["encoder_version"], encoder_version))
    if not len(found):
        return [], np.zeros((0, 0), np.float32)
    vectors = found["vector"].combine_chunks()
    lengths = pc.list_value_length(vectors).to_numpy(zero_copy_only=False)
    if len(set(lengths.tolist())) != 1:
        raise StoreError(
            f"embeddings by the encoder {encoder_version!r} have different dimensions", hint="curate doctor"
        )
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    return found["item_id"].to_pylist(), flat.reshape(len(found), lengths[0])


def embedding_rows(encoder_version: str, ids: Sequence[str], features: Features) -> pa.Table:
    """Return features, of shape (items, dimension), as rows of the table `embeddings`."""
    count, dimension = features.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * dimension)
    vectors = pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(features, np.float32).ravel()))
    columns = {
        "item_id": list(ids),
        "encoder_version": encoder_version,
        "dimension": dimension,
        "vector": vectors,
    }
    return rows("embeddings", columns, count)
