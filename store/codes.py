"""Codes: the pairs that an item fetches among a learner's frozen keys, kept so that it can be learned from again."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import StoreError
from curate.store.reader import Reader
from curate.store.write import rows

Codes = NDArray[np.int32]


def kept_codes(reader: Reader, keys_version: str, ids: Sequence[str]) -> tuple[list[str], Codes]:
    """Return those of the items that have codes among these keys, and their codes in the same order.

    Codes are int32 of shape (items found, heads). Cost: that of `Reader.find`; memory: those codes.

    Raises:
        StoreError: the codes among the same keys differ in their number.
    """
    found = reader.find("codes", "item_id", ids, ("item_id", "keys_version", "codes"))
    found = found.filter(pc.equal(found["keys_version"], keys_version))
    if not len(found):
        return [], np.zeros((0, 0), np.int32)
    lists = found["codes"].combine_chunks()
    lengths = set(pc.list_value_length(lists).to_pylist())
    if len(lengths) != 1:
        raise StoreError(f"codes among the keys {keys_version!r} differ in their number", hint="curate doctor")
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return found["item_id"].to_pylist(), flat.reshape(len(found), lengths.pop())


def code_rows(keys_version: str, ids: Sequence[str], codes: Codes) -> pa.Table:
    """Return codes, of shape (items, heads), as rows of the table `codes`."""
    count, heads = codes.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * heads)
    lists = pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(codes, np.int32).ravel()))
    return rows("codes", {"item_id": list(ids), "keys_version": keys_version, "codes": lists}, count)
