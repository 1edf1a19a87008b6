"""What a learner is asked before and after an increment, and the slices that its answers are looked at by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curate.store.reader import Reader
from curate.store.slices import numbers_of, values_of

Mask = np.ndarray[Any, np.dtype[np.bool_]]
NUMBER, CLASS = "number:", "class:"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The labels of test items in the order of their ids, and which of them the learner told rightly.

    `slices` mark the items of slices other than classes: `number:3` came with the third number of the snapshot,
    `season:winter` has this value of an attribute.
    """

    labels: tuple[str, ...]
    right: Mask
    slices: Mapping[str, Mask] = field(default_factory=dict)

    @property
    def items(self) -> int:
        """How many test items there were."""
        return len(self.labels)

    @property
    def accuracy(self) -> float:
        """The share of correct answers; 0 without test items."""
        return float(self.right.sum()) / self.items if self.items else 0.0

    def of(self, classes: Collection[str]) -> Evaluation:
        """Return the part whose labels are among these."""
        return self.where(np.array([label in classes for label in self.labels], np.bool_))

    def where(self, chosen: Mask) -> Evaluation:
        """Return the part that is marked, without its slices."""
        kept = tuple(label for label, keep in zip(self.labels, chosen, strict=True) if keep)
        return Evaluation(kept, self.right[chosen])

    def parts(self) -> Iterator[tuple[str, Evaluation]]:
        """Yield the name and the part of every slice: all items, classes, and the others."""
        yield "all", self
        for label in sorted(set(self.labels)):
            yield f"{CLASS}{label}", self.of([label])
        for name, chosen in self.slices.items():
            yield name, self.where(chosen)

    def guarded(self, *, classes: bool) -> dict[str, Mask]:
        """Return the slices that the promotion gate guards: those by attributes, and classes where it is told to."""
        found = {name: chosen for name, chosen in self.slices.items() if not name.startswith(NUMBER)}
        if classes:
            labels = np.array(self.labels, dtype=np.str_)
            found |= {f"{CLASS}{label}": labels == label for label in np.unique(labels)}
        return found


def slices_of(
    reader: Reader, snapshot: str, number: int, attributes: Sequence[str], ids: Sequence[str]
) -> dict[str, Mask]:
    """Return the slices of test items: by the number with which they came, and by their values of attributes."""
    found = _masks(NUMBER, numbers_of(reader, snapshot, number, ids), ids)
    for attribute in attributes:
        found |= _masks(f"{attribute}:", values_of(reader, attribute, ids), ids)
    return found


def _masks(prefix: str, values: Mapping[str, str], ids: Sequence[str]) -> dict[str, Mask]:
    mine = np.array([values.get(item_id, "") for item_id in ids], dtype=np.str_)
    return {f"{prefix}{value}": mine == value for value in sorted(set(values.values()))}
