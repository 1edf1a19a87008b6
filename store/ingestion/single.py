"""Files that are one item: a text, or an image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from curate.store.ingestion.batches import Chunk, assemble
from curate.store.ingestion.source_file import SourceFile
from curate.store.ingestion.mapping import Mapping


def read_single(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield the one row of a text or image file, unless reading starts behind it; at most `item_bytes` are loaded.

    Raises:
        OSError: the file cannot be read.
    """
    if start_row > 0:
        return
    with file.path.open("rb") as stream:
        content = stream.read(mapping.item_bytes + 1)
    locator = pa.array([file.locator])
    yield assemble(Chunk(np.zeros(1, np.int64), locator, pa.array([content], pa.binary()), locator), file, mapping)
