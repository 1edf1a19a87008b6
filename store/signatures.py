"""Signatures that were kept, so that a new batch is compared with everything that came before."""

from collections.abc import Sequence

import pyarrow as pa

from curate.store.reader import Reader


def smallest_by_signature(reader: Reader, method: str, signatures: Sequence[str]) -> dict[str, str]:
    """Return the smallest kept item id of each of these signatures that an earlier batch has met.

    Cost: one scan of the method's signatures; memory proportional to the batch.
    """
    reader.register("wanted", pa.table({"signature": pa.array(signatures, pa.string())}))
    found = reader.query(
        "SELECT signature, min(item_id) AS item_id FROM signatures SEMI JOIN wanted USING (signature)"
        " WHERE method = ? GROUP BY signature",
        [method],
    )
    return dict(zip(found["signature"].to_pylist(), found["item_id"].to_pylist(), strict=True))
