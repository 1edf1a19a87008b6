"""The battery itself: every broken promise must be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pytest

from curate.annotate.checks import check_annotator
from curate.annotate.protocol import Protocol
from curate.types import Annotated, Claim, Failure


class PlainAnnotator:
    """Claims "c" about every item, then lets `spoil` change what it says."""

    name = "plain"
    kind = "rule"

    def __init__(self, spoil: Callable[[list[Claim], Sequence[str]], Annotated | None]) -> None:
        self.version = "1"
        self.spoil = spoil

    def annotate(self, items: pa.Table) -> Annotated:
        names = items.column("item_id").to_pylist()
        claims = [Claim(name, "kind", "c", 0.5) for name in names]
        spoiled = self.spoil(claims, names)
        return spoiled if spoiled is not None else Annotated(claims)


def test_an_annotator_that_keeps_its_promises_passes(protocol: Protocol, items: pa.Table) -> None:
    assert len(check_annotator(PlainAnnotator(lambda *_: None), items, protocol).claims) == len(items)


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (lambda claims, _: claims.append(Claim("stranger", "kind", "c", 1)), "not in the batch"),
        (lambda claims, _: claims.append(Claim(claims[0].item_id, "kind", "java", 1)), "no value of 'kind'"),
        (lambda claims, _: claims.append(Claim(claims[-1].item_id, "tone", "dry", 1.1)), r"outside \[0, 1\]"),
        (lambda claims, _: claims.append(Claim(claims[-1].item_id, "tone", "dry", float("nan"))), r"outside \[0, 1\]"),
        (lambda claims, _: claims.reverse(), "not in item order"),
        (lambda claims, _: claims.append(claims[-1]), "two values of one attribute"),
        (lambda claims, names: Annotated(claims, [Failure(names[0], "because")]), "claims and fails"),
        (lambda _, names: Annotated([], [Failure(names[0], "")]), "no reason"),
        (lambda _, names: Annotated([], [Failure(names[0], "a"), Failure(names[0], "b")]), "fails twice"),
        (lambda *_: Annotated([], [Failure("stranger", "a")]), "fails on items that are not in the batch"),
        (lambda claims, names: claims.clear() if len(names) == 1 else None, "one item at a time"),
        (lambda claims, names: Annotated([], []) if names else Annotated([Claim("x", "kind", "c", 1)]), "empty batch"),
    ],
)
def test_a_broken_promise_is_found(
    protocol: Protocol, items: pa.Table, spoil: Callable[[list[Claim], Sequence[str]], Annotated | None], broken: str
) -> None:
    with pytest.raises(AssertionError, match=broken):
        check_annotator(PlainAnnotator(spoil), items, protocol)


def test_an_annotator_that_does_not_repeat_itself_is_found(protocol: Protocol, items: pa.Table) -> None:
    moods = iter([0.1, 0.2] * 20)
    moody = PlainAnnotator(lambda _, names: Annotated([Claim(name, "kind", "c", next(moods)) for name in names[:1]]))
    with pytest.raises(AssertionError, match="the second time"):
        check_annotator(moody, items, protocol)


def test_a_version_that_changes_is_found(protocol: Protocol, items: pa.Table) -> None:
    annotator = PlainAnnotator(lambda *_: setattr(annotator, "version", "2"))
    with pytest.raises(AssertionError, match="version changed"):
        check_annotator(annotator, items, protocol)
