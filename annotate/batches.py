"""How an annotator looks at a batch: one item after the other, whatever columns the table has."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

Content = str | bytes
"""A text, or an image's bytes."""


def contents(items: pa.Table, modalities: Collection[str]) -> Iterator[tuple[str, Content]]:
    """Yield each item's id with its text or its image, in order, leaving out what is neither or not asked for."""
    images = items.column("image") if "image" in items.column_names and "image" in modalities else [None] * len(items)
    for (name, text), image in zip(texts(items), images, strict=True):
        if text is not None and "text" in modalities:
            yield name, text
        elif image is not None and image.is_valid:
            yield name, image.as_py()


def texts(items: pa.Table) -> Iterator[tuple[str, str | None]]:
    """Yield each item's id and text, in order; the text is None where there is none, or nothing but white space.

    A text annotator abstains on such an item: it is an image or an event sequence, and no failure.
    """
    names = items.column("item_id").to_pylist()
    written = items.column("text").to_pylist() if "text" in items.column_names else [None] * len(names)
    for name, text in zip(names, written, strict=True):
        yield name, text if text and not text.isspace() else None
