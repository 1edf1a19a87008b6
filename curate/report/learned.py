"""What a report shows of learners, plain and frozen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accuracy:
    """`value` of `total` items, as a share in [0, 1]; of no items it says nothing, and is shown as such."""

    value: float
    total: int

    @property
    def is_known(self) -> bool:
        """Whether there were items to measure it on."""
        return self.total > 0


@dataclass(frozen=True, slots=True)
class Increment:
    """One step of a learner: what it took in, and how it did on the same test items before and after.

    `lowest` is the least accuracy after any increment so far; `seconds` include measuring, `size` is in bytes.
    """

    number: int
    items: int
    before: Accuracy | None
    after: Accuracy | None
    new_classes: tuple[str, ...] = ()
    lowest: Accuracy | None = None
    seconds: float = 0.0
    size: int = 0
    parameters: int = 0


@dataclass(frozen=True, slots=True)
class SliceSummary:
    """A part of the test items: a class, or those with a value of an attribute; accuracy now and the least so far."""

    name: str
    accuracy: Accuracy
    lowest: Accuracy | None = None


@dataclass(frozen=True, slots=True)
class LearnerSummary:
    """One learner's history; `baselines` are simpler learners on the same test items, `forgetting` in [-1, 1].

    `slices` are parts of the test items by attributes. `matrix` has a row for each number: the accuracy on the test
    items that came with each (None where there were none); `over_time` has name, value and formula of what that comes
    to. `served` is the checkpoint that annotates, and `kept` why the gate did not promote the last; "" where it did.
    """

    name: str
    snapshot: str
    encoder: str
    checkpoint: str
    increments: tuple[Increment, ...] = ()
    classes: tuple[SliceSummary, ...] = ()
    slices: tuple[SliceSummary, ...] = ()
    baselines: tuple[tuple[str, Accuracy], ...] = ()
    matrix: tuple[tuple[int, tuple[float | None, ...]], ...] = ()
    over_time: tuple[tuple[str, float, str], ...] = ()
    forgetting: float | None = None
    served: str = ""
    kept: str = ""
