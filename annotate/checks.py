"""What every annotator must do, as one function: `check_annotator` is for the tests of this house and of plugins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from curate.annotate.protocol import Protocol
from curate.types import Annotated, Annotator

if TYPE_CHECKING:
    import pyarrow as pa


def check_annotator(annotator: Annotator, items: pa.Table, protocol: Protocol) -> Annotated:
    """Hold an annotator to the promises of `curate.types.Annotator` and return what it said about `items`.

    `items` should hold at least three items, and one whose text is null. The annotator must repeat itself: a language
    model needs greedy decoding, and a request cache or a server that repeats itself. Everything is annotated three
    times.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    version = annotator.version
    _require(isinstance(annotator, Annotator), "it lacks a member of curate.types.Annotator")
    _require(annotator.name and annotator.kind and version, "name, kind and version must not be empty")
    said = annotator.annotate(items)
    _check_claims(said, items, protocol)
    _check_failures(said, items)
    _require(_plain(annotator.annotate(items)) == _plain(said), "the second time it says something else")
    nothing = annotator.annotate(items.slice(0, 0))
    _require(not nothing.claims and not nothing.failures, "it says something about an empty batch")
    _check_batching(annotator, items, said)
    _require(annotator.version == version, "its version changed while it annotated")
    return said


def _require(held: object, broken: str) -> None:
    """Raise by hand: an assert statement would fall silent under `python -O`."""
    if not held:
        raise AssertionError(broken)


def _check_claims(said: Annotated, items: pa.Table, protocol: Protocol) -> None:
    places = {item_id: place for place, item_id in enumerate(items.column("item_id").to_pylist())}
    for claim in said.claims:
        _require(claim.item_id in places, f"it claims something about {claim.item_id!r}, which is not in the batch")
        known = claim.value in protocol.attribute(claim.attribute)
        _require(known, f"it claims {claim.value!r}, no value of {claim.attribute!r}")
        sure = claim.confidence
        _require(math.isfinite(sure) and 0 <= sure <= 1, f"the confidence {sure!r} lies outside [0, 1]")
    order = [places[claim.item_id] for claim in said.claims]
    _require(order == sorted(order), "the claims are not in item order")
    answered = [(claim.item_id, claim.attribute) for claim in said.claims]
    _require(len(set(answered)) == len(answered), "it claims two values of one attribute of one item")


def _check_failures(said: Annotated, items: pa.Table) -> None:
    known = set(items.column("item_id").to_pylist())
    failed = [failure.item_id for failure in said.failures]
    _require(known.issuperset(failed), "it fails on items that are not in the batch")
    _require(len(set(failed)) == len(failed), "it fails twice on one item")
    _require(all(failure.reason for failure in said.failures), "a failure has no reason")
    both = {claim.item_id for claim in said.claims}.intersection(failed)
    _require(not both, f"it claims and fails on the same items: {sorted(both)}")


def _check_batching(annotator: Annotator, items: pa.Table, said: Annotated) -> None:
    single = [annotator.annotate(items.slice(place, 1)) for place in range(items.num_rows)]
    claims = [claim for one in single for claim in one.claims]
    failures = [failure for one in single for failure in one.failures]
    _require(
        _plain(Annotated(claims, failures)) == _plain(said), "one item at a time gives something else than the batch"
    )


def _plain(said: Annotated) -> tuple[list[tuple[str, str, str, float]], list[tuple[str, str]]]:
    rounded = [(claim.item_id, claim.attribute, claim.value, round(claim.confidence, 9)) for claim in said.claims]
    return rounded, sorted((failure.item_id, failure.reason) for failure in said.failures)
