"""Which captions a round shows: drawn by seed alone, evenly over the classes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from curate.annotate.discovery.questions import Caption


def draw(captions: Sequence[Caption], count: int, seed: int) -> list[Caption]:
    """Return `count` captions (or all), as many of each class as there are, in random order; the seed decides.

    The order in which the captions are given does not matter, for items come in any order.
    """
    random = Random(seed)
    by_class: dict[str, list[Caption]] = {}
    for caption in sorted(captions, key=lambda one: one.item_id):
        by_class.setdefault(caption.of_class, []).append(caption)
    for group in by_class.values():
        random.shuffle(group)
    chosen: list[Caption] = []
    groups = [by_class[name] for name in sorted(by_class)]
    while len(chosen) < min(count, len(captions)):
        for group in groups:
            if group and len(chosen) < count:
                chosen.append(group.pop())
    random.shuffle(chosen)
    return chosen


def shuffled(names: Sequence[str], seed: int) -> list[str]:
    """Return names in another order, which the seed decides.

    >>> sorted(shuffled(["a", "b", "c"], 1)), shuffled(["a", "b", "c"], 1) == shuffled(["a", "b", "c"], 1)
    (['a', 'b', 'c'], True)
    """
    order = list(names)
    Random(seed).shuffle(order)
    return order
