"""Codes over the store: what an item fetched once among a learner's keys is read, and what is new can be kept."""

import numpy as np
import pyarrow as pa

from curate.learners.bottleneck.learner import KeyValueBottleneck
from curate.learners.bottleneck.lookup import Codes
from curate.store.codes import code_rows, kept_codes
from curate.store.reader import Reader
from curate.types import Encoder


class KeptCodes:
    """Codes of items among a bottleneck's keys, which never move: from the store where they are, else looked up.

    Items whose codes are kept are not encoded. What had to be looked up waits in `fresh_rows` for a commit.
    """

    def __init__(self, learner: KeyValueBottleneck, encoder: Encoder, reader: Reader) -> None:
        self._learner, self._encoder, self._reader = learner, encoder, reader
        self._version = f"{encoder.version} {learner.keys_version}"
        self._fresh: list[pa.Table] = []

    def of(self, items: pa.Table) -> Codes:
        """Return int32 of shape (items, heads)."""
        ids: list[str] = items["item_id"].to_pylist()
        known, kept = kept_codes(self._reader, self._version, ids)
        row = {item_id: number for number, item_id in enumerate(known)}
        rows = np.array([row.get(item_id, -1) for item_id in ids], np.int64)
        found = np.zeros((len(ids), len(self._learner.keys)), np.int32)
        found[rows >= 0] = kept[rows[rows >= 0]] if known else 0
        missing = rows < 0
        if missing.any():
            found[missing] = self._looked_up(items.filter(pa.array(missing)))
        return found

    def fresh_rows(self) -> list[pa.Table]:
        """Return what was looked up since the last call, as rows of the table `codes`."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def _looked_up(self, items: pa.Table) -> Codes:
        codes = self._learner.codes(self._encoder.encode(items))
        self._fresh.append(code_rows(self._version, items["item_id"].to_pylist(), codes))
        return codes
