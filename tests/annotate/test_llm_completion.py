"""Option scoring against an ideal model: one whose probabilities of whole values are known."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.annotate.llm.completion import CONTENT_FREE, CompletionWay
from curate.annotate.llm.examples import Example
from curate.annotate.llm.ways import UnusableAnswerError
from curate.annotate.protocol import Attribute
from curate.types import Response

VALUES = st.lists(
    st.text("ab+ ", min_size=1, max_size=9).map(str.strip).filter(bool), min_size=2, max_size=5, unique=True
)


class IdealModel:
    """Goes on with each value as often as it is told for a text, in tokens of at most three characters."""

    def __init__(self, told: Mapping[str, Mapping[str, float]], *, old_spelling: bool = False) -> None:
        self.told = told
        self.old_spelling = old_spelling
        self.prompts: list[str] = []

    def ask(self, path: str, payload: Mapping[str, Any]) -> Response:
        self.prompts.append(payload["prompt"])
        text, _, begun = payload["prompt"].rpartition("Text: ")[2].rpartition("\nKind:")
        shares: defaultdict[str, float] = defaultdict(float)
        for value, probability in self.told[text].items():
            ending = f" {value}\n\n"
            if ending.startswith(begun):
                shares[ending[len(begun) :][:3]] += probability
        total = sum(shares.values())
        numbers = {token: math.log(share / total) for token, share in shares.items()}
        listed = [{"token": token, "logprob": number} for token, number in numbers.items()]
        told = {"top_logprobs": [numbers]} if self.old_spelling else {"content": [{"top_logprobs": listed}]}
        return Response({"choices": [{"text": "", "logprobs": told}]})


def even(values: list[str]) -> dict[str, float]:
    return dict.fromkeys(values, 1 / len(values))


@given(VALUES, st.lists(st.floats(0.01, 1), min_size=5, max_size=5), st.booleans())
def test_the_confidence_is_the_models_probability_of_the_value(
    values: list[str], weights: list[float], old_spelling: bool
) -> None:
    told = {value: weight / sum(weights[: len(values)]) for value, weight in zip(values, weights, strict=False)}
    model = IdealModel({"x": told, **dict.fromkeys(CONTENT_FREE, even(values))}, old_spelling=old_spelling)
    [opinion] = CompletionWay("m", [Attribute("kind", "?", tuple(values))]).opinions("x", model.ask)
    assert opinion.confidence == pytest.approx(max(told.values()))
    assert told[opinion.value] == max(told.values())


def test_a_value_that_the_model_always_prefers_does_not_win_by_that() -> None:
    prefers_a = {"a": 0.8, "b": 0.2}
    model = IdealModel({"x": {"a": 0.6, "b": 0.4}, **dict.fromkeys(CONTENT_FREE, prefers_a)})
    [opinion] = CompletionWay("m", [Attribute("kind", "?", ("a", "b"))]).opinions("x", model.ask)
    assert opinion.value == "b"
    assert opinion.confidence == pytest.approx((0.4 / 0.2) / (0.4 / 0.2 + 0.6 / 0.8))


@pytest.mark.parametrize(
    ("values", "requests"), [(("C", "Java"), 1), (("Java", "C", "C++"), 1), (("Python 2", "C", "Python 3"), 3)]
)
def test_only_values_that_begin_alike_take_further_requests(values: tuple[str, ...], requests: int) -> None:
    told = {text: even(list(values)) for text in ("x", *CONTENT_FREE)}
    model = IdealModel(told)
    CompletionWay("m", [Attribute("kind", "?", values)]).opinions("x", model.ask)
    assert len(model.prompts) == requests * (1 + len(CONTENT_FREE))


def test_what_is_shared_comes_first_and_the_calibration_is_measured_once() -> None:
    way = CompletionWay("m", [Attribute("kind", "?", ("a", "b"))], excerpt_characters=5)
    model = IdealModel({text: even(["a", "b"]) for text in ("first", "secon…", "N/A", "[MASK…", "lorem…")})
    way.opinions("first", model.ask)
    way.opinions("second", model.ask)
    assert len(model.prompts) == 2 + len(CONTENT_FREE)
    shared = "Text: a\nKind: a\n\nText: b\nKind: b\n\n"
    assert all(prompt.startswith(shared) for prompt in model.prompts)
    assert f"{shared}Text: secon…\nKind:" in model.prompts


def prompts(examples: str, per_value: int) -> tuple[str, list[str]]:
    """Return the examples that are shown, and the calibration texts, of examples such as "a1 b1 a2"."""
    given = [*(Example(text, {"kind": text[0]}) for text in examples.split()), Example("other", {"tone": "dry"})]
    attribute = Attribute("kind", "?", ("a", "b"), {"b": "about b"})
    way = CompletionWay("m", [attribute], given, examples_per_value=per_value)
    parts = [request["prompt"].split("\n\n") for request in way.preparation()]
    shown = [part.removeprefix("Text: ").replace("\nKind: ", "=") for part in parts[0][:-1]]
    return " ".join(shown), [part[-1].removeprefix("Text: ").removesuffix("\nKind:") for part in parts]


def test_examples_are_shown_in_rounds_and_those_left_over_calibrate() -> None:
    assert prompts("b1 b2 b3 a1 a2 a3 b4", 2) == ("a1=a b1=b a2=a b2=b", ["a3", "b3"])
    assert prompts("b1 b2 b3 a1 a2 a3 b4", 1) == ("a1=a b1=b", ["a2", "b2"])


def test_texts_of_some_values_only_do_not_calibrate() -> None:
    assert prompts("a1 b1 b2", 1) == ("a1=a b1=b", list(CONTENT_FREE))


def test_a_value_without_an_example_is_shown_by_its_description() -> None:
    assert prompts("a1 a2", 2) == ("a1=a about b=b a2=a", list(CONTENT_FREE))
    assert prompts("", 3) == ("a=a about b=b", list(CONTENT_FREE))


def test_a_value_that_the_server_does_not_list_is_unlikely_but_possible() -> None:
    model = IdealModel({"x": {"a": 1.0}, **dict.fromkeys(CONTENT_FREE, even(["a", "b"]))})
    [opinion] = CompletionWay("m", [Attribute("kind", "?", ("a", "b"))]).opinions("x", model.ask)
    assert opinion.value == "a"
    assert 0.8 < opinion.confidence < 1


@pytest.mark.parametrize(
    "choice",
    [{}, {"logprobs": None}, {"logprobs": {"content": []}}, {"logprobs": {"top_logprobs": [None]}}, {"logprobs": "no"}],
)
def test_an_answer_without_log_probabilities_is_of_no_use(choice: dict[str, object]) -> None:
    way = CompletionWay("m", [Attribute("kind", "?", ("a", "b"))])
    with pytest.raises(UnusableAnswerError, match="lists no log-probabilities"):
        way.opinions("x", lambda *_: Response({"choices": [choice]}))
