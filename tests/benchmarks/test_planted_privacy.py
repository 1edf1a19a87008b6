"""The labelled texts that the filter is measured with are what they say."""

import random

import pytest

from benchmarks.harness.planted_privacy import Planter
from benchmarks.privacy import _count, _whole_lines
from curate.types import PERSONAL_DATA_KINDS, SECRET_KINDS


@pytest.mark.parametrize(("kinds", "known"), [("personal", PERSONAL_DATA_KINDS), ("secrets", SECRET_KINDS)])
def test_every_kind_is_planted_where_it_is_said_to_be(kinds: str, known: tuple[str, ...]) -> None:
    texts = Planter(3, "development", kinds).texts(200)
    assert texts == Planter(3, "development", kinds).texts(200)
    assert texts != Planter(4, "development", kinds).texts(200)
    assert {one.kind for text in texts for one in text.planted} == set(known)
    assert sum(not text.planted for text in texts) == 100
    for text in texts:
        for one in text.planted:
            assert text.text[one.start : one.end].strip() == text.text[one.start : one.end] != ""


def test_development_and_test_share_no_text() -> None:
    first, second = ({one.text for one in Planter(3, split, "secrets").texts(50)} for split in ("development", "test"))
    assert not first & second


def test_what_is_found_rightly_and_wrongly_is_counted() -> None:
    text = next(one for one in Planter(3, "test", "personal").texts(50) if len(one.planted) == 1)
    [one] = text.planted
    free = next(
        place for place in random.Random(0).sample(range(len(text.text)), 50) if not one.start <= place < one.end
    )
    hits = [(one.start + 1, one.end + 3, one.kind), (free, free + 1, "IBAN" if one.kind != "IBAN" else "IP address")]
    assert _count(text, hits, False, False) == (1, 1, 2, 1)
    assert _count(text, [(one.start, one.end, "another kind")], False, False) == (1, 0, 1, 0)


def test_findings_widen_to_their_lines() -> None:
    assert _whole_lines("ab\ncdef\ngh", [(4, 5, "x"), (5, 6, "y"), (9, 10, "z")]) == [
        (3, 8, "secret"),
        (8, 11, "secret"),
    ]
