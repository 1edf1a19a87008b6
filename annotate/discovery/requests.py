"""Gaps as requests: which combinations of class and attribute have too few items, and how many more are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from curate.annotate.discovery.slices import gaps
from curate.annotate.discovery.structure import SEPARATOR, Structure

Cell = tuple[str, str, str]
"""A class ("" where there is one only), a dimension and one of its attributes."""


@dataclass(frozen=True, slots=True)
class AcquisitionRequest:
    """That items of a class with one attribute are wanted: how many there are and lack, and words of such items."""

    of_class: str
    dimension: str
    attribute: str
    items: int
    missing: int
    examples: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What slices of this kind are called: `cat · beach`."""
        return SEPARATOR.join(part for part in (self.of_class, self.attribute) if part)

    def as_mapping(self, structure: Structure, wanted: int) -> dict[str, Any]:
        """Return the request as plain data, with the structure that its words belong to."""
        told = {"structure": structure.name, "version": structure.version, "wanted": wanted, "name": self.name}
        own = {name: getattr(self, name) for name in ("dimension", "attribute", "items", "missing")}
        return told | {"class": self.of_class} | own | {"examples": list(self.examples)}


def acquisition_requests(
    structure: Structure, sizes: Mapping[Cell, int], examples: Mapping[Cell, tuple[str, ...]], wanted: int
) -> list[AcquisitionRequest]:
    """Return a request for each class and attribute with fewer than `wanted` items, the largest gap first.

    Every class that has an item is asked about, with every attribute of the dimensions that apply to it: what no item
    has is a gap too. Cost: linear in classes times attributes.

    >>> from curate.annotate.discovery.structure import Dimension
    >>> place = Structure(dimensions=(Dimension("place", ("beach", "street")),))
    >>> [request] = acquisition_requests(place, {("cat", "place", "beach"): 7}, {}, 5)
    >>> request.name, request.items, request.missing
    ('cat · street', 0, 5)
    """
    counts = {cell: sizes.get(cell, 0) for cell in _cells(structure, sorted({cell[0] for cell in sizes}))}
    named = {SEPARATOR.join(cell): cell for cell in counts}
    lacking = gaps({name: counts[cell] for name, cell in named.items()}, wanted)
    return [
        AcquisitionRequest(*named[name], counts[named[name]], missing, examples.get(named[name], ()))
        for name, missing in lacking.items()
    ]


def _cells(structure: Structure, classes: Iterable[str]) -> Iterable[Cell]:
    for of_class in classes:
        for dimension in structure.dimensions:
            if dimension.applies_to(of_class):
                yield from ((of_class, dimension.name, attribute) for attribute in dimension.attributes)
