"""Tombstones: items that were erased are refused when they arrive again."""

import pyarrow as pa
import pyarrow.compute as pc

from curate.store.reader import Reader

REASON = "erased"
_DETAIL = "this content was erased; its tombstone keeps it out"


def refuse_erased(reader: Reader, records: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Part arrived records from those whose item was erased, which become rejects (with a `fingerprint`).

    Cost: nothing where nothing was ever erased; else one scan of the tombstones.
    """
    erased = _erased(reader, records)
    refused = records.filter(erased)
    columns = {
        "locator": refused["locator"].cast(pa.string()),
        "reason": pa.repeat(REASON, len(refused)),
        "detail": pa.repeat(_DETAIL, len(refused)),
        "fingerprint": pc.utf8_slice_codeunits(refused["item_id"], 0, 16),
    }
    return records.filter(pc.invert(erased)), pa.table(columns)


def _erased(reader: Reader, records: pa.Table) -> pa.Array | pa.ChunkedArray:
    if not reader.manifest.rows("tombstones"):
        return pa.repeat(False, len(records))
    reader.register("arriving", records.select(["item_id"]))
    found = reader.query("SELECT item_id FROM tombstones SEMI JOIN arriving USING (item_id)")
    return pc.is_in(records["item_id"], value_set=found["item_id"].combine_chunks())
