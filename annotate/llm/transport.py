"""One attempt at one request: what goes over the wire, and what kind of no came back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import httpx

from curate.annotate.llm.service import Service, is_loopback

_TRANSIENT = frozenset({408, 409, 429})
_TOO_LONG = ("exceed_context_size", "context_length_exceeded", "maximum context length")


class PassingError(Exception):
    """An attempt failed in a way that may pass; `wait` is what the server asked for, in seconds, if it did."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class FinalError(Exception):
    """The server's answer is a final no to every request of this kind."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class UnanswerableError(Exception):
    """The server cannot take this one request (it is too long for the model); others are not concerned."""


@dataclass(frozen=True)
class Answer:
    """What one attempt brought: the body, and the seconds from sending to the last byte."""

    body: Mapping[str, Any]
    seconds: float


class Transport:
    """A pool of connections to one service; it may be shared by threads."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._address = service.resolve()
        limits = httpx.Limits(max_connections=service.concurrency, max_keepalive_connections=service.concurrency)
        self._client = httpx.Client(
            timeout=service.timeout, limits=limits, trust_env=not is_loopback(self._address), follow_redirects=False
        )

    def __enter__(self) -> Self:
        """Use the pool in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def post(self, path: str, payload: Mapping[str, Any]) -> Answer:
        """Send one request, once.

        Raises:
            PassingError: no connection, no complete answer in time, an answer that is no JSON, or 408, 409, 429, 5xx.
            UnanswerableError: the request is longer than the model can take.
            FinalError: any other status.
        """
        started = time.monotonic()
        try:
            status, headers, content = self._exchange(path, payload, started + self._service.timeout)
        except httpx.TimeoutException as error:
            raise PassingError(f"no complete answer within {self._service.timeout:g} s") from error
        except httpx.HTTPError as error:
            raise PassingError(self._service.hide_secrets(str(error)) or type(error).__name__) from error
        if status != 200:
            self._refuse(status, headers, content)
        return Answer(self._body(content), time.monotonic() - started)

    def _exchange(self, path: str, payload: Mapping[str, Any], deadline: float) -> tuple[int, httpx.Headers, bytes]:
        key = self._service.api_key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with self._client.stream("POST", _join(self._address, path), json=payload, headers=headers) as response:
            content = bytearray()
            for chunk in response.iter_bytes():  # httpx bounds each read, not their sum
                content += chunk
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer came too slowly")
            return response.status_code, response.headers, bytes(content)

    def _refuse(self, status: int, headers: httpx.Headers, content: bytes) -> None:
        told = self._excerpt(content)
        reason = f"status {status}" + (f": {told}" if told else "")
        if status in _TRANSIENT or status >= 500:
            raise PassingError(reason, _asked_wait(headers.get("Retry-After", "")))
        if status in (400, 413) and any(word in told for word in _TOO_LONG):
            raise UnanswerableError(f"the request is too long for the model ({reason})")
        raise FinalError(status, reason)

    def _body(self, content: bytes) -> Mapping[str, Any]:
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise PassingError(f"the answer is no JSON object: {self._excerpt(content)!r}")
        return body

    def _excerpt(self, content: bytes) -> str:
        return " ".join(self._service.hide_secrets(content.decode("utf-8", "replace")).split())[:200]


def _join(address: str, path: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path))


def _asked_wait(header: str) -> float | None:
    """Read a Retry-After header: seconds, or a date."""
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
