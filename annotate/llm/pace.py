"""How fast requests may follow each other: limits a minute, and pauses that the server asks for, for all threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

_MINUTE = 60.0


class Pace:
    """Gives each request its moment, evenly spaced, so that no minute has more requests or tokens than are allowed.

    0 means no limit. Tokens are those that a request may take at most, answers included.

    >>> pace = Pace(requests_per_minute=60, clock=lambda: 100.0)
    >>> pace.delay(10), pace.delay(10), pace.delay(10)
    (0.0, 1.0, 2.0)
    """

    def __init__(
        self,
        requests_per_minute: int = 0,
        tokens_per_minute: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_request = _MINUTE / requests_per_minute if requests_per_minute else 0.0
        self._per_token = _MINUTE / tokens_per_minute if tokens_per_minute else 0.0
        self._clock = clock
        self._lock = Lock()
        self._next = 0.0
        self._held_until = 0.0

    def delay(self, tokens: int) -> float:
        """Reserve the next moment for a request and return the seconds until then."""
        with self._lock:
            now = self._clock()
            moment = max(now, self._next, self._held_until)
            self._next = moment + max(self._per_request, tokens * self._per_token)
            return moment - now

    def hold(self, seconds: float) -> None:
        """Let nobody send anything for so many seconds."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)
