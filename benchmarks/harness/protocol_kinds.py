"""Kinds of changes to a protocol, each drawn at random and told to curate as its documentation says to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from benchmarks.harness.hidden_truth import SEVERAL_MARKS, Marks, Meaning, Meanings, drawn_attribute

Migration = dict[str, Any]
Changed = tuple[Meanings, Migration]
Kind = Callable[[Meanings, Random], Changed]
Becomes = Mapping[str, tuple[str, ...]]
"""What an old value becomes; those that stay are not named."""
HALVES, EITHER = (" one", " two"), " or "
"""How the values are named that were split or merged."""


def attribute_renamed(meanings: Meanings, random: Random) -> Changed:
    """Call an attribute otherwise, also where others depend on it."""
    before = random.choice(meanings)
    name = f"{before.name}-renamed"
    after = tuple(
        replace(one, name=name if one is before else one.name, when={name if parent == before.name else parent: values
                                                                     for parent, values in one.when.items()})
        for one in meanings
    )  # fmt: skip
    return after, {"attributes": {before.name: name}}


def value_renamed(meanings: Meanings, random: Random, *, multiple: bool = False) -> Changed:
    """Call a value otherwise."""
    before = _attribute(meanings, random, multiple=multiple)
    [old] = _values(before, random, 1)
    new = f"{old} renamed"
    return _recast(meanings, before, _exchanged(before, {old: {new: before.covers[old]}}), {old: (new,)})


def values_merged(meanings: Meanings, random: Random, *, multiple: bool = False) -> Changed:
    """Make one of two values, with a description of its own."""
    before = _attribute(meanings, random, multiple=multiple)
    one, other = _values(before, random, 2)
    merged = f"{one}{EITHER}{other}"
    covers = _exchanged(before, {one: {merged: before.covers[one] | before.covers[other]}, other: {}})
    after, migration = _recast(meanings, before, covers, {one: (merged,), other: (merged,)})
    return _told(after, before.name, {merged: "either of them"}), migration


def value_split(meanings: Meanings, random: Random, *, multiple: bool = False) -> Changed:
    """Make two of one value."""
    before = _attribute(meanings, random, multiple=multiple)
    [old] = _values(before, random, 1)
    halves = _halves(before, old, random)
    return _recast(meanings, before, _exchanged(before, {old: halves}), {old: tuple(halves)})


def value_added(meanings: Meanings, random: Random, *, multiple: bool = False) -> Changed:
    """Add a value that any item may have: it takes something of every other, or is beside them."""
    before = _attribute(meanings, random, multiple=multiple)
    parts = {value: _parted(covered, random) for value, covered in before.covers.items()}
    added: Marks = frozenset().union(*(taken for taken, _ in parts.values()))
    covers = {value: rest for value, (_, rest) in parts.items()}
    if multiple:
        added, covers = _uncovered(before), dict(before.covers)
    return _recast(meanings, before, covers | {f"{before.name} new": added}, {})


def value_added_within(meanings: Meanings, random: Random, *, multiple: bool = False) -> Changed:
    """Add a value that was part of an old one, which stays, with a narrower description."""
    before = _attribute(meanings, random, multiple=multiple)
    [old] = _values(before, random, 1)
    taken, rest = _parted(before.covers[old], random)
    new = f"{before.name} new"
    after, migration = _recast(meanings, before, {**before.covers, old: rest, new: taken}, {old: (old, new)})
    return _told(after, before.name, {old: "in the narrower sense"}), migration


def value_taken_away(meanings: Meanings, random: Random, *, multiple: bool = False) -> Changed:
    """Take a value away: its items have others now, or without it what else they had."""
    before = _attribute(meanings, random, multiple=multiple)
    old, one, other = _values(before, random, 3)
    some, rest = _parted(before.covers[old], random)
    covers = _exchanged(before, {old: {}})
    if not multiple:
        covers |= {one: covers[one] | some, other: covers[other] | rest}
    return _recast(meanings, before, covers, {old: ()})


def descriptions_changed(meanings: Meanings, random: Random, *, multiple: bool = False) -> Changed:
    """Let every value mean something else than before: each gives some of what it covers to the next.

    Of several values the first takes what no value covered, too.
    """
    before = _attribute(meanings, random, multiple=multiple)
    names = list(before.covers)
    parts = [_parted(before.covers[value], random) for value in names]
    covers = {value: parts[place][1] | parts[place - 1][0] for place, value in enumerate(names)}
    covers[names[0]] |= _uncovered(before)
    after, migration = _recast(meanings, before, covers, {})
    return _told(after, before.name, dict.fromkeys(names, "in another sense")), migration


def description_changed(meanings: Meanings, random: Random, *, multiple: bool = False, at: str = "") -> Changed:
    """Let one value mean something else: of every other it takes the odd marks, and gives its own odd ones to one.

    Of several values it takes what no value covered, too.
    """
    before = _attribute(meanings, random, multiple=multiple, at=at)
    changed = random.choice([value for value in before.covers if at in value])
    other = random.choice([value for value in before.covers if value != changed])
    odd = {value: _odd(covered) for value, covered in before.covers.items()}
    covers = {value: covered - odd[value] for value, covered in before.covers.items()}
    covers[changed] |= _uncovered(before).union(*(marks for value, marks in odd.items() if value != changed))
    covers[other] |= odd[changed]
    after, migration = _recast(meanings, before, covers, {})
    return _told(after, before.name, {changed: "in another sense"}), migration


def description_reworded(meanings: Meanings, random: Random, *, multiple: bool = False) -> Changed:
    """Say the same in other words, question and descriptions, and tell so."""
    before = _attribute(meanings, random, multiple=multiple)
    after, migration = _recast(meanings, before, before.covers, {})
    after = _told(after, before.name, dict.fromkeys(before.covers, "the same in other words"))
    other = tuple(replace(one, question="In other words?") if one.name == before.name else one for one in after)
    return other, migration | {"reworded": [before.name]}


def border_moved(meanings: Meanings, random: Random, *, multiple: bool = False) -> Changed:
    """Let one value take in the odd marks of another, as both descriptions say now."""
    before = _attribute(meanings, random, multiple=multiple)
    one, other = _values(before, random, 2)
    moved = _odd(before.covers[one])
    covers = {**before.covers, one: before.covers[one] - moved, other: before.covers[other] | moved}
    after, migration = _recast(meanings, before, covers, {one: (one, other)})
    return _told(after, before.name, {one: "in the narrower sense", other: "in the wider sense"}), migration


def attribute_added(meanings: Meanings, random: Random, *, multiple: bool = False) -> Changed:
    """Add an attribute that is asked of every item."""
    return (*meanings, drawn_attribute("collar", random, multiple=multiple)), {}


def attribute_added_where(meanings: Meanings, random: Random) -> Changed:
    """Add an attribute that is asked where two others have certain values."""
    top, colour = meanings[0], meanings[2]
    when = {one.name: tuple(_values(one, random, 2)) for one in (top, colour)}
    return (*meanings, drawn_attribute("collar", random, when=when)), {}


def attribute_taken_away(meanings: Meanings, random: Random) -> Changed:
    """Take away an attribute that no other depends on."""
    parents = {parent for one in meanings for parent in one.when}
    gone = random.choice([one for one in meanings if one.name not in parents])
    return tuple(one for one in meanings if one is not gone), {}


def applies_to_fewer(meanings: Meanings, random: Random) -> Changed:
    """Ask an attribute where its parent has one of the two values of before."""
    return _asked_when(meanings, 1, {"top": random.choice(meanings[1].when["top"])}), {}


def applies_to_more(meanings: Meanings, random: Random) -> Changed:
    """Ask an attribute where its parent has a third value, too."""
    values = meanings[1].when["top"]
    more = random.choice(sorted(meanings[0].covers.keys() - set(values)))
    return _asked_when(meanings, 1, {"top": (*values, more)}), {}


def applies_everywhere(meanings: Meanings, random: Random) -> Changed:
    """Ask an attribute always that was asked sometimes."""
    return _asked_when(meanings, 1, {}), {}


def applies_no_longer_everywhere(meanings: Meanings, random: Random) -> Changed:
    """Ask an attribute sometimes that was asked always."""
    return _asked_when(meanings, 2, {"top": tuple(_values(meanings[0], random, 2))}), {}


def applies_elsewhere(meanings: Meanings, random: Random) -> Changed:
    """Let an attribute depend on another one than before, of several values."""
    top, sleeve, colour, patches = meanings
    when = {"patches": tuple(_values(patches, random, 1))}
    return (top, colour, patches, replace(sleeve, when=when)), {}


def parent_split(meanings: Meanings, random: Random) -> Changed:
    """Split a value that another attribute was asked at, and ask that at one half only."""
    top, sleeve = meanings[:2]
    old, stays = random.sample(list(sleeve.when["top"]), 2)
    halves = _halves(top, old, random)
    after, migration = _recast(meanings, top, _exchanged(top, {old: halves}), {old: tuple(halves)})
    return _asked_when(after, 1, {"top": (next(iter(halves)), stays)}), migration


def several_at_once(meanings: Meanings, random: Random) -> Changed:
    """Split a value of one attribute, merge two of another, rename a third attribute and add a fourth, in a version."""
    [split] = _values(meanings[0], random, 1)
    halves = _halves(meanings[0], split, random)
    after, first = _recast(meanings, meanings[0], _exchanged(meanings[0], {split: halves}), {split: tuple(halves)})
    one, other = _values(meanings[2], random, 2)
    both = meanings[2].covers[one] | meanings[2].covers[other]
    covers = _exchanged(meanings[2], {one: {"merged": both}, other: {}})
    after, second = _recast(after, meanings[2], covers, {one: ("merged",), other: ("merged",)})
    after, third = attribute_added(after, random)
    after = tuple(replace(one, name="length") if one.name == "sleeve" else one for one in after)
    return after, third | {"attributes": {"sleeve": "length"}, "values": first["values"] | second["values"]}


def half_taken_away(meanings: Meanings, random: Random) -> Changed:
    """Take away one half of a value that was split."""
    before = _attribute(meanings, random, multiple=False, at=HALVES[1])
    old = next(value for value in before.covers if value.endswith(HALVES[1]))
    other = random.choice([value for value in before.covers if not value.endswith(HALVES)])
    covers = _exchanged(before, {old: {}, other: {other: before.covers[other] | before.covers[old]}})
    return _recast(meanings, before, covers, {old: ()})


def halves_merged(meanings: Meanings, random: Random) -> Changed:
    """Make one value again of both halves of one that was split."""
    before = _attribute(meanings, random, multiple=False, at=HALVES[1])
    one, other = (next(value for value in before.covers if value.endswith(half)) for half in HALVES)
    covers = _exchanged(before, {one: {"whole": before.covers[one] | before.covers[other]}, other: {}})
    return _recast(meanings, before, covers, {one: ("whole",), other: ("whole",)})


def _attribute(meanings: Meanings, random: Random, *, multiple: bool, at: str = "") -> Meaning:
    """Choose an attribute, one that has a value with this in its name."""
    able = [one for one in meanings if one.multiple == multiple]
    return random.choice([one for one in able if any(at in value for value in one.covers)])


def _values(meaning: Meaning, random: Random, count: int) -> list[str]:
    return random.sample(list(meaning.covers), count)


def _parted(marks: Marks, random: Random) -> tuple[Marks, Marks]:
    """Part marks in two, neither of them empty."""
    some = random.sample(sorted(marks), random.randint(1, len(marks) - 1))
    return frozenset(some), marks - frozenset(some)


def _halves(meaning: Meaning, value: str, random: Random) -> dict[str, Marks]:
    """Return what each half of a value covers."""
    return {value + half: marks for half, marks in zip(HALVES, _parted(meaning.covers[value], random), strict=True)}


def _odd(marks: Marks) -> Marks:
    """Return the odd marks: every value of the first version covers some, and even ones besides."""
    return frozenset(mark for mark in marks if mark % 2)


def _uncovered(meaning: Meaning) -> Marks:
    """Return the marks that no value covers; of one value, where every mark has its value, none."""
    marks = frozenset(range(SEVERAL_MARKS)) if meaning.multiple else frozenset[int]()
    return marks.difference(*meaning.covers.values())


def _exchanged(meaning: Meaning, by: Mapping[str, Mapping[str, Marks]]) -> dict[str, Marks]:
    """Return what the values cover when some of them are exchanged for others, in their places."""
    return {
        new: covered
        for value, marks in meaning.covers.items()
        for new, covered in by.get(value, {value: marks}).items()
    }


def _recast(meanings: Meanings, before: Meaning, covers: Mapping[str, Marks], becomes: Becomes) -> Changed:
    """Give an attribute other values, and tell the migration and the conditions of others what the old ones become."""
    told = {becomes.get(value, (value,))[:1]: words for value, words in before.descriptions.items()}
    renamed = {value: told[value,] for value in covers if (value,) in told}

    def condition(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(new for value in values for new in becomes.get(value, (value,))))

    after = tuple(
        replace(one, covers=covers, descriptions=renamed)
        if one.name == before.name
        else replace(one, when={name: condition(values) if name == before.name else values
                                for name, values in one.when.items()})
        for one in meanings
    )  # fmt: skip
    return after, {"values": {before.name: {old: list(new) for old, new in becomes.items()}}} if becomes else {}


def _told(meanings: Meanings, name: str, words: Mapping[str, str]) -> Meanings:
    """Change descriptions of an attribute's values."""
    return tuple(
        replace(one, descriptions={**one.descriptions, **words}) if one.name == name else one for one in meanings
    )


def _asked_when(meanings: Meanings, place: int, when: Mapping[str, str | tuple[str, ...]]) -> Meanings:
    conditions = {name: (values,) if isinstance(values, str) else values for name, values in when.items()}
    return tuple(replace(one, when=conditions) if number == place else one for number, one in enumerate(meanings))
