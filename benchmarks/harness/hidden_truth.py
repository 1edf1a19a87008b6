"""Items whose hidden truth is known, and protocols as readings of it: which questions must a new version ask?

Nothing here knows how curate migrates. Each attribute reads one side of an item: a set of marks, of which each value
covers some, and a value is an answer where the item has one of its marks. A question of a new version must be asked
where it applies and no old answer leaves but one new answer possible, over all sets of marks that there could be. That
is found by trying them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from random import Random
from typing import Any

from curate.types import joined_values

Marks = frozenset[int]
Item = tuple[Marks, ...]
"""The marks of an item, by side."""
Place = tuple[int, str]
"""An item by its number, and an attribute."""
SINGLE_SIDES, SIDES = 4, 6
SINGLE_MARKS, SEVERAL_MARKS = 12, 9


@dataclass(frozen=True)
class Meaning:
    """An attribute as its author means it: which marks of a side each value covers, and when it is asked."""

    name: str
    side: int
    covers: Mapping[str, Marks] = field(hash=False)
    question: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict, hash=False)
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def multiple(self) -> bool:
        """Whether an answer may be several values."""
        return self.side >= SINGLE_SIDES

    def chosen(self, marks: Marks) -> tuple[str, ...]:
        """Return the values that are true of an item with these marks."""
        return tuple(value for value, covered in self.covers.items() if covered & marks)

    def answer(self, item: Item) -> str:
        """Return what is true of an item, in the protocol's spelling."""
        chosen = self.chosen(item[self.side])
        if self.multiple:
            return joined_values(chosen)
        [value] = chosen
        return value

    def settings(self) -> dict[str, Any]:
        """Return the attribute as `curate.toml` has it."""
        written = {"name": self.name, "question": self.question, "values": list(self.covers)}
        told = {"descriptions": dict(self.descriptions)} if self.descriptions else {}
        when = {"when": {name: list(values) for name, values in self.when.items()}} if self.when else {}
        return written | told | when | ({"multiple": True} if self.multiple else {})


Meanings = tuple[Meaning, ...]


def applies(meanings: Meanings, meaning: Meaning, item: Item) -> bool:
    """Whether an attribute is to be asked of an item, given what is true of it."""
    by_name = {one.name: one for one in meanings}
    return all(
        set(by_name[name].chosen(item[by_name[name].side])) & set(values) for name, values in meaning.when.items()
    )


def questions(meanings: Meanings, items: Sequence[Item]) -> set[Place]:
    """Return every question of a protocol: each attribute of each item that it applies to."""
    return {(number, one.name) for number, item in enumerate(items) for one in meanings if applies(meanings, one, item)}


def needed(asked: Sequence[Meanings], new: Meanings, items: Sequence[Item]) -> set[Place]:
    """Return the questions of a new version that the answers to those that were asked before do not settle."""
    wanted = questions(new, items)
    for old in asked:
        answered = questions(old, items)
        for one, before in ((one, before) for one in new for before in old if before.side == one.side):
            settling = _settling(before, one)
            wanted -= {
                (number, one.name)
                for number, item in enumerate(items)
                if (number, before.name) in answered and before.answer(item) in settling
            }
    return wanted


def _settling(before: Meaning, after: Meaning) -> set[str]:
    """Return the old answers behind which there is one new answer only."""
    possible: dict[str, set[str]] = {}
    for marks in _possible(before.side):
        item = (marks,) * SIDES
        possible.setdefault(before.answer(item), set()).add(after.answer(item))
    return {answer for answer, later in possible.items() if len(later) == 1}


@cache
def _possible(side: int) -> tuple[Marks, ...]:
    """Return every set of marks that an item may have on a side: of one mark, or of any number."""
    if side < SINGLE_SIDES:
        return tuple(frozenset({mark}) for mark in range(SINGLE_MARKS))
    marks = range(SEVERAL_MARKS)
    return tuple(frozenset(some) for count in range(SEVERAL_MARKS + 1) for some in combinations(marks, count))


def drawn_items(count: int, random: Random) -> list[Item]:
    """Draw items; some marks are far more frequent than others."""
    weights = [[random.expovariate(1.0) + 0.1 for _ in range(SINGLE_MARKS)] for _ in range(SINGLE_SIDES)]
    chances = [[random.uniform(0.05, 0.5) for _ in range(SEVERAL_MARKS)] for _ in range(SINGLE_SIDES, SIDES)]
    return [
        (
            *(frozenset(random.choices(range(SINGLE_MARKS), one)) for one in weights),
            *(frozenset(mark for mark, chance in enumerate(one) if random.random() < chance) for one in chances),
        )
        for _ in range(count)
    ]


def drawn_protocol(random: Random) -> Meanings:
    """Draw the first version: three attributes of one value, one of several that leaves a mark without a value.

    The second attribute is asked where the first has two of its four values.
    """
    top = _drawn("top", 0, random)
    when = {"top": tuple(sorted(random.sample(sorted(top.covers), 2)))}
    sleeve = _drawn("sleeve", 1, random, when)
    return top, sleeve, _drawn("colour", 2, random), _drawn("patches", SINGLE_SIDES, random)


def _drawn(name: str, side: int, random: Random, when: Mapping[str, tuple[str, ...]] | None = None) -> Meaning:
    """Draw an attribute of four values, each of which covers even marks and odd ones."""
    count = SINGLE_MARKS if side < SINGLE_SIDES else SEVERAL_MARKS - 1
    marks = [mark for first in (0, 1) for mark in random.sample(range(first, count, 2), count // 2)]
    covers = {f"{name} {letter}": frozenset(marks[place::4]) for place, letter in enumerate("abcd")}
    told = {value: f"whatever is {value}" for value in covers}
    return Meaning(name, side, covers, f"Which {name} has it?", told, when or {})


def drawn_attribute(
    name: str, random: Random, *, multiple: bool = False, when: Mapping[str, tuple[str, ...]] | None = None
) -> Meaning:
    """Draw an attribute of a side that the first version does not read."""
    return _drawn(name, SIDES - 1 if multiple else SINGLE_SIDES - 1, random, when)
