"""The structure that discovery finds: class, dimension, attribute; and what editing it means for what is assigned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from curate.annotate.canonical import short_hash
from curate.annotate.discovery.words import UNKNOWN, is_name, tidy
from curate.annotate.protocol import Attribute, Protocol
from curate.errors import ConfigurationError

SEPARATOR = " · "
"""Stands between the parts of a subpopulation's name."""
_SPARE = "something else"


@dataclass(frozen=True)
class Dimension:
    """One aspect in which items differ, and its attributes: a closed list, of which an item has one or none.

    A `locked` dimension is left as it is by discovery; a `pinned` one was asked for by name. Only items of `classes`
    have it, all items where there are none. `was` are names that it had before, `merged` those that an attribute had or
    took in: what was assigned under them counts under the new ones.

    Raises:
        ConfigurationError: a name is none, stands twice, or is "unknown".
    """

    name: str
    attributes: tuple[str, ...] = ()
    description: str = ""
    locked: bool = False
    pinned: bool = False
    classes: tuple[str, ...] = ()
    was: tuple[str, ...] = ()
    merged: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse names that could not be told apart."""
        where = f"dimension {self.name!r}"
        if not is_name(tidy(self.name), longest=6):
            raise ConfigurationError(f"{where}: this is no name of a dimension")
        for place, attribute in enumerate(self.attributes):
            if not attribute.strip() or tidy(attribute) == UNKNOWN or SEPARATOR in attribute:
                raise ConfigurationError(
                    f"{where}: {attribute!r} is no attribute", hint=f"an item without one is {UNKNOWN} by itself"
                )
            if tidy(attribute) in map(tidy, self.attributes[:place]):
                raise ConfigurationError(f"{where}: the attribute {attribute!r} stands there twice")
        if unknown := sorted(set(self.merged) - set(self.attributes)):
            raise ConfigurationError(f"{where}: merged names {unknown[0]!r}, which is none of its attributes")

    def applies_to(self, of_class: str) -> bool:
        """Whether items of a class have this dimension."""
        return not self.classes or of_class in self.classes

    def renamed(self) -> dict[str, str]:
        """Return what each attribute's old and new names are called now."""
        return {old: new for new, olds in self.merged.items() for old in olds} | {one: one for one in self.attributes}

    def definition(self) -> dict[str, Any]:
        """Return what the structure's version is made of; what it was called before is no part of it."""
        told: dict[str, Any] = {"name": self.name, "attributes": list(self.attributes)}
        told |= {"description": self.description} if self.description else {}
        return told | ({"classes": list(self.classes)} if self.classes else {})


@dataclass(frozen=True)
class Structure:
    """Dimensions under a name; `of_class` is the attribute whose value is an item's class ("" = there is one class).

    A subpopulation is a class with one attribute of each dimension. In the store a structure is a protocol: its
    questions are the dimensions, their values the attributes, and assignments are claims about them.

    Raises:
        ConfigurationError: two dimensions have one name.
    """

    name: str = "subpopulations"
    of_class: str = ""
    dimensions: tuple[Dimension, ...] = ()

    def __post_init__(self) -> None:
        """Refuse names that could not be told apart."""
        names = [tidy(dimension.name) for dimension in self.dimensions]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ConfigurationError(f"structure {self.name!r}: the dimension {twice[0]!r} stands there twice")

    @property
    def version(self) -> str:
        """A hash of everything that assignments depend on."""
        return short_hash(self.definition())

    def definition(self) -> dict[str, Any]:
        """Return what the version is made of."""
        dimensions = [dimension.definition() for dimension in self.dimensions]
        return {"name": self.name, "of_class": self.of_class, "dimensions": dimensions}

    def as_mapping(self) -> dict[str, Any]:
        """Return everything, as plain data."""
        return {"name": self.name, "of_class": self.of_class, "dimensions": list(map(_plain, self.dimensions))}

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Structure:
        """Read back what `as_mapping` wrote."""
        dimensions = tuple(dimension_of(one) for one in data.get("dimensions", ()))
        return cls(data.get("name", "subpopulations"), data.get("of_class", ""), dimensions)

    def question(self, dimension: str) -> str:
        """Return the name under which a dimension's claims stand beside those of other protocols."""
        return f"{self.name}.{dimension.replace(' ', '-')}"

    def subpopulation(self, of_class: str, attributes: Mapping[str, str]) -> str:
        """Return the name of a subpopulation: the class and one attribute of each dimension, or unknown.

        >>> two = Structure(dimensions=(Dimension("place", ("kitchen",)), Dimension("time", ("day", "night"))))
        >>> two.subpopulation("cat", {"time": "night"})
        'cat · unknown · night'
        """
        own = [one for one in self.dimensions if one.applies_to(of_class)]
        parts = ([of_class] if of_class else []) + [attributes.get(one.name, UNKNOWN) for one in own]
        return SEPARATOR.join(parts)

    def protocol(self) -> Protocol:
        """Return the structure as a protocol, for the store; a dimension of one attribute gets a spare second."""
        attributes = [
            Attribute(
                self.question(one.name),
                one.description or f"Which {one.name} is it?",
                one.attributes if len(one.attributes) > 1 else (*one.attributes, _SPARE),
            )
            for one in self.dimensions
            if one.attributes
        ]
        return Protocol(self.name, self.version, tuple(attributes))


def dimension_of(data: Mapping[str, Any]) -> Dimension:
    """Read a dimension from plain data."""
    told: dict[str, Any] = {name: tuple(data[name]) for name in ("attributes", "classes", "was") if name in data}
    told |= {name: data[name] for name in ("description", "locked", "pinned") if name in data}
    merged = {new: tuple(olds) for new, olds in data.get("merged", {}).items()}
    return Dimension(data["name"], merged=merged, **told)


def _plain(dimension: Dimension) -> dict[str, Any]:
    told = {"name": dimension.name, "attributes": list(dimension.attributes)}
    for name in ("description", "locked", "pinned"):
        told |= {name: value} if (value := getattr(dimension, name)) else {}
    for name in ("classes", "was"):
        told |= {name: list(value)} if (value := getattr(dimension, name)) else {}
    return told | ({"merged": {new: list(olds) for new, olds in dimension.merged.items()}} if dimension.merged else {})


def translation(old: Dimension, new: Dimension) -> dict[str, str] | None:
    """Return what attributes assigned under an old dimension are called under a new one; None where one must ask again.

    That is so where the new one is another dimension, or has an attribute that the old one did not have under any name.
    An attribute that is gone without a trace is missing: its items must be asked about again.

    >>> before = Dimension("place", ("sea", "shore", "hill"))
    >>> after = Dimension("site", ("coast", "hill"), was=("place",), merged={"coast": ("sea", "shore")})
    >>> translation(before, after)
    {'sea': 'coast', 'shore': 'coast', 'hill': 'hill'}
    """
    if new.name != old.name and old.name not in new.was:
        return None
    names = new.renamed()
    found = {attribute: names[attribute] for attribute in old.attributes if attribute in names}
    return found if set(found.values()) == set(new.attributes) and new.classes == old.classes else None


def with_attributes(dimension: Dimension, attributes: Sequence[str]) -> Dimension:
    """Return a dimension with other attributes."""
    kept = {new: olds for new, olds in dimension.merged.items() if new in attributes}
    return replace(dimension, attributes=tuple(attributes), merged=kept)
