"""TF-IDF over a pool that comes in parts is TF-IDF over all of it."""

import numpy as np
import pyarrow as pa
import pytest

from curate.errors import BadDataError
from curate.select.tfidf import Tfidf, tfidf_scores
from curate.types import Selector

TEXTS = ["a cat sat on the mat", "rain fell on the harbour", "", None, "the cat", "a dog and a cat and a dog"]
TARGETS = ["the cat sat", "a cat ran"]


def test_parts_give_what_the_whole_gives() -> None:
    model = Tfidf(TARGETS)
    for start in range(0, len(TEXTS), 2):
        model.observe(TEXTS[start : start + 2])
    items = pa.table({"item_id": list("abcdef"), "text": pa.array(TEXTS, pa.string())})
    scores = np.concatenate([model.score(items.slice(start, 4)) for start in (0, 4)])
    np.testing.assert_array_equal(scores, tfidf_scores(TEXTS, TARGETS))
    assert np.isnan(scores).tolist() == [False, False, True, True, False, False]
    assert isinstance(model, Selector)


def test_the_version_follows_pool_and_target() -> None:
    one, other, third = Tfidf(TARGETS), Tfidf(TARGETS), Tfidf(TARGETS[:1])
    assert one.version == other.version != third.version
    one.observe(TEXTS)
    assert one.version != other.version


def test_a_target_without_a_word_is_refused_and_a_table_without_texts_has_no_score() -> None:
    with pytest.raises(BadDataError, match="no target has a word"):
        Tfidf(["", " "])
    assert np.isnan(Tfidf(TARGETS).score(pa.table({"item_id": ["a"]}))).all()
