"""The client of a language model: asks the cache first, pays once for an answer, and retries what may pass."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from threading import BoundedSemaphore, Event, Lock
from typing import TYPE_CHECKING, Any, Self

from curate.annotate.canonical import full_hash
from curate.annotate.llm.pace import Pace
from curate.annotate.llm.pictures import with_picture
from curate.annotate.llm.service import Service
from curate.annotate.llm.spending import Spending, answer_tokens, prompt_tokens
from curate.errors import InterruptedRunError, RefusedRequestError, ServiceError
from curate.types import Request, RequestCache, Response

if TYPE_CHECKING:
    from curate.annotate.llm.transport import Answer, PassingError, Transport


def request_key(payload: Mapping[str, Any]) -> str:
    """Return the key of a request in the cache: the SHA-256 of the canonical JSON of what is asked.

    The payload holds the model, the messages or the prompt, and all parameters. The address is no part of it: the same
    model at another address gives the same answer.
    """
    return full_hash(payload)


class Client:
    """Asks one service; the threads of one batch share a client, and close it at the batch's end.

    The cache is asked before every request, and an answer is in the cache before it is used. Threads that ask the same
    thing at the same time share one request. At most `service.concurrency` requests are under way, however many threads
    ask: what they do before and after a request keeps none of the server's slots waiting.
    """

    def __init__(self, service: Service, cache: RequestCache, spending: Spending | None = None) -> None:
        self.service = service
        self._spending = spending or Spending()
        self._pace = Pace(service.requests_per_minute, service.tokens_per_minute)
        self.received = 0
        self._cache = cache
        self._slots = BoundedSemaphore(service.concurrency)
        self._lock = Lock()
        self._under_way: dict[str, Future[Response]] = {}
        self._transport: Transport | None = None
        self._stopped = Event()
        self._jitter = random.Random()

    def __enter__(self) -> Self:
        """Use the client in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every wait between retries and close the connections."""
        self.stop()
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            self._transport.close()

    def stop(self) -> None:
        """Let requests that are under way finish their attempt, and begin no further one."""
        self._stopped.set()

    def is_cached(self, payload: Mapping[str, Any]) -> bool:
        """Whether asking would cost nothing."""
        return self._cache.get(request_key(payload)) is not None

    def look_up(self, payloads: Sequence[Mapping[str, Any]]) -> None:
        """Let the cache look for many answers at once, before they are asked for one by one."""
        self._cache.look_up([request_key(payload) for payload in payloads])

    def ask(self, path: str, payload: Mapping[str, Any], image: bytes | None = None) -> Response:
        """Return the answer to a request, from the cache or from the service, which gets `image` for its reference.

        Raises:
            ServiceError: the service cannot be reached, or every attempt failed in a way that may pass.
            RefusedRequestError: the service said a final no.
            UnanswerableError: the service cannot take this one request (from `curate.annotate.llm.transport`).
            InterruptedRunError: the client was stopped.
            BudgetSpentError: the answer might cost more than is left.
        """
        key = request_key(payload)
        with self._lock:
            shared = self._under_way.get(key)
            future = shared or self._under_way.setdefault(key, Future())
        if shared is not None:
            return shared.result()
        try:
            response = self._answer(key, path, payload, image)
            future.set_result(response)
            return response
        except BaseException as error:
            future.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._under_way[key]

    def _answer(self, key: str, path: str, payload: Mapping[str, Any], image: bytes | None) -> Response:
        if (kept := self._cache.get(key)) is not None:
            return kept
        reserved, response = self._spending.reserve(payload), None
        try:
            response = self._paid(path, payload, image)
        finally:
            self._spending.settle(reserved, response)
        self._cache.put(key, Request(self.service.shown_address, self.service.model, payload), response)
        with self._lock:
            self.received += 1
        return response

    def _paid(self, path: str, payload: Mapping[str, Any], image: bytes | None) -> Response:
        from curate.annotate.llm.transport import FinalError, PassingError

        content, tokens = _written(payload, image), prompt_tokens(payload) + answer_tokens(payload)
        for attempt in range(1, self.service.attempts + 1):
            if (delay := self._pace.delay(tokens)) > 0:
                self._stopped.wait(delay)
            try:
                answer = self._sent(path, content)
                body = self._connection().body(answer.content)
            except PassingError as error:
                if attempt == self.service.attempts:
                    raise self._unreachable(error, attempt) from error
                self._wait(error, attempt)
            except FinalError as error:
                raise self._refused(error) from error
            else:
                return _response(payload, body, answer.seconds, attempt)
        raise AssertionError("a service is asked at least once")

    def _sent(self, path: str, content: bytes) -> Answer:
        with self._slots:
            if self._stopped.is_set():
                raise InterruptedRunError("the batch was stopped", unchanged=self._kept())
            return self._connection().post(path, content)

    def _connection(self) -> Transport:
        from curate.annotate.llm.transport import Transport

        with self._lock:
            if self._transport is None:
                self._transport = Transport(self.service)
            return self._transport

    def _wait(self, error: PassingError, attempt: int) -> None:
        """Wait as long as the server asks, else about twice as long each time, spread so that clients do not meet.

        Where the server asks, the other threads wait as well.
        """
        longest = self.service.longest_wait
        if error.wait is not None and error.wait > longest:
            raise self._unreachable(error, attempt) from error
        self._pace.hold(error.wait or 0.0)
        doubled = min(longest, self.service.first_wait * 2 ** (attempt - 1))
        self._stopped.wait((error.wait or 0.0) + doubled * self._jitter.uniform(0.5, 1.0))

    def _unreachable(self, error: PassingError, attempts: int) -> ServiceError:
        asked = f"; it asks to wait {error.wait:g} s" if error.wait else ""
        where = f"the language model at {self.service.shown_address}"
        return ServiceError(
            f"{where} gave no usable answer in {attempts} attempts: {error}{asked}",
            hint="check that the server runs and that the address is right, then run the same command again",
            unchanged=self._kept(),
        )

    def _refused(self, error: Exception) -> RefusedRequestError:
        status = getattr(error, "status", 0)
        hints = {
            401: f"set the environment variable {self.service.api_key_variable} to a valid key",
            403: f"check what the key in the environment variable {self.service.api_key_variable} may do",
            404: f"check the address (it usually ends in /v1) and the model {self.service.model!r}",
        }
        return RefusedRequestError(
            f"the language model at {self.service.shown_address} refused the request: {error}",
            hint=hints.get(status, f"check that {self.service.model!r} takes such requests"),
            unchanged=self._kept(),
        )

    def _kept(self) -> str:
        return f"{self.received} answers were received and are kept; none is asked for again"


def _response(payload: Mapping[str, Any], body: Mapping[str, Any], seconds: float, attempts: int) -> Response:
    """Read the tokens that an answer took; where it does not say, they are the most that were to be expected."""
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    return Response(
        body,
        _count(usage.get("prompt_tokens"), prompt_tokens(payload)),
        _count(usage.get("completion_tokens"), answer_tokens(payload)),
        _count(cached, 0),
        seconds,
        attempts,
    )


def _count(told: object, otherwise: int) -> int:
    return told if isinstance(told, int) and told >= 0 else otherwise


def _written(payload: Mapping[str, Any], image: bytes | None) -> bytes:
    from curate.annotate.llm.transport import UnanswerableError

    try:
        return json.dumps(with_picture(payload, image) if image is not None else payload).encode()
    except (OSError, ValueError) as error:
        raise UnanswerableError(f"the image does not decode: {error}") from error
