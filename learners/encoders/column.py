"""Reading what an encoder needs from an items table, with errors that name the item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from curate.errors import BadDataError

if TYPE_CHECKING:
    import pyarrow as pa


def column_of(items: pa.Table, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each item's id with its value in this column, converting one value at a time.

    Raises:
        BadDataError: a column is missing, or an item has nothing in it.
    """
    for needed in ("item_id", name):
        if needed not in items.column_names:
            raise BadDataError(f"the items table has no column {needed!r}; it has {', '.join(items.column_names)}")
    for item_id, value in zip(items.column("item_id"), items.column(name), strict=True):
        if not value.is_valid:
            raise BadDataError(f"item {item_id.as_py()} has no {name}", hint="give the encoder items of its modality")
        yield item_id.as_py(), value.as_py()
