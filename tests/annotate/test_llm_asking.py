"""Several batches at work at once: their order, how many requests are under way, and what an error leaves."""

from __future__ import annotations

from itertools import pairwise
from threading import Lock
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from curate.annotate.llm.annotator import Calls, LanguageModelAnnotator, Prompt
from curate.annotate.llm.client import Client
from curate.annotate.llm.service import Service
from curate.annotate.protocol import Protocol
from curate.errors import ServiceError
from curate.types import Response

COUNT = 20


def annotator(protocol: Protocol, address: str, cache: Any, concurrency: int, **more: Any) -> LanguageModelAnnotator:
    service = Service(address, "tiny", timeout=5.0, attempts=1, first_wait=0.0, concurrency=concurrency)
    return LanguageModelAnnotator("model", protocol, Calls(service, cache), Prompt(**more))


def batch(name: str, count: int = COUNT) -> pa.Table:
    ids = [f"{name}-{place:02d}" for place in range(count)]
    return pa.table({"item_id": ids, "text": [f"text {place % 7} of {item_id}" for place, item_id in enumerate(ids)]})


def test_a_batch_that_was_begun_is_asked_while_another_is_waited_for(
    fake_module: ModuleType, cache: Any, protocol: Protocol
) -> None:
    one, two = batch("one"), batch("two")
    with (
        fake_module.FakeLanguageModelServer() as server,
        annotator(protocol, server.address, cache, 4).asking() as asking,
    ):
        asking.begin(one)
        asking.begin(two)
        later = asking.finish(two)
        assert len(server.payloads) >= 2 * COUNT - 8, "all of the first batch but what eight threads hold"
        first = asking.finish(one)
        assert len(server.payloads) == 2 * COUNT
    alone = annotator(protocol, "http://127.0.0.1:9/v1", cache, 1)
    assert (first, later) == (alone.annotate(one), alone.annotate(two))


def test_requests_that_begin_alike_follow_each_other(fake_module: ModuleType, cache: Any, protocol: Protocol) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        annotator(protocol, server.address, cache, 1, mode="completion").annotate(batch("a"))
    asked = [one["prompt"] for one in server.payloads if "text " in one["prompt"]]
    attributes = [prompt.rpartition("\n")[2] for prompt in asked]
    assert len(asked) == 2 * COUNT
    # Two threads prepare requests for one slot and may change places: hence not 1, and far from 39.
    assert sum(one != other for one, other in pairwise(attributes)) <= 3
    texts = [prompt.rpartition("Text: ")[2][:6] for prompt in asked[:COUNT]]
    assert sum(one != other for one, other in pairwise(texts)) <= 12, "seven beginnings, six changes without swaps"


def test_no_more_requests_are_under_way_than_the_service_may_have(
    fake_module: ModuleType, cache: Any, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, lock = [0], [0], Lock()
    post = "curate.annotate.llm.transport.Transport.post"

    def counted(*_: object) -> Any:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        try:
            raise OSError("not sent")
        finally:
            with lock:
                under_way[0] -= 1

    monkeypatch.setattr(post, counted)
    with pytest.raises(OSError, match="not sent"):
        annotator(protocol, "http://127.0.0.1:9/v1", cache, 3).annotate(batch("a"))
    assert 1 <= most[0] <= 3


def test_the_cache_is_asked_for_many_answers_at_once(fake_module: ModuleType, cache: Any, protocol: Protocol) -> None:
    with fake_module.FakeLanguageModelServer() as server:
        annotator(protocol, server.address, cache, 2).annotate(batch("a"))
    assert [len(keys) for keys in cache.looked_up] == [COUNT]
    assert set(cache.looked_up[0]) == cache.kept.keys()


def test_a_batch_outlives_the_error_of_a_later_one(fake_module: ModuleType, cache: Any, protocol: Protocol) -> None:
    one, two = batch("one", 3), batch("two", 3)
    with (
        fake_module.FakeLanguageModelServer([""] * 3, always="503") as server,
        annotator(protocol, server.address, cache, 1).asking() as asking,
    ):
        assert len(asking.finish(one).claims) == 6
        with pytest.raises(ServiceError) as caught:
            asking.finish(two)
    assert caught.value.unchanged.startswith("3 answers were received and are kept")


def test_a_client_looks_up_by_the_keys_that_it_asks_with(cache: Any) -> None:
    payload = {"model": "tiny", "prompt": "x"}
    client = Client(Service("http://127.0.0.1:9/v1", "tiny"), cache)
    client.look_up([payload])
    cache.kept[cache.looked_up[0][0]] = Response({"choices": []})
    assert client.ask("/completions", payload) == Response({"choices": []})
