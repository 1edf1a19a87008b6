"""Features that were computed elsewhere: plain arrays, looked up by the item's id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.errors import BadDataError, ConfigurationError
from curate.learners.encoders.weights import hash_of_files
from curate.learners.inputs import checked_features
from curate.learners.numerics import Features
from curate.types import MODALITIES, Modality

if TYPE_CHECKING:
    import pyarrow as pa


class ArrayEncoder:
    """Hands out features that are given: float32 of shape (items, dimension), one row for each id.

    Memory: the features.

    Raises:
        BadDataError: features that are no finite numbers, not as many as ids, or an id that is there twice.

    >>> import pyarrow as pa
    >>> encoder = ArrayEncoder(["a", "b"], np.eye(2, dtype=np.float32), "mine/1")
    >>> encoder.encode(pa.table({"item_id": ["b"]}))
    array([[0., 1.]], dtype=float32)
    """

    costly = False
    modalities: tuple[Modality, ...] = MODALITIES

    def __init__(self, ids: Sequence[str], features: Features, version: str) -> None:
        self._features = checked_features(features, None)
        self._places = {item_id: place for place, item_id in enumerate(ids)}
        if not len(self._places) == len(ids) == len(self._features):
            raise BadDataError(f"{len(self._features)} rows of features came with {len(self._places)} different ids")
        self.version = version

    @property
    def dimension(self) -> int:
        """The width of the features."""
        return int(self._features.shape[1])

    @classmethod
    def from_parquet(cls, file: Path) -> ArrayEncoder:
        """Read the columns `item_id` and `features` (a list of numbers) of a Parquet file.

        Raises:
            ConfigurationError: it cannot be read, or lacks a column.
            BadDataError: the features differ in their dimension, or are no finite numbers.
        """
        import pyarrow.parquet as parquet

        try:
            table = parquet.read_table(file, columns=["item_id", "features"])
            ids, rows = table["item_id"].to_pylist(), table["features"].to_pylist()
            version = f"arrays/1+{hash_of_files(file)}"
        except (OSError, ValueError, KeyError) as error:
            hint = "its columns are item_id and features, a list of numbers"
            raise ConfigurationError(f"no features can be read from {file.name}: {error}", hint=hint) from error
        if len({len(row or ()) for row in rows}) > 1:
            raise BadDataError(f"the features in {file.name} differ in their dimension")
        return cls(ids, np.array(rows, np.float32).reshape(len(rows), -1 if rows else 0), version)

    def encode(self, items: pa.Table) -> Features:
        """Return the rows of the items.

        Raises:
            BadDataError: there is none of an item; names it.
        """
        ids = items.column("item_id").to_pylist()
        for item_id in ids:
            if item_id not in self._places:
                raise BadDataError(f"no features were given for item {item_id}", hint="add it to the encoder's file")
        return self._features[[self._places[item_id] for item_id in ids]]
