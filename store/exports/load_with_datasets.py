"""A program of its own: let `datasets` load an export, and write what it found to standard output as an Arrow stream.

`python -P load_with_datasets.py FOLDER BATCH_ROWS`. Its schema's metadata has the features of each split as JSON; its
batches have item ids, label codes (if there are labels) and the split, and belong to one split each. All columns are
read. Nothing of curate is imported, and nothing is fetched.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa


def write_found(folder: str, batch_rows: int) -> None:
    """Stream all rows of the export in `folder` to standard output. Memory: one batch."""
    import datasets

    with tempfile.TemporaryDirectory() as cache:
        loaded = datasets.load_dataset(folder, streaming=True, cache_dir=cache)
        with pa.ipc.new_stream(sys.stdout.buffer, _schema(loaded)) as stream:
            for batch in _batches(loaded, stream_schema=_schema(loaded), batch_rows=batch_rows):
                stream.write_batch(batch)


def _schema(loaded: Mapping[str, Any]) -> pa.Schema:
    declared = {str(split): rows.features.to_dict() for split, rows in loaded.items()}
    fields = [("item_id", pa.string()), ("label", pa.int64()), ("split", pa.string())]
    if not any("label" in columns for columns in declared.values()):
        del fields[1]
    return pa.schema(fields, metadata={"features": json.dumps(declared)})


def _batches(loaded: Mapping[str, Any], *, stream_schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
    for split, rows in loaded.items():
        for batch in rows.with_format("arrow").iter(batch_size=batch_rows):
            columns = {"split": pa.chunked_array([pa.repeat(str(split), len(batch))])}
            columns |= {name: batch[name] for name in stream_schema.names if name != "split"}
            yield from pa.table(columns, schema=stream_schema).combine_chunks().to_batches()


if __name__ == "__main__":
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    write_found(sys.argv[1], int(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # all is written: threads of pyarrow still running while Python is taken down can abort the process
