"""How fast requests may follow each other, with a clock that stands still unless it is moved."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import ModuleType
from typing import Any

import pytest

from curate.annotate.llm.client import Client
from curate.annotate.llm.pace import Pace
from curate.annotate.llm.service import Service
from curate.annotate.llm.spending import Spending, answer_tokens, prompt_tokens
from curate.errors import BudgetSpentError, ServiceError
from curate.types import Response

PAYLOAD = {"model": "tiny", "prompt": "x" * 29, "max_tokens": 10}


def test_without_limits_nobody_waits() -> None:
    pace = Pace(clock=lambda: 5.0)
    assert [pace.delay(1_000_000) for _ in range(3)] == [0.0] * 3


def test_tokens_and_requests_are_spaced_by_what_is_scarcer() -> None:
    pace = Pace(requests_per_minute=60, tokens_per_minute=600, clock=lambda: 5.0)
    assert [pace.delay(tokens) for tokens in (20, 5, 5)] == [0.0, 2.0, 3.0]


def test_time_that_passes_is_not_waited_for_and_saves_up_nothing() -> None:
    now = [0.0]
    pace = Pace(requests_per_minute=60, clock=lambda: now[0])
    pace.delay(1)
    now[0] = 30.0
    assert [pace.delay(1), pace.delay(1)] == [0.0, 1.0]


def test_a_pause_holds_everybody() -> None:
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    pace.hold(7.0)
    assert [pace.delay(1), pace.delay(1)] == [7.0, 7.0]
    now[0] = 8.0
    assert pace.delay(1) == 0.0


def test_a_client_sends_no_faster_than_it_may(
    fake_module: ModuleType, cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    with fake_module.FakeLanguageModelServer() as server:
        client = Client(Service(server.address, "tiny", requests_per_minute=6), cache)
        client._pace = Pace(requests_per_minute=6, clock=lambda: 0.0)
        monkeypatch.setattr(client._stopped, "wait", waits.append)
        for number in range(3):
            client.ask("/completions", {**PAYLOAD, "prompt": f"prompt {number}"})
        client.close()
    assert waits == [10.0, 20.0]


def test_a_request_sets_aside_what_it_may_cost_and_gives_back_what_it_did_not() -> None:
    money = Spending(1e6, 2e6, left=50.0)
    assert (prompt_tokens(PAYLOAD), answer_tokens(PAYLOAD)) == (10, 10)
    reserved = money.reserve(PAYLOAD)
    assert reserved == pytest.approx(30.0)
    money.settle(reserved, Response({}, prompt_tokens=8, completion_tokens=1))
    assert money.spent == pytest.approx(10.0)
    with pytest.raises(BudgetSpentError, match="may cost 60, and 40 of the ceiling are left"):
        money.reserve({**PAYLOAD, "prompt": "x" * 119})
    money.settle(money.reserve(PAYLOAD), None)
    assert money.spent == pytest.approx(10.0), "what failed cost nothing"


def test_who_finds_too_much_set_aside_waits_for_what_the_others_give_back() -> None:
    money = Spending(1e6, 2e6, left=50.0)
    first = money.reserve(PAYLOAD)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(money.reserve, PAYLOAD)
        while not money._changed._waiters:  # type: ignore[attr-defined]
            Event().wait(0.001)
        assert not second.done()
        money.settle(first, Response({}, prompt_tokens=10, completion_tokens=0))
        assert second.result(20) == pytest.approx(30.0)


def test_an_answer_from_the_cache_costs_nothing(fake_module: ModuleType, cache: Any) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        with Client(Service(server.address, "tiny"), cache, Spending(1e6, 1e6, left=100.0)) as client:
            client.ask("/completions", PAYLOAD)
        with Client(Service(server.address, "tiny"), cache, Spending(1e6, 1e6, left=0.0)) as client:
            client.ask("/completions", PAYLOAD)
            with pytest.raises(BudgetSpentError):
                client.ask("/completions", {**PAYLOAD, "prompt": "another"})
    assert len(server.payloads) == 1


def test_what_a_failed_request_set_aside_is_free_again(cache: Any) -> None:
    money = Spending(1e6, 1e6, left=20.0)
    with Client(Service("http://127.0.0.1:9/v1", "tiny", attempts=1), cache, money) as client:
        for _ in range(2):
            with pytest.raises(ServiceError):
                client.ask("/completions", PAYLOAD)
