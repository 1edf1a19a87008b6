"""Names as words."""

import pytest

from curate.annotate.discovery.words import evidence, is_name, quoted, stands_in, support, tidy


@pytest.mark.parametrize(
    "name", ["", "unknown", "Unacceptable Criteria!", "none", "n/a", "one two three four", "42" * 30]
)
def test_what_says_that_there_is_nothing_is_no_name(name: str) -> None:
    assert not is_name(tidy(name))


def test_a_name_stands_in_texts_that_have_its_words_in_some_form() -> None:
    texts = ["It rained on the kitchens", "A kitchen in the rain", "the beach"]
    assert support("rainy kitchen", texts) == 2
    assert not stands_in("the", "the beach")


def test_evidence_is_the_shortest_piece() -> None:
    assert evidence("red ball", "A red door, and a ball that is red.") == "ball that is red"
    assert evidence("blue ball", "A red ball.") == ""


def test_a_quotation_is_found_as_the_text_writes_it() -> None:
    assert quoted('"on THE\n beach."', "A cat on the beach") == "on the beach"
    assert quoted("", "A cat") == ""
