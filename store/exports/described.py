"""The card of an export: who claimed what about the label, counted from the published claims, and what else it says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from curate.store.card import dataset_card
from curate.store.exports.matching import Positions, id_words
from curate.store.exports.pieces import Piece, Workers, pieces_of
from curate.store.exports.plan import ExportPlan
from curate.store.exports.target import Target
from curate.store.reader import Reader
from curate.store.snapshots import snapshot_row
from curate.types import SPLITS

_KIND = ("annotator", "annotator_kind", "annotator_version", "protocol_version")
_COLUMNS = ("item_id", "attribute", "value", *_KIND, "commit_number")
_SHOWN = ("annotator", "kind", "version", "protocol")
Counts = Counter[tuple[tuple[str, ...], bool]]
_Integers = np.ndarray[Any, np.dtype[np.int64]]


class Description:
    """The card of an export, for which the workers' threads begin to count at once.

    Cost: one pass over the claims about the label; see `Origins.licence_sets`.
    """

    def __init__(self, reader: Reader, plan: ExportPlan, target: Target, workers: Workers) -> None:
        self._reader, self._plan, self._target = reader, plan, target
        row = snapshot_row(reader, plan.snapshot)
        self._as_of, label = row.as_of, row.spec["label"]
        labels = target.columns["label"]
        self._counting = [
            workers.read(count_claims, piece, target.positions, labels, plan.class_names, label, row.as_of)
            for piece in (pieces_of(reader, "annotations") if label else ())
        ]

    def finish(self) -> tuple[str, list[str]]:
        """Return the card, and the licences of all origins in order ("" where some declare none)."""
        licences = self._target.origins.licence_sets()
        claims = claim_rows(sum((task.result() for task in self._counting), Counts()))
        names = sorted({name for licence_set, _ in licences for name in licence_set})
        return dataset_card(self._reader, self._plan.snapshot, self._counts(), claims, licences), names

    def _counts(self) -> list[dict[str, Any]]:
        """How many items each label has in each split, by their names."""
        labels, splits = self._target.columns["label"], self._target.columns["split"].astype(np.int64)
        names = [*self._target.names, ""]
        counted = np.bincount(splits * len(names) + labels % len(names), minlength=len(SPLITS) * len(names))
        found = [(SPLITS[key // len(names)], names[key % len(names)], int(n)) for key, n in enumerate(counted) if n]
        return [dict(zip(("split", "label", "items"), row, strict=True)) for row in sorted(found)]


def count_claims(
    piece: Piece, positions: Positions, labels: _Integers, class_names: Sequence[str], label: str, as_of: int
) -> Counts:
    """Count the claims of a piece of `annotations` about the attribute `label`, up to the commit `as_of`.

    `labels` are codes in `class_names` by an item's position. The key is the annotator with its kind, version and
    protocol's version, and whether it says another value than the label. Memory: one batch.
    """
    codes = {name: code for code, name in enumerate(class_names)}
    counts: Counts = Counter()
    for batch in piece.read(_COLUMNS, _COLUMNS[1:-1]):
        batch = _about(batch, label, as_of)
        if not len(batch):
            continue
        found = positions.find(id_words(batch["item_id"]))
        value = _coded(batch["value"])
        said = np.asarray([codes.get(name, -2) for name in value.dictionary.to_pylist()], np.int64)[_places(value)]
        others = said != labels[found]
        kinds, names = _kinds(batch)
        tallied = np.bincount((kinds * 2 + others)[found >= 0], minlength=2 * len(names))
        counts.update({(names[key // 2], bool(key % 2)): int(n) for key, n in enumerate(tallied) if n})
    return counts


def claim_rows(counts: Mapping[tuple[tuple[str, ...], bool], int]) -> list[dict[str, Any]]:
    """Return the counts as rows for the card, in the order of their annotators."""
    kinds = sorted({kind for kind, _ in counts})
    return [
        {
            **dict(zip(_SHOWN, kind, strict=True)),
            "claims": counts.get((kind, False), 0) + counts.get((kind, True), 0),
            "other than the label": counts.get((kind, True), 0),
        }
        for kind in kinds
    ]


def _about(batch: pa.RecordBatch, label: str, as_of: int) -> pa.RecordBatch:
    attribute = _coded(batch["attribute"])
    names = np.asarray([name == label for name in attribute.dictionary.to_pylist()], np.bool_)
    asked = names[_places(attribute)] & (batch["commit_number"].to_numpy() <= as_of)
    return batch if bool(asked.all()) else batch.take(pa.array(np.flatnonzero(asked)))


def _kinds(batch: pa.RecordBatch) -> tuple[_Integers, list[tuple[str, ...]]]:
    """The place of each claim's annotator among the different ones of a batch, and these."""
    columns = [_coded(batch[name]) for name in _KIND]
    if all(len(column.dictionary) == 1 and not column.null_count for column in columns):
        return np.zeros(len(batch), np.int64), [tuple(str(column.dictionary[0]) for column in columns)]
    combined = np.zeros(len(batch), np.int64)
    for column in columns:
        combined = combined * len(column.dictionary) + _places(column)
    _, first, kinds = np.unique(combined, return_index=True, return_inverse=True)
    return kinds, [tuple(str(column[int(row)]) for column in columns) for row in first]


def _coded(column: pa.Array) -> pa.DictionaryArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _places(column: pa.DictionaryArray) -> _Integers:
    return np.asarray(column.indices.to_numpy(zero_copy_only=False)).astype(np.int64)
