"""Signatures and band keys that were kept, so that a new batch is compared with everything that came before."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from curate.store.reader import Reader

BAND_CAPACITY = 256
"""How many items a band key leads to at most: later ones are compared with these, and not kept under it."""
_CONTENT = ("item_id", "modality", "text", "image", "events")
_CONTENT_ROWS = 500


def items_by_band(reader: Reader, bands: pa.Array) -> dict[int, list[str]]:
    """Return the items (at most about `BAND_CAPACITY`) under those of these band keys that are kept.

    Cost: that of `Reader.find`; memory proportional to the batch.
    """
    found = reader.find("bands", "band", bands, ("band", "item_id"))
    items: dict[int, list[str]] = {}
    for band, item_id in zip(found["band"].to_pylist(), found["item_id"].to_pylist(), strict=True):
        items.setdefault(band, []).append(item_id)
    return items


def kept_signatures(reader: Reader, method: str, ids: Sequence[str]) -> dict[str, str]:
    """Return the signatures that these items have under a method."""
    found = reader.find("signatures", "item_id", ids, ("item_id", "signature", "method"))
    found = found.filter(pc.equal(found["method"], method))
    return dict(zip(found["item_id"].to_pylist(), found["signature"].to_pylist(), strict=True))


def contents(reader: Reader, ids: Sequence[str], columns: Sequence[str] = _CONTENT) -> pa.RecordBatchReader:
    """Return the content of these items as a stream, in no order.

    Cost: that of `Reader.find`, half a millisecond for each text of 60 words; memory for 500 items.
    """
    return reader.find_batches("items", "item_id", ids, columns, rows=_CONTENT_ROWS)
