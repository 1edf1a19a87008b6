"""Attributes that take several values at once: answers, annotators, evidence, consensus, migration."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curate.annotate.audits import TRUST, chance_right
from curate.annotate.checks import check_annotator
from curate.annotate.consensus.bayesian import bayesian
from curate.annotate.consensus.majority import majority
from curate.annotate.consensus.several import list_consensus
from curate.annotate.llm.annotator import Calls, LanguageModelAnnotator, Prompt
from curate.annotate.llm.chat import ChatWay
from curate.annotate.llm.examples import Example
from curate.annotate.llm.service import Service
from curate.annotate.llm.ways import UnusableAnswerError
from curate.annotate.migration import origin, readings
from curate.annotate.protocol import Attribute, Protocol
from curate.annotate.rule import FunctionRule, PatternRule, RuleAnnotator
from curate.annotate.several import chance_right_lists, list_answer_gain, list_evidence
from curate.errors import ConfigurationError, UnknownNameError
from curate.types import Response

COLOURS = Attribute("colours", "Which colours has it?", ("red", "green", "blue"), multiple=True)
KIND = Attribute("kind", "What is it?", ("flag", "sign"))
PROTOCOL = Protocol("flags", "1", (KIND, COLOURS))


def answer_of(content: str, log_probabilities: Sequence[tuple[str, float]] = ()) -> Response:
    told = [{"token": token, "logprob": number} for token, number in log_probabilities]
    choice: dict[str, Any] = {"message": {"content": content}, "logprobs": {"content": told} if told else None}
    return Response({"choices": [choice]})


def test_an_answer_has_one_spelling_and_others_are_refused() -> None:
    assert COLOURS.answer(["blue", "red", "blue"]) == COLOURS.answer('["blue","red"]') == '["red", "blue"]'
    assert COLOURS.answer("red") == '["red"]'
    assert COLOURS.answer([]) == "[]"
    assert [answer in COLOURS for answer in ('["red"]', "[]", '["blue", "red"]', "red", '["white"]')] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert COLOURS.parts('["red", "blue"]') == ("red", "blue")
    assert [COLOURS.number(answer) for answer in ("[]", '["red", "blue"]', "red")] == [0, 0b101, -1]
    with pytest.raises(UnknownNameError, match="unknown value 'white'"):
        COLOURS.answer(["white"])
    with pytest.raises(ConfigurationError, match="takes one value"):
        KIND.answer(["flag"])
    with pytest.raises(ConfigurationError, match="63 values, of which several"):
        Attribute("many", "?", tuple(map(str, range(63))), multiple=True)


def test_the_definition_says_so_and_only_then() -> None:
    assert COLOURS.definition()["multiple"] is True
    assert "multiple" not in KIND.definition()
    assert Protocol.from_mapping(json.loads(PROTOCOL.definition())) == PROTOCOL
    with pytest.raises(ConfigurationError, match="'multiple' must be true or false"):
        Attribute.from_mapping({"name": "a", "question": "?", "values": ["b", "c"], "multiple": "yes"})


def some(text: str) -> list[str]:
    return text.split()


def test_rules_find_several_values_together_and_a_function_can_say_none() -> None:
    texts = ["a red and blue one", "green", "nothing of it"]
    table = pa.table({"item_id": ["a", "b", "c"], "text": pa.array(texts)})
    patterns = [PatternRule("colours", value, rf"\b{value}\b") for value in COLOURS.values]
    said = check_annotator(RuleAnnotator("words", PROTOCOL, patterns), table, PROTOCOL)
    assert [(claim.item_id, claim.value) for claim in said.claims] == [("a", '["red", "blue"]'), ("b", '["green"]')]
    spoken = RuleAnnotator("spoken", PROTOCOL, [FunctionRule("colours", lambda text: [], "1")])
    assert {claim.value for claim in spoken.annotate(table).claims} == {"[]"}
    wrong = RuleAnnotator("wrong", PROTOCOL, [FunctionRule("colours", some, "1")]).annotate(table)
    assert [(one.item_id, "no value of 'colours'" in one.reason) for one in wrong.failures] == [
        ("a", True),
        ("c", True),
    ]


def test_a_chat_model_is_asked_for_a_list_and_its_examples_are_lists(
    fake_module: ModuleType, cache: Any, items: pa.Table
) -> None:
    example = Example.from_mapping({"text": "the tricolour", "answers": {"kind": "flag", "colours": ["blue", "red"]}})
    with fake_module.FakeLanguageModelServer() as server:
        service = Service(server.address, "fake")
        annotator = LanguageModelAnnotator("model", PROTOCOL, Calls(service, cache), Prompt(examples=[example]))
        said = check_annotator(annotator, items, PROTOCOL)
        asked = server.payloads[0]
    claims = [claim for claim in said.claims if claim.attribute == "colours"]
    assert len({len(COLOURS.parts(claim.value)) for claim in claims}) > 1
    assert all(0 < claim.confidence < 1 for claim in claims)
    schema = asked["response_format"]["json_schema"]["schema"]["properties"]["colours"]
    assert schema == {"type": "array", "items": {"type": "string", "enum": ["red", "green", "blue"]}, "maxItems": 3}
    assert json.loads(asked["messages"][2]["content"]) == {"kind": "flag", "colours": ["red", "blue"]}
    assert "empty if none does" in asked["messages"][0]["content"]


def test_confidence_of_a_list_is_that_of_all_its_tokens_with_its_brackets() -> None:
    tokens = [('{"colours": ', -9.0), ('["red"', -0.1), (", ", -0.2), ('"blue"', -0.3), ("]", -0.4), ("}", -9.0)]
    content = "".join(token for token, _ in tokens)
    tokens = [(" ", -9.0), *tokens, ("\n", -9.0), ("", -9.0)]  # llama.cpp strips the content, and not its tokens
    [opinion] = ChatWay("fake", [COLOURS]).opinions("x", lambda *asked: answer_of(content, tokens))
    assert (opinion.value, opinion.confidence) == ('["red", "blue"]', pytest.approx(math.exp(-1.0)))


@pytest.mark.parametrize("given", ['"red"', '["white"]', "null", "[1]", "{}"])
def test_what_is_no_list_of_values_is_unusable(given: str) -> None:
    with pytest.raises(UnusableAnswerError, match="no value of the protocol"):
        ChatWay("fake", [COLOURS]).opinions("x", lambda *asked: answer_of(f'{{"colours": {given}}}'))


def test_a_base_model_refuses_several_values(cache: Any) -> None:
    service = Service("http://127.0.0.1:9/v1", "fake")
    with pytest.raises(ConfigurationError, match="the attribute 'colours' takes several"):
        LanguageModelAnnotator("model", PROTOCOL, Calls(service, cache), Prompt(mode="completion"))
    LanguageModelAnnotator("model", PROTOCOL, Calls(service, cache), Prompt(["kind"], "completion"))


def enumerated(proposed: int, said: Sequence[int], noise: float) -> tuple[float, float]:
    """Chance that a proposal is right, and gain of another answer, by summing over every set of three values."""
    right, trust = (1 - noise) ** (1 / 3), TRUST ** (1 / 3)

    def agreement(one: int, other: int, share: float) -> float:
        same = [((one >> bit) & 1) == ((other >> bit) & 1) for bit in range(3)]
        return math.prod(share if bit else 1 - share for bit in same)

    def believed(prior: float) -> list[float]:
        weights = [
            agreement(true, proposed, prior) * math.prod(agreement(true, one, right) for one in said)
            for true in range(8)
        ]
        return [weight / sum(weights) for weight in weights]

    posterior = believed(0.6 ** (1 / 3))
    after = sum(max(p * agreement(true, given, right) for true, p in enumerate(posterior)) for given in range(8))
    return believed(trust)[proposed], after - max(posterior)


@pytest.mark.parametrize(("proposed", "said"), list(product([0, 0b101], [[0], [0b101], [0b100], [0b101, 0b111]])))
def test_evidence_about_lists_is_that_of_every_possible_list(proposed: int, said: list[int]) -> None:
    evidence = sum((list_evidence(one, 3, 0.1) for one in said), np.zeros(3))[None]
    chance, gain = enumerated(proposed, said, 0.1)
    assert chance_right_lists(np.array([proposed]), evidence) == pytest.approx(chance)
    unanswered = list_answer_gain(np.array([proposed]), np.array([0.6]), evidence, np.array([0]), 0.1)
    assert unanswered == pytest.approx(gain)


def test_of_two_values_that_exclude_nothing_a_list_of_one_is_judged_like_a_choice() -> None:
    """One value of which several may be is the question yes or no."""
    listed = chance_right_lists(np.array([1, 1]), np.stack([list_evidence(one, 1, 0.1) for one in (1, 0)]))
    chosen = chance_right(np.array([1, 1]), np.log(np.array([[0.1, 0.9], [0.9, 0.1]])))
    assert listed == pytest.approx(chosen)


def test_what_nobody_proposed_or_said_is_worth_the_most() -> None:
    nothing = np.zeros((3, 3))
    gain = list_answer_gain(np.array([-1, 1, 1]), np.array([0.0, 0.6, 0.99]), nothing, np.zeros(3, np.int64), 0.05)
    assert gain[0] > gain[1] > gain[2] >= 0


def test_consensus_on_lists_takes_each_value_by_itself_and_trusts_the_skilled() -> None:
    generator = np.random.default_rng(4)
    true = generator.random((300, 3)) < [0.5, 0.3, 0.1]
    answers = []
    for annotator, noise in enumerate((0.05, 0.05, 0.45, 0.45, 0.45)):
        seen = true ^ (generator.random(true.shape) < noise)
        answers += [
            (item, annotator, frozenset(np.array(COLOURS.values)[row].tolist())) for item, row in enumerate(seen)
        ]
    found = list_consensus(answers, COLOURS.values, (300, 5), bayesian)
    counted = list_consensus(answers, COLOURS.values, (300, 5), majority)
    assert (found.chosen == true).mean() > 0.93 > 0.88 > (counted.chosen == true).mean()
    right = (found.chosen == true).all(axis=1)
    assert found.posterior.mean() == pytest.approx(right.mean(), abs=0.06)
    assert found.skill[:2].min() > 0.9 > 0.65 > found.skill[2:].max()
    assert ((found.alphas > 0) & (found.alphas < 0.6)).all()


NEW: Mapping[str, Any] = {
    "name": "flags",
    "version": "2",
    "attribute": [
        {"name": "paints", "question": COLOURS.question, "values": ["warm", "cyan", "navy", "green"], "multiple": True}
    ],
    "migration": [
        {
            "from_version": "1",
            "attributes": {"colours": "paints"},
            "values": {"paints": {"red": "warm", "blue": ["cyan", "navy"]}},
        }
    ],
}


def test_an_old_list_is_carried_over_where_every_value_is_and_is_asked_again_elsewhere() -> None:
    new = Protocol.from_mapping(NEW)
    said = [("colours", answer) for answer in ('["red"]', '["red", "green"]', '["red", "blue"]', "red")]
    found = readings(new, PROTOCOL, said)
    assert found == {
        ("colours", "[]"): ("paints", "[]"),
        ("colours", '["red"]'): ("paints", '["warm"]'),
        ("colours", '["red", "green"]'): ("paints", '["warm", "green"]'),
    }
    assert origin(new, "paints", '["warm", "green"]') == ("colours", '["green", "red"]')


def test_of_a_list_a_value_that_was_taken_away_is_left_out() -> None:
    paints = {"name": "colours", "question": COLOURS.question, "values": ["red", "blue"], "multiple": True}
    changes = {"from_version": "1", "values": {"colours": {"green": []}}}
    new = Protocol.from_mapping({"name": "flags", "version": "2", "attribute": [paints], "migration": [changes]})
    found = readings(new, PROTOCOL, [("colours", answer) for answer in ('["red", "green"]', '["green"]', '["blue"]')])
    assert {old: now for (_, old), (_, now) in found.items()} == {
        "[]": "[]",
        '["red", "green"]': '["red"]',
        '["green"]': "[]",
        '["blue"]': '["blue"]',
    }


def test_one_value_never_reads_as_several_nor_several_as_one() -> None:
    single = Protocol("flags", "1", (Attribute("paints", COLOURS.question, ("warm", "cyan", "navy", "green")),))
    new = Protocol.from_mapping({**NEW, "migration": [{"from_version": "1"}]})
    assert readings(new, single) == {}
    assert readings(Protocol.from_mapping({**NEW, "version": "1", "migration": []}), single) == {}
