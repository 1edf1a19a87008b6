"""A real learner over real features as an annotator: what it claims, and on what it keeps silent."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curate.annotate.checks import check_annotator
from curate.annotate.learner import LearnerAnnotator
from curate.annotate.protocol import Attribute, Protocol
from curate.errors import BadDataError
from curate.learners.encoders.hashed_text import HashedTextEncoder
from curate.learners.factory import learner_named

PROTOCOL = Protocol("demo", "1", (Attribute("kind", "What is it?", ("code", "prose")),))
TEACHING = {
    "def add(a, b): return a + b": "code",
    "def sub(a, b): return a - b": "code",
    "The rain fell on the town all day.": "prose",
    "The sun rose over the sea at last.": "prose",
}


class PickyEncoder(HashedTextEncoder):
    """Refuses texts that hold a question mark, as another encoder would refuse what does not decode."""

    def encode(self, items: pa.Table) -> np.ndarray[Any, np.dtype[np.float32]]:
        for item_id, text in zip(items["item_id"].to_pylist(), items["text"].to_pylist(), strict=True):
            if "?" in text:
                raise BadDataError(f"item {item_id} asks")
        return super().encode(items)


def texts(*values: str | None) -> pa.Table:
    return pa.table({"item_id": [f"i{row}" for row in range(len(values))], "text": pa.array(values, pa.string())})


@pytest.fixture
def annotator() -> LearnerAnnotator:
    encoder = PickyEncoder(256)
    learner = learner_named("sequential-linear")
    learner.learn(encoder.encode(texts(*TEACHING)), list(TEACHING.values()))
    return LearnerAnnotator("model", "1", "kind", "text", learner, encoder, PROTOCOL.attribute("kind").values)


ITEMS = texts("def mul(a, b): return a * b", None, "The snow fell on the sea all day.", "def div(a, b): return a / b")


def test_it_keeps_the_promises_of_annotators_and_is_right(annotator: LearnerAnnotator) -> None:
    said = check_annotator(annotator, ITEMS, PROTOCOL)
    assert [(claim.item_id, claim.value) for claim in said.claims] == [("i0", "code"), ("i2", "prose"), ("i3", "code")]
    probabilities = annotator.learner.predict(annotator.encoder.encode(ITEMS.filter(ITEMS["text"].is_valid())))
    assert [claim.confidence for claim in said.claims] == pytest.approx(probabilities.max(axis=1).tolist())


def test_it_says_nothing_about_what_taught_it(annotator: LearnerAnnotator) -> None:
    asked: list[str] = []

    def learned(ids: Sequence[str]) -> set[str]:
        asked.extend(ids)
        return {"i0", "i1"}

    annotator.learned = learned
    assert [claim.item_id for claim in annotator.annotate(ITEMS).claims] == ["i2", "i3"]
    assert asked == ["i0", "i2", "i3"]


def test_it_abstains_where_it_is_not_sure_enough(annotator: LearnerAnnotator) -> None:
    sure = sorted(claim.confidence for claim in annotator.annotate(ITEMS).claims)
    annotator.least = sure[1]
    assert sorted(claim.confidence for claim in annotator.annotate(ITEMS).claims) == sure[1:]


def test_a_class_that_is_no_value_any_more_is_not_claimed(annotator: LearnerAnnotator) -> None:
    annotator.values = ("prose", "poetry")
    assert [claim.value for claim in annotator.annotate(ITEMS).claims] == ["prose"]
    annotator.values = ()
    assert len(annotator.annotate(ITEMS).claims) == 3


def test_an_item_that_cannot_be_encoded_costs_no_other(annotator: LearnerAnnotator) -> None:
    said = annotator.annotate(texts("def f(): return 1", "Is this a question?"))
    assert [claim.item_id for claim in said.claims] == ["i0"]
    assert [(failure.item_id, failure.reason) for failure in said.failures] == [("i1", "item i1 asks")]
    only = annotator.annotate(texts("What?"))
    assert (len(only.claims), len(only.failures)) == (0, 1)


def test_items_of_another_modality_are_no_concern_of_it(annotator: LearnerAnnotator) -> None:
    assert not annotator.annotate(pa.table({"item_id": ["a"], "image": [b"x"]})).claims
