"""The client against a fake server that fails in every way; waits between attempts are switched off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from curate.annotate.llm.client import Client, request_key
from curate.annotate.llm.pace import Pace
from curate.annotate.llm.service import Service
from curate.annotate.llm.spending import prompt_tokens
from curate.annotate.llm.transport import UnanswerableError
from curate.errors import InterruptedRunError, RefusedRequestError, ServiceError
from curate.types import Response

PATH = "/completions"
PAYLOAD = {"model": "tiny", "prompt": "Kind: c\n\nText: x\nKind:", "temperature": 0}
ANOTHER = {**PAYLOAD, "prompt": "another"}


def client(address: str | Callable[[], str], cache: Any, **changes: Any) -> Client:
    patience = {"timeout": 5.0, "attempts": 3, "first_wait": 0.0} | changes
    return Client(Service(address, "tiny", **patience), cache)


def ask(server: Any, cache: Any, payload: Mapping[str, Any] = PAYLOAD, **changes: Any) -> Response:
    with client(server.address, cache, **changes) as one:
        return one.ask(PATH, payload)


def test_an_answer_is_kept_before_it_is_used_and_never_asked_for_again(fake_module: ModuleType, cache: Any) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        first = ask(server, cache)
        assert ask(server, cache) is first
    assert server.payloads == [PAYLOAD]
    assert cache.kept == {request_key(PAYLOAD): first}
    assert (first.prompt_tokens, first.completion_tokens, first.attempts) == (len(str(PAYLOAD["prompt"])), 1, 1)


def test_an_answer_that_does_not_say_what_it_took_counts_for_the_most(fake_module: ModuleType, cache: Any) -> None:
    """Else no ceiling would hold for such a server."""
    payload = {**PAYLOAD, "max_tokens": 7}
    with fake_module.FakeLanguageModelServer(["no usage"]) as server:
        answer = ask(server, cache, payload)
    assert (answer.prompt_tokens, answer.completion_tokens) == (prompt_tokens(payload), 7)
    assert answer.prompt_tokens > 0


def test_an_answer_that_cannot_be_kept_is_not_used(fake_module: ModuleType, cache: Any) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    cache.put = full
    with fake_module.FakeLanguageModelServer() as server, pytest.raises(OSError, match="no space left"):
        ask(server, cache)


def test_the_key_of_a_request_is_what_is_asked_and_not_where() -> None:
    assert request_key(PAYLOAD) == request_key(dict(reversed(PAYLOAD.items())))
    assert len({request_key(changed) for changed in (PAYLOAD, {**PAYLOAD, "model": "other"}, ANOTHER)}) == 3


@pytest.mark.parametrize("fault", ["408", "409", "429:0", "500", "503", "reset", "broken body", "page"])
def test_what_may_pass_is_tried_again(fake_module: ModuleType, cache: Any, fault: str) -> None:
    with fake_module.FakeLanguageModelServer([fault, fault]) as server:
        assert ask(server, cache).attempts == 3
    assert len(server.payloads) == 3


@pytest.mark.parametrize("fault", ["hang", "trickle", "drip"])
def test_a_server_that_hangs_is_given_up_after_its_time(fake_module: ModuleType, cache: Any, fault: str) -> None:
    with (
        fake_module.FakeLanguageModelServer([fault]) as server,
        pytest.raises(ServiceError, match=r"no complete answer within 0\.2 s"),
    ):
        ask(server, cache, timeout=0.2, attempts=1)


def test_a_server_that_is_not_there_is_named_with_what_was_kept(fake_module: ModuleType, cache: Any) -> None:
    with fake_module.FakeLanguageModelServer() as server, client(server.address, cache) as one:
        one.ask(PATH, PAYLOAD)
        server.close()
        with pytest.raises(ServiceError, match=f"at {server.address} gave no usable answer in 3 attempts") as caught:
            one.ask(PATH, ANOTHER)
    assert caught.value.unchanged.startswith("1 answers were received and are kept")
    assert "run the same command again" in caught.value.hint
    assert len(cache.kept) == 1


@pytest.mark.parametrize(
    ("status", "hint"),
    [(400, "takes such requests"), (401, "CURATE_LLM_KEY"), (403, "CURATE_LLM_KEY"), (404, "ends in /v1"), (302, "")],
)
def test_a_final_no_is_not_asked_again(fake_module: ModuleType, cache: Any, status: int, hint: str) -> None:
    with fake_module.FakeLanguageModelServer(always=str(status)) as server:
        no = f"at {server.address} refused the request: status {status}"
        with pytest.raises(RefusedRequestError, match=no) as caught:
            ask(server, cache)
    assert hint in caught.value.hint
    assert len(server.payloads) == 1
    assert not cache.kept


def test_a_request_that_is_too_long_concerns_itself_only(fake_module: ModuleType, cache: Any) -> None:
    told = "the request exceeds the available context size (exceed_context_size_error)"
    with (
        fake_module.FakeLanguageModelServer(["400"], told=told) as server,
        pytest.raises(UnanswerableError, match="too long for the model"),
    ):
        ask(server, cache)


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for(fake_module: ModuleType, cache: Any) -> None:
    told = r"in 1 attempts: status 429.*; it asks to wait 3600 s"
    with (
        fake_module.FakeLanguageModelServer(always="429:3600") as server,
        pytest.raises(ServiceError, match=told),
    ):
        ask(server, cache)
    assert len(server.payloads) == 1


def test_a_server_is_waited_for_as_long_as_it_asks_and_else_ever_longer(
    fake_module: ModuleType, cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    now = [0.0]

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    with (
        fake_module.FakeLanguageModelServer(["429:7", "500", "500"]) as server,
        client(server.address, cache, attempts=4, first_wait=1.0) as one,
    ):
        one._pace = Pace(clock=lambda: now[0])
        monkeypatch.setattr(one._stopped, "wait", wait)
        one.ask(PATH, PAYLOAD)
    assert len(waits) == 3
    for wait, (least, most) in zip(waits, [(7.5, 8), (1, 2), (2, 4)], strict=True):
        assert least <= wait <= most


def test_a_date_may_say_how_long_to_wait(fake_module: ModuleType, cache: Any) -> None:
    date = "429:Thu, 01 Jan 2099 00:00:00 GMT"
    with (
        fake_module.FakeLanguageModelServer(always=date) as server,
        pytest.raises(ServiceError, match="it asks to wait"),
    ):
        ask(server, cache)
    with fake_module.FakeLanguageModelServer(["429:Thu, 01 Jan 1970 00:00:00 GMT", "429:soon"]) as server:
        assert ask(server, cache).attempts == 3


def test_the_key_is_sent_and_never_shown(fake_module: ModuleType, cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_LLM_KEY", "secret-key")
    with (
        fake_module.FakeLanguageModelServer(["", "401"], told="the key secret-key is wrong") as server,
        client(server.address + "?key=secret-key", cache) as one,
    ):
        one.ask(PATH, PAYLOAD)
        with pytest.raises(RefusedRequestError, match=r"the key \*\*\* is wrong") as caught:
            one.ask(PATH, ANOTHER)
    assert server.headers[0]["Authorization"] == "Bearer secret-key"
    shown = [str(caught.value), caught.value.hint, caught.value.unchanged, repr(cache.requests), repr(cache.kept)]
    assert "secret-key" not in " ".join(shown)


def test_threads_that_ask_the_same_share_one_request(fake_module: ModuleType, cache: Any) -> None:
    with (
        fake_module.FakeLanguageModelServer() as server,
        client(server.address, cache) as one,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda _: one.ask(PATH, PAYLOAD), range(40)))
    assert len(server.payloads) == len(cache.requests) == 1
    assert all(answer is answers[0] for answer in answers)


def test_a_stopped_client_begins_no_further_attempt(cache: Any) -> None:
    one = client("http://127.0.0.1:9/v1", cache)
    one.stop()
    with pytest.raises(InterruptedRunError):
        one.ask(PATH, PAYLOAD)


def test_a_server_is_started_only_for_what_the_cache_does_not_hold(fake_module: ModuleType, cache: Any) -> None:
    started: list[str] = []
    with fake_module.FakeLanguageModelServer() as server:

        def start() -> str:
            started.append(server.address)
            return str(server.address)

        for _ in range(2):
            with client(start, cache) as one:
                one.ask(PATH, PAYLOAD)
    assert len(started) == 1
