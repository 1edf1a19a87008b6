"""The model as an analyst: useless answers are asked for once more, and what was paid for is not paid for again."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from curate.annotate.discovery.analyst import ModelAnalyst, Question
from curate.annotate.llm.client import Client
from curate.annotate.llm.service import Service
from curate.errors import RefusedRequestError

SCHEMA = {"properties": {"place": {"type": "string", "enum": ["sea", "hill"]}}}
QUESTION = Question("refinement", "You answer.", "1: by the sea", SCHEMA, 50)


def asked(server: Any, cache: Any, questions: list[Question]) -> tuple[list[Any], ModelAnalyst]:
    with Client(Service(server.address, "tiny", first_wait=0.0), cache) as client:
        analyst = ModelAnalyst(client)
        return analyst.answers(questions), analyst


def test_an_answer_of_no_use_is_asked_for_once_more(fake_module: ModuleType, cache: Any) -> None:
    with fake_module.FakeLanguageModelServer(["broken content"]) as server:
        [answer], analyst = asked(server, cache, [QUESTION])
    assert answer is not None
    assert answer["place"] in ("sea", "hill")
    assert (analyst.usage["refinement"].calls, analyst.usage["refinement"].unusable) == (2, 1)
    assert [payload["temperature"] > 0 for payload in server.payloads] == [False, True]


def test_twice_of_no_use_is_none_and_the_others_go_on(fake_module: ModuleType, cache: Any) -> None:
    other = Question("refinement", "You answer.", "1: on the hill", SCHEMA, 50)
    with fake_module.FakeLanguageModelServer() as server:
        asked(server, cache, [other])
    with fake_module.FakeLanguageModelServer(always="cut off") as server:
        (first, second), _ = asked(server, cache, [QUESTION, other])
    assert first is None
    assert second is not None
    assert len(server.payloads) == 2


def test_what_was_answered_is_not_asked_again(fake_module: ModuleType, cache: Any) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        first, _ = asked(server, cache, [QUESTION])
        second, _ = asked(server, cache, [QUESTION])
    assert first == second
    assert len(server.payloads) == 1


def test_a_final_no_ends_the_run(fake_module: ModuleType, cache: Any) -> None:
    with fake_module.FakeLanguageModelServer(always="401") as server, pytest.raises(RefusedRequestError):
        asked(server, cache, [QUESTION, Question("refinement", "You answer.", "1: by the lake", SCHEMA, 50)])
