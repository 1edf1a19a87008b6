"""Files outside the store that name an item: exports, reports."""

import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def files_naming(places: Iterable[Path], items: Sequence[str]) -> Iterator[Path]:
    """Yield the files in these folders (or these files) that name one of the items by its id, whatever their format.

    Parquet is asked for its column `item_id`; everything else (JSON lines, tar, HTML) is searched for the ids.
    Cost: each file is read once, of Parquet one column.
    """
    for place in places:
        paths = sorted(place.rglob("*")) if place.is_dir() else [place]
        yield from (path for path in paths if path.is_file() and _names(path, items))


def _names(path: Path, items: Sequence[str]) -> bool:
    if path.suffix == ".parquet":
        return _column_names(path, items)
    if not path.stat().st_size:
        return False
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(item.encode()) >= 0 for item in items)


def _column_names(path: Path, items: Sequence[str]) -> bool:
    try:
        with pq.ParquetFile(path) as file:
            if "item_id" not in file.schema_arrow.names:
                return False
            batches = file.iter_batches(columns=["item_id"])
            wanted = pa.array(items, pa.string())
            return any(pc.any(pc.is_in(batch["item_id"], value_set=wanted)).as_py() for batch in batches)
    except (pa.ArrowException, OSError):
        return True  # it cannot be read: a person must look
