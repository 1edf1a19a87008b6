"""One attempt at one request: what goes over the wire, and what kind of no came back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, Self

from curate.annotate.llm.connections import Connections, Reply
from curate.annotate.llm.service import Service

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
    """What one attempt brought: the bytes, and the seconds from sending to the last of them."""

    content: bytes
    seconds: float


class Transport:
    """One service as its client sees it; it may be shared by threads."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._connections = Connections(service.resolve())

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def post(self, path: str, payload: bytes) -> Answer:
        """Send one request, once: JSON, in bytes.

        Raises:
            PassingError: no connection, no complete answer in time, or 408, 409, 429, 5xx.
            UnanswerableError: the request is longer than the model can take.
            FinalError: any other status.
        """
        started = time.monotonic()
        key = self._service.api_key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            reply = self._connections.post(path, payload, headers, self._service.timeout)
        except TimeoutError as error:
            raise PassingError(f"no complete answer within {self._service.timeout:g} s") from error
        except (OSError, HTTPException) as error:
            raise PassingError(self._service.hide_secrets(str(error)) or type(error).__name__) from error
        if reply.status != 200:
            self._refuse(reply)
        return Answer(reply.content, time.monotonic() - started)

    def _refuse(self, reply: Reply) -> None:
        told = self._excerpt(reply.content)
        reason = f"status {reply.status}" + (f": {told}" if told else "")
        if reply.status in _TRANSIENT or reply.status >= 500:
            raise PassingError(reason, _asked_wait(reply.headers.get("Retry-After", "")))
        if reply.status in (400, 413) and any(word in told for word in _TOO_LONG):
            raise UnanswerableError(f"the request is too long for the model ({reason})")
        raise FinalError(reply.status, reason)

    def body(self, content: bytes) -> Mapping[str, Any]:
        """Read an answer.

        Raises:
            PassingError: it is no JSON object.
        """
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise PassingError(f"the answer is no JSON object: {self._excerpt(content)!r}")
        return body

    def _excerpt(self, content: bytes) -> str:
        return " ".join(self._service.hide_secrets(content.decode("utf-8", "replace")).split())[:200]


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
