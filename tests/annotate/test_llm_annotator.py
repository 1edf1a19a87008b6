"""The annotator that asks a language model, against the fake server."""

from __future__ import annotations

import json
import math
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from curate.annotate.checks import check_annotator
from curate.annotate.llm.annotator import AnnotationPlan, Calls, LanguageModelAnnotator, Mode, Prompt
from curate.annotate.llm.examples import Example
from curate.annotate.llm.service import Service
from curate.annotate.protocol import Protocol
from curate.errors import RefusedRequestError, ServiceError, UnknownNameError
from curate.types import Annotated

EXAMPLES = (
    Example("import os", {"kind": "python", "tone": "dry"}),
    Example("#include <os.h>", {"kind": "c", "tone": "dry"}),
    Example("Oh what a day!", {"kind": "english", "tone": "lively"}),
    Example("print(1)", {"kind": "python"}),
)
WITH_TEXT = 4
PATIENCE = {"timeout": 5.0, "attempts": 2, "first_wait": 0.0, "longest_wait": 60.0, "concurrency": 4}
UNUSED = "http://127.0.0.1:9/v1"


def annotator(protocol: Protocol, address: str, cache: Any, **changes: Any) -> LanguageModelAnnotator:
    patience = {key: changes.pop(key) for key in PATIENCE.keys() & changes.keys()}
    service = Service(address, "tiny", **(PATIENCE | patience))
    calls, least = Calls(service, cache, progress=changes.pop("progress", None)), changes.pop("least", 0.0)
    return LanguageModelAnnotator("model", protocol, calls, Prompt(**changes), least=least)


def values(said: Annotated) -> list[tuple[str, str, str]]:
    return [(claim.item_id, claim.attribute, claim.value) for claim in said.claims]


@pytest.mark.parametrize("mode", ["chat", "completion"])
def test_it_keeps_the_promises_of_annotators(
    fake_module: ModuleType, cache: Any, protocol: Protocol, items: pa.Table, mode: Mode
) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        one = annotator(protocol, server.address, cache, mode=mode, examples=EXAMPLES)
        said = check_annotator(one, items, protocol)
    assert len(said.claims) == 2 * WITH_TEXT
    assert not said.failures
    assert len(server.payloads) == len(cache.kept), "an answer was asked for twice"


@pytest.mark.parametrize("mode", ["chat", "completion"])
def test_a_second_run_asks_nothing(
    fake_module: ModuleType, cache: Any, protocol: Protocol, items: pa.Table, mode: Mode
) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        said = annotator(protocol, server.address, cache, mode=mode).annotate(items)
        asked = len(server.payloads)
    again = annotator(protocol, UNUSED, cache, mode=mode).annotate(items)
    assert asked == len(cache.kept) > 0
    assert again == said


@pytest.mark.parametrize("mode", ["chat", "completion"])
def test_the_plan_counts_what_is_asked(
    fake_module: ModuleType, cache: Any, protocol: Protocol, items: pa.Table, mode: Mode
) -> None:
    before = annotator(protocol, UNUSED, cache, mode=mode).plan(items)
    with fake_module.FakeLanguageModelServer() as server:
        annotator(protocol, server.address, cache, mode=mode).annotate(items)
    after = annotator(protocol, UNUSED, cache, mode=mode).plan(items)
    assert before.items == after.items == WITH_TEXT
    assert (before.requests, before.cached_requests) == (len(server.payloads), 0)
    assert after == AnnotationPlan(before.items, 0, before.requests, 0)
    assert before.prompt_tokens > 20 * before.requests


@pytest.mark.parametrize("mode", ["chat", "completion"])
def test_an_estimate_needs_no_items_and_is_no_smaller_than_the_plan(cache: Any, protocol: Protocol, mode: Mode) -> None:
    one = annotator(protocol, UNUSED, cache, mode=mode, excerpt_characters=50)
    texts = [f"text {place} " * 20 for place in range(7)]
    plan = one.plan(pa.table({"item_id": texts, "text": texts}))
    assert one.estimate(7) == plan
    assert one.estimate(0) == AnnotationPlan(0, 0, 0, 0)


