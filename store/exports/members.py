"""The members of a snapshot as it lists them: ids, labels, splits and scores, without their content."""

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.store.address import LakeAddress
from curate.store.exports.pieces import Workers
from curate.store.reader import Reader
from curate.store.segments import read_where, row_groups
from curate.store.snapshots import Numbered
from curate.types import SPLITS

_ROWS = 100_000
_GROUPS = 1_000
"""Row groups of a segment that one thread reads."""
_COLUMNS = ("item_id", "label", "split", "score")
_MEMBERS = f"SELECT {', '.join(_COLUMNS)} FROM snapshot_items WHERE snapshot = $snapshot AND number = $number"
_Integers = np.ndarray[Any, np.dtype[np.int64]]
_LAYOUT = pa.schema([("item_id", pa.string()), ("label", pa.int64()), ("split", pa.int8()), ("score", pa.float64())])


class Members:
    """A snapshot's members in `rows` (item_id, label's code, split's code, score), as they were committed.

    Labels are codes in `names`, splits are codes in `SPLITS`. Threads begin to read them at once; `wait` must come
    before they are asked for. Memory: about 90 bytes a member.
    """

    def __init__(self, reader: Reader, snapshot: Numbered, workers: Workers) -> None:
        self.names: list[str] = []
        self._codes: dict[str, int] = {}
        self._reading = _start_reading(reader, snapshot, workers)

    def wait(self) -> None:
        """Wait until all members are read."""
        batches = [self._coded(batch) for task in self._reading for batch in task.result()]
        self._reading.clear()
        self.rows = pa.Table.from_batches(batches, _LAYOUT)

    def name_labels(self, names: Sequence[str]) -> None:
        """Let labels be codes in `names`, which hold all that there are."""
        code_of = np.asarray([*(names.index(name) for name in self.names), -1], np.int64)
        codes = code_of[self.rows["label"].fill_null(-1).to_numpy()]
        at = self.rows.column_names.index("label")
        self.rows = self.rows.set_column(at, "label", pa.array(codes, mask=codes < 0))
        self.names = list(names)

    def _coded(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        label, split = (batch[name].dictionary_encode() for name in ("label", "split"))
        for name in label.dictionary.to_pylist():
            if name not in self._codes:
                self._codes[name] = len(self.names)
                self.names.append(name)
        labels = pa.array([self._codes[name] for name in label.dictionary.to_pylist()], pa.int64())
        splits = pa.array([SPLITS.index(name) for name in split.dictionary.to_pylist()], pa.int8())
        columns = [batch["item_id"], labels.take(label.indices), splits.take(split.indices), batch["score"]]
        return pa.RecordBatch.from_arrays(columns, schema=_LAYOUT)


def _start_reading(reader: Reader, snapshot: Numbered, workers: Workers) -> list[Future[list[pa.RecordBatch]]]:
    """Read the members in pieces, whose order is theirs."""
    wanted: dict[str, str | int] = {"snapshot": snapshot.snapshot, "number": snapshot.number}
    if isinstance(reader.address, LakeAddress):
        return [workers.read(lambda: list(reader.stream(_MEMBERS, wanted, rows=_ROWS)))]
    return [
        workers.read(_read, path, wanted, slice(first, first + _GROUPS))
        for path in reader.segments("snapshot_items")
        for first in range(0, row_groups(path), _GROUPS)
    ]


def _read(path: Path, wanted: dict[str, str | int], groups: slice) -> list[pa.RecordBatch]:
    return list(read_where(path, _COLUMNS, wanted, groups))
