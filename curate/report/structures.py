"""The values that a report shows of subpopulations: plain and frozen, filled by whoever reads the store."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttributeShare:
    """How many items have an attribute (or "unknown"), how many of them by a classifier, and one quotation for it."""

    attribute: str
    items: int
    classified: int
    quote: str = ""


@dataclass(frozen=True, slots=True)
class DimensionSummary:
    """A dimension with its attributes, the most frequent first.

    `agreement` is the classifier's with the model, the share of items that it decides, and its agreement on these.
    """

    name: str
    attributes: tuple[AttributeShare, ...]
    agreement: tuple[float, float, float] | None = None

    @property
    def items(self) -> int:
        """How many items were assigned."""
        return sum(one.items for one in self.attributes)


@dataclass(frozen=True, slots=True)
class SliceError:
    """A learner's error on a subpopulation, on held-out items with its bounds, and that of the checkpoint before."""

    learner: str
    error: float
    low: float
    high: float
    before: float | None = None
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Subpopulation:
    """A subpopulation with how many items it has, the ids of a few, and how learners err on it.

    With 0 items it is a slice across several: a class with one attribute.
    """

    name: str
    items: int
    examples: tuple[str, ...] = ()
    errors: tuple[SliceError, ...] = ()


@dataclass(frozen=True, slots=True)
class StructureSummary:
    """A structure as it is now; of `count` subpopulations some are shown."""

    name: str
    version: str
    dimensions: tuple[DimensionSummary, ...]
    subpopulations: tuple[Subpopulation, ...] = ()
    count: int = 0