def test_an_empty_batch_plans_nothing(cache: Any, protocol: Protocol, items: pa.Table) -> None:
    plan = annotator(protocol, UNUSED, cache, mode="completion").plan(items.slice(0, 0))
    assert plan == AnnotationPlan(0, 0, 0, 0)


def test_a_chat_request_asks_for_all_attributes_and_puts_the_text_last(
    fake_module: ModuleType, cache: Any, protocol: Protocol, items: pa.Table
) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        annotator(protocol, server.address, cache, examples=EXAMPLES, excerpt_characters=10, concurrency=1).annotate(
            items
        )
    first, second, *_ = server.payloads
    assert first["messages"][:-1] == second["messages"][:-1]
    assert first["messages"][-1] == {"role": "user", "content": "#include <…"}
    assert first["temperature"] == 0
    schema = first["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["kind", "tone"]
    assert '- "python": source code in Python' in first["messages"][0]["content"]
    assert json.loads(first["messages"][2]["content"]) == {"kind": "python", "tone": "dry"}
    assert len(first["messages"]) == 1 + 3 * 2 + 1, "an example without all answers is left out"


def test_chat_confidence_is_the_probability_of_the_values_tokens(
    fake_module: ModuleType, cache: Any, protocol: Protocol, items: pa.Table
) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        sure = annotator(protocol, server.address, cache).annotate(items).claims
        untold = annotator(protocol, server.address, cache, parameters={"logprobs": False}).annotate(items).claims
    assert [claim.confidence for claim in sure] == pytest.approx([math.exp(-0.1)] * len(sure))
    assert [claim.confidence for claim in untold] == [1.0] * len(sure)


@pytest.mark.parametrize(
    ("mode", "fault", "reason"),
    [
        ("chat", "broken content", "the answer is not valid JSON: 'I think that this is'"),
        ("chat", "wrong value", "the answer gives 'kind' no value of the protocol"),
        ("chat", "cut off", "the answer was cut off at its longest length"),
        ("chat", "no choices", "the answer has no choices"),
        ("completion", "no choices", "the answer has no choices"),
        ("completion", "no log-probabilities", "the server lists no log-probabilities"),
    ],
)
def test_a_useless_answer_is_a_failure_of_its_item(
    fake_module: ModuleType, cache: Any, protocol: Protocol, items: pa.Table, mode: Mode, fault: str, reason: str
) -> None:
    with fake_module.FakeLanguageModelServer(["", *[fault] * 99]) as server:
        said = annotator(protocol, server.address, cache, mode=mode, concurrency=1).annotate(items)
    assert said.failures
    assert all(failure.reason.startswith(reason) for failure in said.failures)
    assert len({claim.item_id for claim in said.claims}) + len(said.failures) == WITH_TEXT


def test_a_request_that_is_too_long_is_a_failure_of_its_item(
    fake_module: ModuleType, cache: Any, protocol: Protocol, items: pa.Table
) -> None:
    with fake_module.FakeLanguageModelServer(["400"], told="context_length_exceeded") as server:
        said = annotator(protocol, server.address, cache, concurrency=1).annotate(items)
    assert [failure.item_id for failure in said.failures] == ["item-1"], "the first text in alphabetical order"
    assert len(said.claims) == 2 * (WITH_TEXT - 1)


def test_a_final_no_stops_the_batch(fake_module: ModuleType, cache: Any, protocol: Protocol) -> None:
    many = pa.table({"item_id": [str(place) for place in range(50)], "text": [f"text {place}" for place in range(50)]})
    with fake_module.FakeLanguageModelServer(always="401") as server, pytest.raises(RefusedRequestError):
        annotator(protocol, server.address, cache, concurrency=4).annotate(many)
    assert len(server.payloads) < 50


def test_a_final_no_ends_the_waits_of_the_others(
    fake_module: ModuleType, cache: Any, protocol: Protocol, items: pa.Table
) -> None:
    patience = {"first_wait": 1e6, "longest_wait": 1e6, "concurrency": 2}
    with fake_module.FakeLanguageModelServer(["503", "401"]) as server, pytest.raises(RefusedRequestError):
        annotator(protocol, server.address, cache, **patience).annotate(items)


def test_what_was_received_before_a_failure_is_kept(
    fake_module: ModuleType, cache: Any, protocol: Protocol, items: pa.Table
) -> None:
    with fake_module.FakeLanguageModelServer(["", ""], always="503") as server:
        with pytest.raises(ServiceError, match="status 503") as caught:
            annotator(protocol, server.address, cache, concurrency=1).annotate(items)
        assert caught.value.unchanged.startswith("2 answers")
    with fake_module.FakeLanguageModelServer() as server:
        said = annotator(protocol, server.address, cache).annotate(items)
    assert len(server.payloads) == WITH_TEXT - 2
    assert len(said.claims) == 2 * WITH_TEXT


def test_an_interrupt_keeps_what_was_received(
    fake_module: ModuleType, cache: Any, protocol: Protocol, items: pa.Table
) -> None:
    class Impatient:
        def advance(self, count: int = 1) -> None:
            raise KeyboardInterrupt

        def start(self, *_: object) -> None: ...

        def finish(self, *_: object) -> None: ...

        def note(self, *_: object) -> None: ...

    with fake_module.FakeLanguageModelServer() as server, pytest.raises(KeyboardInterrupt):
        annotator(protocol, server.address, cache, progress=Impatient(), concurrency=1).annotate(items)
    assert 1 <= len(cache.kept) == server.answered


def test_the_version_names_everything_that_the_answers_depend_on(cache: Any, protocol: Protocol) -> None:
    kinds = [
        {},
        {"mode": "completion"},
        {"attributes": ["kind"]},
        {"attributes": ["tone", "kind"]},
        {"examples": EXAMPLES},
        {"examples": EXAMPLES, "mode": "completion"},
        {"examples": EXAMPLES[:3], "mode": "completion"},
        {"excerpt_characters": 300},
        {"parameters": {"seed": 1}},
    ]
    versions = [annotator(protocol, UNUSED, cache, **kind).version for kind in kinds]
    versions.append(LanguageModelAnnotator("model", protocol, Calls(Service(UNUSED, "other"), cache)).version)
    assert len(set(versions)) == len(versions)
    elsewhere = annotator(protocol, "http://127.0.0.1:10/v1", cache, timeout=1.0)
    assert elsewhere.version == versions[0]


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        ({}, "5dbe9f8249ada972-42691f397c3ff86a"),
        (
            {"mode": "completion", "examples": EXAMPLES, "attributes": ["tone", "kind"], "excerpt_characters": 300}
            | {"parameters": {"seed": 1}, "least": 0.5},
            "4a630d552eb27d13-69ade605561b4248",
        ),
        ({"modalities": ("text", "image"), "image_side": 64}, "56c5f89e7029356c-053788aa3f11f6b0"),
    ],
)
def test_versions_are_what_they_were_before_parameters_were_grouped(
    cache: Any, protocol: Protocol, changes: dict[str, Any], version: str
) -> None:
    """Another version would ask everything anew; a change of the wording may change these, and nothing else."""
    assert annotator(protocol, UNUSED, cache, **changes).version == version


