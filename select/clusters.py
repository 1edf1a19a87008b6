"""Groups of items that say or show the same, and who stands for each, whatever the order in which they arrived.

Items are joined pair by pair; a group is a connected component, and its representative is its smallest id. A group
keeps its representative and drops the rest, unless some of its items serve to evaluate: then it keeps those alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Item = TypeVar("Item", str, int)


class Forest(Generic[Item]):
    """Which items belong together, as they are joined; an item never heard of stands alone.

    >>> forest = Forest[str]()
    >>> forest.join("b", "c"), forest.join("c", "a"), forest.join("a", "b")
    (True, True, False)
    >>> forest.find("c"), forest.find("d")
    ('a', 'd')
    """

    def __init__(self) -> None:
        self._above: dict[Item, Item] = {}

    def find(self, item: Item) -> Item:
        """Return the smallest item of an item's group."""
        root = item
        while (above := self._above.get(root, root)) != root:
            root = above
        while item != root:
            self._above[item], item = root, self._above[item]
        return root

    def join(self, first: Item, second: Item) -> bool:
        """Make two groups one; return whether they were two."""
        low, high = sorted((self.find(first), self.find(second)))
        if low == high:
            return False
        self._above[high] = low
        return True

    def groups(self, items: Iterable[Item]) -> dict[Item, list[Item]]:
        """Return these items by the smallest item of their group."""
        found: dict[Item, list[Item]] = {}
        for item in items:
            found.setdefault(self.find(item), []).append(item)
        return found


@dataclass(frozen=True, slots=True)
class Member:
    """An item of a group; `evaluates` says that a snapshot holds it in a split that is not trained on."""

    item_id: str
    evaluates: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an item: its group's representative, and the item that it duplicates (None for one that is kept).

    `against_evaluation` says that it is dropped for the sake of an item that evaluates.
    """

    item_id: str
    representative: str
    duplicate_of: str | None
    against_evaluation: bool


def judge(members: Iterable[Member]) -> Iterator[Verdict]:
    """Yield the verdict on each member of one group, in the order of their ids.

    >>> [verdict.duplicate_of for verdict in judge([Member("c"), Member("a"), Member("b")])]
    [None, 'a', 'a']
    >>> [verdict.duplicate_of for verdict in judge([Member("c"), Member("a"), Member("b", evaluates=True)])]
    ['b', None, 'b']
    """
    ordered = sorted(members, key=lambda member: member.item_id)
    representative = ordered[0].item_id
    evaluating = [member.item_id for member in ordered if member.evaluates]
    kept = set(evaluating) or {representative}
    for member in ordered:
        duplicate_of = None if member.item_id in kept else (evaluating or [representative])[0]
        yield Verdict(member.item_id, representative, duplicate_of, bool(evaluating) and duplicate_of is not None)


def buckets(keys: NDArray[np.int64], present: NDArray[np.bool_]) -> Iterator[list[int]]:
    """Yield the positions that share a key, for every key that several present rows of `keys` (items, keys) hold."""
    import numpy as np

    positions = np.flatnonzero(present)
    flat = keys[positions].ravel()
    order = np.argsort(flat, kind="stable")
    owners = positions[order // max(keys.shape[1], 1)]
    borders = np.flatnonzero(np.diff(flat[order])) + 1
    starts, ends = np.append(0, borders), np.append(borders, len(flat))
    for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
        yield owners[start:end].tolist()


def connect(
    forest: Forest[Item],
    groups: Iterable[list[Item]],
    alike: Callable[[Item, Item], bool],
    most: int | None = None,
) -> list[tuple[Item, Item]]:
    """Join the items of each group that are alike, and return the pairs that joined them.

    Pairs that are joined already, and pairs found unlike before, are not compared: as many comparisons as there are
    items where all of a group are alike, all pairs of it where none are. With `most`, a group's items are compared with
    its first `most` items only.
    """
    joined: list[tuple[Item, Item]] = []
    unlike: set[tuple[Item, Item]] = set()
    for group in groups:
        for pair in _apart(forest, group, most):
            if pair in unlike:
                continue
            if alike(*pair):
                forest.join(*pair)
                joined.append(pair)
            else:
                unlike.add(pair)
    return joined


def _apart(forest: Forest[Item], group: list[Item], most: int | None) -> Iterator[tuple[Item, Item]]:
    """Yield the pairs of a group that do not belong together by the time when they are asked for."""
    for place, first in enumerate(group[:most]):
        if len({forest.find(item) for item in group[place:]}) == 1:
            return
        for other in group[place + 1 :]:
            if forest.find(first) != forest.find(other):
                yield first, other
