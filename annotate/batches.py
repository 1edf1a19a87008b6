"""How an annotator looks at a batch: one item after the other, whatever columns the table has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def texts(items: pa.Table) -> Iterator[tuple[str, str | None]]:
    """Yield each item's id and text, in order; the text is None where there is none, or nothing but white space.

    A text annotator abstains on such an item: it is an image or an event sequence, and no failure.
    """
    names = items.column("item_id").to_pylist()
    written = items.column("text").to_pylist() if "text" in items.column_names else [None] * len(names)
    for name, text in zip(names, written, strict=True):
        yield name, text if text and not text.isspace() else None