def test_names_outside_the_protocol_are_refused(cache: Any, protocol: Protocol) -> None:
    with pytest.raises(UnknownNameError, match="unknown attribute 'sort'"):
        annotator(protocol, UNUSED, cache, attributes=["sort"])
    with pytest.raises(UnknownNameError, match="unknown value 'java'"):
        annotator(protocol, UNUSED, cache, examples=[Example("x", {"kind": "java"})])
    with pytest.raises(UnknownNameError, match="unknown mode 'chart'"):
        annotator(protocol, UNUSED, cache, mode="chart")


def test_it_abstains_where_it_is_less_sure_than_asked(
    fake_module: ModuleType, cache: Any, protocol: Protocol, items: pa.Table
) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        every = annotator(protocol, server.address, cache, mode="completion").annotate(items)
    sure = sorted(claim.confidence for claim in every.claims)
    picky = annotator(protocol, UNUSED, cache, mode="completion", least=sure[2])
    said = picky.annotate(items)
    assert sorted(claim.confidence for claim in said.claims) == [one for one in sure if one >= sure[2]]
    assert len(said.claims) < len(every.claims)
    assert not said.failures
    plain = annotator(protocol, UNUSED, cache, mode="completion")
    assert picky.version != plain.version == annotator(protocol, UNUSED, cache, mode="completion", least=0.0).version
